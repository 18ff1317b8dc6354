"""``testopt rank``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from testopt.cli.planning import Basis, form_of, plan_options, show

if TYPE_CHECKING:
    from testopt.cli.common import Context


@click.command("rank")
@plan_options
@click.pass_obj
def command(
    ctx: Context,
    /,
    *,
    form: str,
    as_json: bool,
    everything: bool,
    shard: tuple[int, int] | None,
    **said: Any,
) -> None:
    """Order the cases for a change: those likely to fail soon come first.

    \b
    Example:
      testopt rank
      testopt rank --base origin/main --format pytest > order.txt
      pytest --collect-only -q | testopt rank --cases -
    """
    from testopt.plan import plan
    from testopt.report.plans import note

    form = form_of(form, as_json=as_json)
    basis = Basis.find(ctx, said)
    made = plan(cases=basis.cases, here=basis.here, store=basis.store, sources=basis.sources)
    basis.finish(ctx, note(made))
    show(made, form, part=shard, everything=everything)
