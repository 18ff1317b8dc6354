"""Which job a report is of, and the run that each job brings under a run id that they share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import TYPE_CHECKING

from testopt.selection.policy import Policy
from testopt.store.legs import kept_plans, leg_of, legs_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from testopt.git.run_identity import RunIdentity
    from testopt.results.junit_rows import ParsedReport
    from testopt.store import Store


@dataclass(frozen=True, slots=True)
class Leg:
    """The files of one job, and what is known of their runs.

    Attributes
    ----------
    identity : RunIdentity
        With the job; its ``run_id`` is the one that the user gave.
    files : list of ParsedReport
    run_id : str or None
        Name of the run that all files are part of; None where nobody named it.
    """

    identity: RunIdentity
    files: list[ParsedReport]
    run_id: str | None = None


def split_legs(
    store: Store,
    files: Sequence[ParsedReport],
    identity: RunIdentity,
    *,
    below: Sequence[str] | None = None,
) -> list[Leg]:
    """Return the files by job, with the run id of each.

    Parameters
    ----------
    store : Store
        Knows which jobs have come under the run id, and the plans that are kept for it.
    files : sequence of ParsedReport
    identity : RunIdentity
        What the user and the CI system say; gathers the warnings.
    below : sequence of str, optional
        The paths that the user gave, where the folder below them names the job.
    """
    by_job: dict[str | None, list[ParsedReport]] = {}
    for file in files:
        job = identity.job if below is None else job_of(file.source.name, below)
        by_job.setdefault(job or None, []).append(file)
    if below is not None and None in by_job:
        identity.warnings.append(
            f"{by_job[None][0].source.name} lies in no folder that could name its job"
        )
    return [_leg(store, replace(identity, job=job), part) for job, part in by_job.items()]


def job_of(name: str, given: Sequence[str]) -> str:
    """Return the folder of a report below the path that was given; empty where there is none.

    In an archive it is the outermost folder. Of a report that lies in the given folder itself, or
    is named by itself, it is the folder that holds it: a shell may have put several paths in the
    place of one.

    Parameters
    ----------
    name : str
        Of the file, as the report of the ingestion has it.
    given : sequence of str
        Files, folders, globs and archives.
    """
    archive, mark, member = name.partition("!")
    if mark:
        parts = PurePath(member).parts
        return parts[0] if len(parts) > 1 else PurePath(archive).name.partition(".")[0]
    path = PurePath(name)
    tops = [PurePath(top) for top in given if path.is_relative_to(top) and path != PurePath(top)]
    rest = path.relative_to(max(tops, key=lambda top: len(top.parts))).parts if tops else ()
    return rest[0] if len(rest) > 1 else path.parent.name


def _leg(store: Store, identity: RunIdentity, files: list[ParsedReport]) -> Leg:
    if identity.run_id is None:
        return Leg(identity, files)
    run_id, job = identity.run_id, identity.job_name
    legs = legs_of(store, run_id)
    # before format 2 a job had the run id for itself: what it brings again is known already
    name = run_id if job and legs.get(run_id) == job else leg_of(run_id, job)
    _warn(identity, name, legs)
    _join_plan(store, identity, name, legs)
    if run_id in identity.changes and name not in identity.changes:
        changes = {**identity.changes, name: identity.changes[run_id]}
        identity = replace(identity, changes=changes)
    return Leg(identity, files, name)


def _warn(identity: RunIdentity, name: str, legs: dict[str, str]) -> None:
    """Say that other results have come under the same run id: by mistake, or from a matrix."""
    others = sorted({job for leg, job in legs.items() if leg != name})
    if not others:
        return
    jobs = ", ".join(f"job {job!r}" if job else "no job" for job in others)
    own = f"job {identity.job_name!r}" if identity.job_name else "no job: name theirs with --job"
    identity.warnings.append(
        f"run {identity.run_id} has results of {jobs} already, and these are of {own}; "
        f"each job is a run of its own, this one {name}"
    )


def _join_plan(store: Store, identity: RunIdentity, name: str, legs: dict[str, str]) -> None:
    """Give a leg the plan that was kept for the run id; plans of other jobs only where one may be.

    The row of the run, which makes the rows of its plan visible, comes later.
    """
    run_id = identity.run_id or ""
    plans = kept_plans(store, run_id)
    if not plans or name in plans:
        return
    free = [leg for leg in plans if leg != run_id and leg not in legs]
    source = run_id if run_id in plans else free[0] if len(free) == 1 else None
    jobs = ", ".join(repr(leg.removeprefix(f"{run_id}/")) for leg in free)
    if source is None or (source != run_id and identity.job):
        if jobs:
            identity.warnings.append(
                f"a plan is kept for run {run_id} and job {jobs}, and not for {name}: "
                "name the same --job when planning and here, so that it can be judged"
            )
        return
    if source != run_id:
        identity.warnings.append(f"the plan that is kept for job {jobs} is taken to be {name}'s")
    store.append("predictions", {name: _as_plan_of(name, source, plans[source])})


def _as_plan_of(name: str, source: str, rows: pa.Table) -> pa.Table:
    """Return the rows of a plan as those of another run, which say for which it was kept."""
    import pyarrow as pa

    texts = rows["policy"].to_pylist()
    kept = {text: replace(Policy.parse(text), kept_for=source).dump() for text in set(texts)}
    columns = {
        "run_id": pa.array([name] * len(rows), rows["run_id"].type),
        "policy": pa.array([kept[text] for text in texts], rows["policy"].type),
    }
    for column, values in columns.items():
        place = rows.schema.get_field_index(column)
        rows = rows.set_column(place, rows.schema.field(place), values)
    return rows
