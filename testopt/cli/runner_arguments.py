"""Prints a plan as arguments of a test runner, and says what becomes of tests that nobody knows."""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from testopt.cli.common import printable
from testopt.plan.runner_request import runner_request, unseen_files
from testopt.pluralize import pluralize
from testopt.runners.arguments import arguments_for
from testopt.runners.registry import RUNNERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from testopt.cli.common import Context
    from testopt.plan.inputs import PlanInputs
    from testopt.schema import Plan, PlannedCase


def print_arguments(
    ctx: Context,
    form: str,
    inputs: PlanInputs,
    plan: Plan,
    running: Sequence[PlannedCase],
    *,
    named: bool,
    in_part: Callable[[str], bool] | None = None,
) -> None:
    """Print what a runner is asked for that is started where testopt is.

    Parameters
    ----------
    ctx : Context
    form : str
        One of ``RUNNERS``.
    inputs : PlanInputs
        What the plan was made from.
    plan : Plan
    running : sequence of PlannedCase
        The cases that run; of a part of the plan, those of the part.
    named : bool
        Whether the user named the cases.
    in_part : callable, optional
        Where other machines run other parts: whether a file (class, package) is of this one.
    """
    runner = RUNNERS[form]
    request = runner_request(runner, inputs, plan, running, named=named, in_part=in_part)
    request = replace(request, folder=_folder(request.root))
    printed = arguments_for(runner, request, to_file=_to_file())
    keeps = plan.mode == "rank" and not runner.obeys_order
    own_order = f"{form} keeps its own order" if keeps else ""
    unseen = ""
    if in_part is not None and not named and all(case.runs for case in plan.cases):
        unseen = _of_unseen(unseen_files(runner, inputs, request, in_part))
    ctx.note(printable("; ".join(filter(None, [*printed.notes, own_order, unseen]))))
    click.echo(printed.text, nl=False)


def _of_unseen(files: Sequence[str]) -> str:
    """Return what is to say of test files of a part that nothing is known of."""
    if not files:
        return ""
    count = pluralize(len(files), "test file")
    return f"{count} of this part, such as {files[0]}, without a known case: not asked for"


def _folder(root: Path | None) -> str:
    """Return the working folder relative to the top; empty: the top, or outside of it."""
    here = Path.cwd().resolve()
    top = None if root is None else root.resolve()
    return "" if top is None or top not in here.parents else here.relative_to(top).as_posix()


def _to_file() -> bool:
    """Return whether what is printed goes into a file, and on no command line."""
    try:
        return stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode)
    except (OSError, ValueError):
        return False
