"""`testopt rank`: order the cases for a change."""

from __future__ import annotations

from dataclasses import dataclass

import click

from testopt.cli.common import Context, with_options
from testopt.cli.planning import (
    ChangeOptions,
    check_form,
    find_inputs,
    finish,
    form_of,
    plan_options,
    show,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RankOptions(ChangeOptions):
    """Options of ``testopt rank``."""

    form: str
    as_json: bool
    show_all: bool
    shard: tuple[int, int] | None


@click.command("rank")
@plan_options
@with_options(RankOptions)
def command(ctx: Context, options: RankOptions) -> None:
    """Order the cases for a change; those likely to fail come first.

    \b
    Example:
      testopt rank
      testopt rank --base origin/main --format pytest > ids.txt && pytest @ids.txt
      pytest --collect-only -q | testopt rank --cases -
    """
    from testopt.plan import plan

    form = form_of(options.form, as_json=options.as_json)
    inputs = find_inputs(ctx, options)
    check_form(form, inputs)
    planned = plan(inputs)
    finish(ctx, inputs, planned)
    show(planned, form, inputs=inputs, options=options)
