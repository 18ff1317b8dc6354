"""Jobs whose past cannot show what their plans miss, because another job has it.

A regression is a case that fails and passed before in the same job. Where a plan leaves out cases
that its own job never ran, while another job did, the names of the jobs differ, and a miss can
never be charged to the plan.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from testopt.pluralize import pluralize
from testopt.schema import VARIANT_KINDS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from testopt.store import Filter, Store

_OWN_RUNS: Final = 200  # of the job: with explore at 5 %, all but 1 in 28,000 hold a run of all
_OTHER_RUNS: Final = 50
_SAMPLE: Final = 200  # cases left out that are looked up: a share of one half is then sure
_MOST: Final = 0.5


@dataclass(frozen=True, slots=True)
class StrangeJob:
    """A job that never ran most of what its plans leave out, and another one that did.

    Attributes
    ----------
    job, other : str
    plans : int
        Plans of the job that were looked at.
    run_id : str
        The last run of them.
    """

    job: str
    other: str
    plans: int
    run_id: str

    @property
    def words(self) -> str:
        """What is wrong, and what to do."""
        return (
            f"{_name(self.job)} never ran most of the cases that its plans left out "
            f"({pluralize(self.plans, 'plan')}, the last for run {self.run_id}), but "
            f"{_name(self.other)} did: nothing can show what is missed; name the same --job when "
            "planning and when reading results"
        )


def strange_jobs(store: Store, planned: Collection[str]) -> tuple[StrangeJob, ...]:
    """Return the jobs of some planned runs whose past another job has.

    Parameters
    ----------
    store : Store
    planned : collection of str
        Ids of runs with a plan.

    Raises
    ------
    StoreError
        When a table cannot be read.
    """
    runs = _real_runs(store)
    job_of = {run["run_id"]: run["job"] for run in runs}
    if len(set(job_of.values())) < 2:  # noqa: PLR2004 - there is no other job
        return ()
    left = _left_out(store, {run_id for run_id in planned if run_id in job_of}, job_of)
    if not left:
        return ()
    wanted = {case for cases, _ in left.values() for case in cases}
    where: list[Filter] = [
        ("run_id", "in", _nearest(runs, set(left))), ("case_id", "in", sorted(wanted)),
    ]  # fmt: skip
    names = ["run_id", "case_id"]
    rows = store.read("results", columns=names, where=where, dictionary=names).to_pylist()
    ran: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        ran[job_of[row["run_id"]]].add(row["case_id"])
    found = (_judge(job, *of_job, ran) for job, of_job in sorted(left.items()))
    return tuple(job for job in found if job is not None)


def _judge(
    job: str, cases: Collection[str], run_ids: Sequence[str], ran: Mapping[str, Collection[str]]
) -> StrangeJob | None:
    strange = [case for case in cases if case not in ran.get(job, ())]
    others = Counter(name for name, there in ran.items() for case in strange if case in there)
    if len(strange) <= _MOST * len(cases) or not others:
        return None
    other, count = others.most_common(1)[0]
    if count <= _MOST * len(strange):
        return None
    return StrangeJob(job, other, len(run_ids), run_ids[-1])


def _real_runs(store: Store) -> list[dict[str, Any]]:
    """Return the runs that really happened, oldest first."""
    rows = store.read("runs", columns=["run_id", "time", "job", "kind"]).to_pylist()
    real = (row for row in rows if row["kind"] not in VARIANT_KINDS)
    return sorted(real, key=lambda row: (row["time"], row["run_id"]))


def _nearest(runs: Sequence[Mapping[str, Any]], jobs: Collection[str]) -> list[str]:
    """Return the last runs of each of some jobs, and of all others together."""
    by_job: dict[str | None, list[str]] = defaultdict(list)
    for run in runs:
        by_job[run["job"]].append(run["run_id"])
    nearest = [
        run_id
        for job, ids in by_job.items()
        for run_id in ids[-(_OWN_RUNS if job in jobs else _OTHER_RUNS) :]
    ]
    return sorted(nearest)


def _left_out(
    store: Store, planned: Collection[str], job_of: Mapping[str, str]
) -> dict[str, tuple[list[str], list[str]]]:
    """Return by job a sample of the cases that plans left out, and the runs, the last one last."""
    where: list[Filter] = [("run_id", "in", sorted(planned)), ("selected", "==", False)]
    names = ["run_id", "case_id"]
    rows = store.read("predictions", columns=names, where=where, dictionary=names).to_pylist()
    cases: dict[str, set[str]] = defaultdict(set)
    plans: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        job = job_of[row["run_id"]]
        cases[job].add(row["case_id"])
        plans[job].add(row["run_id"])
    place = {run_id: n for n, run_id in enumerate(job_of)}
    return {
        job: (_sample(sorted(found)), sorted(plans[job], key=place.__getitem__))
        for job, found in cases.items()
    }


def _sample(cases: list[str]) -> list[str]:
    step = max(len(cases) / _SAMPLE, 1.0)
    return [cases[int(n * step)] for n in range(min(len(cases), _SAMPLE))]


def _name(job: str) -> str:
    return f"job {job!r}" if job else "a run without a job"
