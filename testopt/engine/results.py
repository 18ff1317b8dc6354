"""Rows that the plugin sends, as results of cases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testopt.engine.node_ids import NodeIds
    from testopt.engine.session import PytestSession
    from testopt.schema import Result
    from testopt.store import Store

_MAX_ATTEMPT: Final = 32_767
_COLLECTION: Final = "collection"  # in place of a worker: a file that could not be collected
_WORST_FIRST: Final = ("failed", "error", "passed", "skipped")


def results_of(
    rows: Sequence[Sequence[Any]], node_ids: NodeIds, *, each: bool = False
) -> list[Result]:
    """Make results of the rows that the plugin sent.

    Rows of the same case are its attempts, in order of arrival. With `each` every worker ran every
    case: the worst outcome counts, once.
    """
    from testopt.schema import Result, digest

    found: dict[str, list[Result]] = {}
    for node_id, outcome, seconds, message, worker in rows:
        if worker == _COLLECTION:
            continue
        case_id = node_ids.case_id(node_id)
        attempts = found.setdefault(case_id, [])
        result = Result(
            case_id=case_id,
            outcome=outcome,
            duration_s=seconds,
            attempt=min(len(attempts) + 1, _MAX_ATTEMPT),
            file=case_id.partition("::")[0],
            message=None if message is None else digest(message),
        )
        if each and attempts:
            worst = min(attempts[0], result, key=lambda r: _WORST_FIRST.index(r.outcome))
            attempts[0] = _as_first(worst)
        else:
            attempts.append(result)
    return [result for attempts in found.values() for result in attempts[:_MAX_ATTEMPT]]


def uncollected_of(
    rows: Sequence[Sequence[Any]], session: PytestSession, store: Store, results: Sequence[Result]
) -> tuple[list[Result], set[str]]:
    """Return the failures of cases whose files could not be collected, and files without cases."""
    broken = [row for row in rows if row[4] == _COLLECTION]
    if not broken:
        return [], set()
    from testopt.ingest.uncollected import failures_of
    from testopt.results.junit_rows import Uncollected
    from testopt.schema import digest

    executed = {result.case_id for result in results}
    wholes = [
        Uncollected(0, session.node_ids.case_id(node), digest(message or ""), is_case=False)
        for node, _, _, message, _ in broken
    ]
    return failures_of(
        store, wholes, time=session.run.began, job=session.run.job, executed=executed.__contains__
    )


def texts_of(rows: Sequence[Sequence[Any]]) -> dict[str, str]:
    """Return the messages of rows that the plugin sent, by their digest."""
    from testopt.schema import digest

    return {digest(text): text for text in {row[3] for row in rows if row[3] is not None}}


def _as_first(result: Result) -> Result:
    from dataclasses import replace

    return replace(result, attempt=1)
