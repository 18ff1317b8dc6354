"""`testopt risk --bootstrap`: what risk is judged by, read and traced within a minute."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from testopt.errors import EmptyStoreError
from testopt.pluralize import pluralize

if TYPE_CHECKING:
    from testopt.cli.common import Context
    from testopt.store import Store
    from testopt.szz.trace import SzzReport

_COMMITS: Final = 20_000  # read at most: 10 s on two processors
_TOTAL_S: Final = 45.0  # of reading and tracing; models take the rest of a minute
_LEAST_S: Final = 35.0  # of tracing, however long reading took
_HINT: Final = (
    "run: testopt mine && testopt szz (minutes for some thousand commits), or "
    "testopt risk --bootstrap (a minute)"
)


def open_mined_store(ctx: Context, hint: str = _HINT) -> Store:
    """Open the store of a command that needs the git history.

    Parameters
    ----------
    ctx : Context
    hint : str
        What to do where there is none.

    Raises
    ------
    EmptyStoreError
        When there is none, or it holds no commits; it says what to do first.
    """
    try:
        store = ctx.open_store()
    except EmptyStoreError as error:
        raise EmptyStoreError(
            f"the git history has not been read: {error.message}", hint
        ) from error
    if store.version("commits") < 0:
        raise EmptyStoreError(
            f"the git history has not been read: the store at {ctx.store_url} holds no commits",
            hint,
        )
    return store


def bootstrap(ctx: Context) -> None:
    """Read the newest commits, and trace the newest fixes until the time is over.

    What was read or traced before is not done again, so that a repeated call goes on.
    """
    from testopt.cli.mine import warn_of
    from testopt.git.log import list_commits
    from testopt.mine import mine
    from testopt.szz.trace import szz

    end = time.monotonic() + _TOTAL_S
    pattern, store = ctx.settings.fix_pattern, ctx.open_store(create=True)
    total = len(list_commits(ctx.root))
    ctx.note(f"reading {_part(_COMMITS, total, 'commit')} …")
    mined = mine(
        repo=ctx.root,
        store=store,
        newest=_COMMITS,
        fix_pattern=pattern,
        progress=ctx.progress("reading"),
    )
    warn_of(ctx, mined)
    left_s = max(end - time.monotonic(), _LEAST_S)
    ctx.note(f"tracing the newest fixes, about {left_s:.0f} s …")
    traced = szz(
        repo=ctx.root,
        store=store,
        fix_pattern=pattern,
        progress=ctx.progress("tracing"),
        stop_after=left_s,
    )
    ctx.note(_traced_text(traced))


def _part(most: int, total: int, word: str) -> str:
    if total <= most:
        return pluralize(total, word)
    return f"the newest {most:,} of {pluralize(total, word)}"


def _traced_text(report: SzzReport) -> str:
    n = len(report.traced)
    if not report.left or report.since is None:
        return f"fixes traced: {n:,}"
    return (
        f"the newest {n:,} of {n + report.left:,} fixes traced, those since "
        f"{report.since.date()}; `testopt szz` traces the rest, and risk knows more then"
    )
