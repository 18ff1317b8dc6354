"""Files and classes none of whose cases could run: they are failures of the cases last known.

A file that cannot be collected has no case in the report. Kept as a case of its own it would stay
failed for ever, because it never runs once the file is whole again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from testopt.schema import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from testopt.results.junit_rows import Uncollected
    from testopt.store import Store

_RUNS: Final = (1, 19)  # how many earlier runs are read, the last one first


def failures_of(
    store: Store,
    wholes: Sequence[Uncollected],
    *,
    time: datetime,
    job: str,
    executed: Callable[[str], bool],
    planned: Iterable[str] = (),
) -> tuple[list[Result], set[str]]:
    """Return the failures of the cases of files and classes that could not run.

    Parameters
    ----------
    store : Store
        Which cases they have, its last runs tell.
    wholes : sequence of Uncollected
        The files and classes.
    time : datetime
        When the run took place; earlier runs are asked.
    job : str
        Its job, whose runs are asked first.
    executed : callable
        Tells whether a case was executed in the run all the same.
    planned : iterable of str
        Cases that were to run: they are known too.

    Returns
    -------
    tuple of list and set
        The failures, and the prefixes of the files and classes that have no known case.
    """
    failures: dict[str, Result] = {}
    unknown = {one.prefix: one for one in wholes}
    for cases in _known(store, time, job) if unknown else ():
        met = set()
        for case, file in cases:
            for prefix, one in unknown.items():
                if one.holds(case, file) and not executed(case):
                    met.add(prefix)
                    failures[case] = Result(case, "error", file=file, message=one.message)
        for prefix in met:
            del unknown[prefix]
        if not unknown:
            break
    for case in planned:
        holding = [one for one in wholes if one.holds(case, None)]
        if holding and case not in failures and not executed(case):
            failures[case] = Result(case, "error", message=holding[0].message)
            unknown.pop(holding[0].prefix, None)
    return list(failures.values()), set(unknown)


def _known(store: Store, time: datetime, job: str) -> Iterator[Sequence[tuple[str, str | None]]]:
    """Yield the cases of the runs before a time, those of a job first, the last one first."""
    columns = ["run_id", "time", "job", "kind"]
    runs = [run for run in store.read("runs", columns=columns).to_pylist() if run["time"] < time]
    runs = [run for run in runs if run["kind"] in {"real", "clean"}]
    runs.sort(key=lambda run: (run["job"] == job, run["time"]), reverse=True)
    for size in _RUNS:
        part, runs = runs[:size], runs[size:]
        where = [("run_id", "in", [run["run_id"] for run in part])]
        if not part:
            return
        rows = store.read("results", columns=["run_id", "case_id", "file"], where=where).to_pylist()
        by_run: dict[str, list[tuple[str, str | None]]] = {}
        for row in rows:
            by_run.setdefault(row["run_id"], []).append((row["case_id"], row["file"]))
        for run in part:
            yield list(dict.fromkeys(by_run.get(run["run_id"], [])))
