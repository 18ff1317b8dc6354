"""`testopt risk --history`: past alarms, and what came of them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click

from testopt.cli.common import Context, print_json
from testopt.errors import DataError
from testopt.pluralize import pluralize

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testopt.risk.past_alarms import AlarmCounts, PastScore
    from testopt.store import Store

_LAST: Final = 20  # alarms that the first sentence counts
_OVER: Final = 0.9  # of the changes before: an alarm in ten


def show_history(
    ctx: Context, store: Store, *, over: float | None, over_percentile: float | None, as_json: bool
) -> None:
    """Print what came of the alarms of the last year that was examined.

    Parameters
    ----------
    ctx : Context
    store : Store
    over, over_percentile : float, optional
        What makes an alarm: the probability, or the share of the changes before that are less
        risky.
    as_json : bool
    """
    from testopt.risk.change_risk import change_risk
    from testopt.risk.past_alarms import examined_past, past_scores

    past = examined_past(store)
    if not past.changes:
        raise DataError(
            "szz has examined no change of the last year", "run: testopt mine && testopt szz"
        )
    ctx.note(f"judging {pluralize(len(past.changes), 'change')} as they were judged at the time …")
    report = change_risk(
        store=store,
        changes=past.changes,
        repo=ctx.root,
        author_features=ctx.settings.author_features,
        seed=ctx.settings.seed,
        detailed=0,
    )
    least = _OVER if over_percentile is None else over_percentile
    scores = past_scores(past, report.risks, over=over, over_percentile=least)
    if as_json:
        print_json(_document(scores, over, least))
        return
    for line in _lines(scores, over, least):
        click.echo(line)


def _document(scores: Sequence[PastScore], over: float | None, least: float) -> dict[str, Any]:
    from testopt.risk.past_alarms import alarm_dict, by_month, count_alarms

    return {
        "alarm": {"over": over} if over is not None else {"over_percentile": least},
        "last_alarms": alarm_dict(count_alarms(_last_told(scores))),
        "all": alarm_dict(count_alarms(scores)),
        "months": {month: alarm_dict(counts) for month, counts in by_month(scores).items()},
        "changes": [asdict(score) for score in scores],
    }


def _last_told(scores: Sequence[PastScore]) -> list[PastScore]:
    return [score for score in scores if score.alarm and score.outcome != "open"][-_LAST:]


def _lines(scores: Sequence[PastScore], over: float | None, least: float) -> Iterator[str]:
    from testopt.risk.past_alarms import by_month, count_alarms

    what = f"riskier than {least:.0%} of those before it" if over is None else f"over {over:.1%}"
    yield f"alarm: a change {what}"
    alarms = [score for score in scores if score.alarm]
    counts = count_alarms(_last_told(scores))
    young = sum(score.outcome == "open" for score in alarms)
    if counts.alarms:
        yield (
            f"of the last {pluralize(counts.alarms, 'alarm')} whose outcome is known "
            f"{counts.right} were right: a later fix was traced to the change"
        )
    if young:
        yield f"{pluralize(young, 'alarm')} too young to tell"
    if not alarms:
        yield "there was no alarm"
    in_all = count_alarms(scores)
    if in_all.told:
        expected = in_all.defects / in_all.told * counts.alarms
        yield f"of as many changes drawn at random {expected:.1f} would have been"
        yield (
            f"of {pluralize(in_all.defects, 'defect')} in {pluralize(in_all.changes, 'change')} "
            f"{in_all.missed} came without an alarm"
        )
    unranked = sum(score.alarm is None for score in scores)
    if unranked:
        yield f"{pluralize(unranked, 'change')} had too few before to say"
    yield ""
    yield from _table(by_month(scores))


def _table(months: dict[str, AlarmCounts]) -> Iterator[str]:
    yield "month    changes  alarms  right  wrong  too young  defects  without alarm"
    for month, c in months.items():
        yield (
            f"{month}  {c.changes:7}  {c.alarms:6}  {c.right:5}  {c.wrong:5}  {c.too_young:9}"
            f"  {c.defects:7}  {c.missed:13}"
        )
