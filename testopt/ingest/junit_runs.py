"""JUnit XML into the store: find the files, read them, make runs of them, append what is new."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from testopt.errors import TestoptError
from testopt.git.process import resolve
from testopt.git.run_identity import RunIdentity, previous_commit
from testopt.ingest import update_caches
from testopt.ingest.attempts import Numbered, number_executions
from testopt.ingest.environment import environment_failure, merge_samples
from testopt.ingest.grouping import RunFiles, group_files
from testopt.ingest.legs import Leg, split_legs
from testopt.ingest.plan_checks import check_plans, planned_cases
from testopt.ingest.rows import run_tables
from testopt.ingest.tested_code import tested_tree
from testopt.ingest.uncollected import failures_of
from testopt.pluralize import pluralize
from testopt.results.archives import RejectedPath, ReportFile, find_report_files
from testopt.results.case_resolver import CaseResolver, files_of
from testopt.results.junit_rows import ParsedReport, read_report_file
from testopt.schema import FAILING, Run, RunRecord, arrow_schema
from testopt.workspace import remove_left_workspaces, workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy.typing as npt

    from testopt.selection.came_back import PlanCheck
    from testopt.selection.kept_plans import WaitingPlan
    from testopt.store import Store

_ROWS_PER_COMMIT: Final = 32_000


@dataclass(frozen=True, slots=True)
class FileReport:
    """What became of one file; counts are per test case element, with final outcomes.

    ``rejected`` says why the file, or its rest, was not read; ``ignored`` is set when that is no
    error, because the file is XML of another kind.
    """

    path: str
    run_id: str | None = None
    cases: int = 0
    failed: int = 0
    error: int = 0
    skipped: int = 0
    attempts: int = 0
    rejected: str | None = None
    ignored: bool = False


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What an ingestion did: a report per file, the runs met, and how many of them were new.

    ``added`` counts the results that came to runs which were there. ``checks`` compare the plans
    that were kept for the runs with what came; ``waiting`` are those of other jobs of which
    nothing has come yet.
    """

    files: tuple[FileReport, ...]
    run_ids: tuple[str, ...]
    new_runs: int
    unresolved: int = 0
    warnings: tuple[str, ...] = ()
    added: Mapping[str, int] = field(default_factory=dict)
    checks: tuple[PlanCheck, ...] = ()
    waiting: tuple[WaitingPlan, ...] = ()


def ingest_junit(
    *,
    store: Store,
    paths: Sequence[str],
    identity: RunIdentity,
    run_per: str = "auto",
    job_from: str | None = None,
    native: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> IngestReport:
    """Read JUnit XML and append its runs.

    Parameters
    ----------
    store : Store
        Where to.
    paths : sequence of str
        Files, folders, globs, archives, ``-``.
    identity : RunIdentity
        What is known of the runs.
    run_per : str
        Which files are one run: ``auto``, ``call``, ``folder`` or ``file``.
    job_from : {"folder"}, optional
        The folder below a given path is the job of the reports in it.
    native : bool
        Whether formats other than JUnit XML are read too.
    progress : callable
        Receives the numbers of files done and found.

    Returns
    -------
    IngestReport
        A file that cannot be read is reported, and the others are kept.

    Raises
    ------
    StoreError
        When the store cannot be written.
    """
    resolver = case_resolver(identity)
    remove_left_workspaces()
    with workspace() as workdir:
        found = list(find_report_files(paths, workdir=workdir))
        files: list[ParsedReport] = []
        near = ""
        for done, source in enumerate(found):
            if isinstance(source, ReportFile):
                if source.folder != near:
                    near = source.folder
                    resolver.at(*_folders_of(source, identity.repo))
                spill = workdir / f"{done}.arrow"
                files.append(read_report_file(source, resolver, spill=spill, native=native))
            progress(done + 1, len(found))
        # A file that could not be read at all still makes its run an incomplete one.
        reports = [file for file in files if not file.ignored]
        legs = split_legs(store, reports, identity, below=paths if job_from else None)
        groups, new, added = [], 0, dict[str, int]()
        for leg in legs:
            runs = _runs_of(leg, run_per)
            new += _append_groups(store, runs, leg.identity, added)
            groups += runs
        update_caches(store, runs=new, results=sum(file.rows for file in files))
        checks, waiting = check_plans(store, legs)
    report = _report(found, files, groups, new=new, identity=identity)
    return replace(
        report, unresolved=resolver.ambiguous, added=added, checks=checks, waiting=waiting
    )


def _runs_of(leg: Leg, per: str) -> list[RunFiles]:
    """Return the runs that the files of a job hold."""
    groups = group_files(leg.files, per=per, run_id=leg.run_id, key=leg.identity.key())
    return [group for group in groups if _has_results(group)]


def _has_results(group: RunFiles) -> bool:
    """Tell whether a group is a run: files that hold no case because they are broken are none."""
    junit = [file for file in group.files if file.summary.is_junit]
    return any(file.rows or not file.rejected for file in junit)


def case_resolver(identity: RunIdentity) -> CaseResolver:
    """Return what resolves ids by the files of the commit that was tested, else of the folder."""
    if identity.repo is None:
        return CaseResolver()
    is_named = identity.commit or (identity.ci.commit if identity.ci else None)
    for commit in (
        *([is_named] if is_named else []),
        None,
        "HEAD",
    ):  # a bare repository has no folder
        try:
            sha = None if commit is None else resolve(identity.repo, commit)
            return CaseResolver(
                files_of(identity.repo, commit=sha), folder=_below(identity.repo, Path.cwd())
            )
        except TestoptError:
            continue
    return CaseResolver()


def _folders_of(source: ReportFile, repo: Path | None) -> list[str]:
    """Return the folders of the repository that a report may belong to, the likeliest first."""
    if repo is None:
        return []
    inside = source.name.partition("!")[2].rpartition("/")[0]
    folders = [_below(repo, source.path.parent / inside), _below(repo, repo / inside)]
    return list(dict.fromkeys(filter(None, [*folders, _below(repo, source.path.parent)])))


def _below(repo: Path, folder: Path) -> str:
    """Return a folder relative to the repository, empty where it is outside or the top."""
    path, top = folder.resolve(), repo.resolve()
    return path.relative_to(top).as_posix() if top in path.parents else ""


def _append_groups(
    store: Store, groups: Sequence[RunFiles], identity: RunIdentity, added: dict[str, int]
) -> int:
    """Append runs; return how many are new. `added` takes the results added to the others."""
    known = store.run_ids()
    new = 0
    # Which cases a file has that could not be collected, the runs before tell.
    ordered = sorted(groups, key=lambda group: (_broken(group), _time(group, identity)))
    for group in ordered:
        # The row of a run is its commit mark: a run named after its content is there as a whole.
        if group.is_named or group.run_id not in known:
            with store.writing():
                tally = _append(store, group, identity)
                if group.run_id not in known and _append_run(store, group, identity, tally=tally):
                    new += 1
                else:  # another part of a run that is there
                    is_whole = all(file.complete for file in group.files) and not tally.unknown
                    store.recount(group.run_id, **({} if is_whole else {"complete": False}))
                    added[group.run_id] = tally.added
    return new


@dataclass(slots=True)
class _Tally:
    """What a run comes to: final outcomes, failing cases by message, and the time spent."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failing: Counter[str | None] = field(default_factory=Counter)
    seconds: float = 0.0
    added: int = 0  # rows that were not there yet
    uncollected: int = 0  # cases of files that could not be collected: they have one cause
    unknown: int = 0  # files that could not be collected and have no known case

    def add(self, rows: pa.Table, last: npt.NDArray[np.bool_]) -> None:
        """Count executions, of which `last` are the final ones of their cases."""
        self.seconds += pc.sum(rows["duration_s"].cast(pa.float64())).as_py() or 0.0
        final = rows.select(["outcome", "message"]).filter(pa.array(last))
        self.outcomes.update(final["outcome"].to_pylist())
        failing = pc.is_in(final["outcome"], value_set=pa.array(sorted(FAILING)))
        self.failing.update(final["message"].filter(failing).to_pylist())

    def counts(self) -> dict[str, float]:
        """Return the columns of ``runs`` that count results."""
        counts = {name: float(self.outcomes[name]) for name in ("failed", "error", "skipped")}
        counts["error"] += self.unknown
        return {**counts, "cases": float(self.outcomes.total()), "duration_s": self.seconds}


def _broken(group: RunFiles) -> bool:
    return any(file.uncollected for file in group.files)


def _time(group: RunFiles, identity: RunIdentity) -> datetime:
    times = [file.time for file in group.files if file.time is not None]
    return identity.time or min(times, default=datetime.now(UTC))


def _append(store: Store, group: RunFiles, identity: RunIdentity) -> _Tally:
    """Append the results of a run; return what they come to."""
    before = _before(store, group)
    numbered = number_executions(group.files, before)
    tally, at = _Tally(), 0
    if _broken(group):
        gone = _append_uncollected(store, group, identity, tally=tally, before=before)
        numbered.merged = np.union1d(numbered.merged, gone)
    for batches in _chunks(group):
        rows = pa.Table.from_batches([batch for _, batch in batches]).combine_chunks()
        end = at + rows.num_rows
        rows, kept = _mended(rows, numbered, at)
        tally.add(rows, numbered.last[at:end][kept])
        results = _results(group.run_id, rows, numbered.attempt[at:end][kept])
        parts = _parts(group.run_id, batches, results, kept)
        written = store.append("results", parts)
        tally.added += sum(parts[key].num_rows for key in written)
        at = end
        pa.default_memory_pool().release_unused()
    return tally


def _before(store: Store, group: RunFiles) -> npt.NDArray[np.int64] | None:
    """Return a hash of the case of each row that an earlier part of a named run has brought."""
    if not group.is_named:
        return None
    there = store.read("results", columns=["case_id"], where=[("run_id", "=", group.run_id)])
    return np.array([hash(case) for case in there["case_id"].to_pylist()], dtype=np.int64)


def _mended(
    rows: pa.Table, numbered: Numbered, start: int
) -> tuple[pa.Table, npt.NDArray[np.bool_]]:
    """Return rows with the outcomes of reruns, without what is part of other rows; which stay."""
    kept = np.ones(rows.num_rows, dtype=bool)
    low, high = np.searchsorted(numbered.reruns, [start, start + rows.num_rows])
    if low < high:
        again = np.zeros(rows.num_rows, dtype=bool)
        again[numbered.reruns[low:high] - start] = True
        outcomes = pc.if_else(pa.array(again), "failed", rows["outcome"])
        rows = rows.set_column(rows.schema.get_field_index("outcome"), "outcome", outcomes)
    low, high = np.searchsorted(numbered.merged, [start, start + rows.num_rows])
    if low < high:
        kept[numbered.merged[low:high] - start] = False
        rows = rows.filter(pa.array(kept))
    return rows, kept


def _append_uncollected(
    store: Store,
    group: RunFiles,
    identity: RunIdentity,
    *,
    tally: _Tally,
    before: npt.NDArray[np.int64] | None,
) -> npt.NDArray[np.int64]:
    """Append the failures of cases that could not run; return the rows that stood for them."""
    hashes = [file.hashes() for file in group.files]
    there = np.sort(np.concatenate([*hashes, *([] if before is None else [before])]))

    def executed(case: str) -> bool:
        at = int(np.searchsorted(there, hash(case)))
        return at < len(there) and int(there[at]) == hash(case)

    wholes = [one for file in group.files for one in file.uncollected]
    time = _time(group, identity)
    failures, unknown = failures_of(
        store,
        wholes,
        time=time,
        job=identity.job_name,
        executed=executed,
        planned=planned_cases(store, group.run_id) if group.is_named else (),
    )
    if failures:
        digest = "".join(sorted(file.digest[:8] for file in group.files if file.uncollected))
        columns = [{**asdict(one), "run_id": group.run_id} for one in failures]
        rows = pa.Table.from_pylist(columns, schema=arrow_schema("results"))
        if store.append("results", {f"{group.run_id}#uncollected-{digest}": rows}):
            tally.added += len(failures)
        tally.outcomes["error"] += len(failures)
        tally.uncollected = len(failures)
    lost = sorted({one.prefix for one in wholes if one.prefix in unknown and not one.is_case})
    tally.unknown = len(lost)
    if lost:
        others = f", nor of {pluralize(len(lost) - 1, 'other')}" if lost[1:] else ""
        identity.warnings.append(
            f"run {group.run_id}: {lost[0]} could not be collected, and no case of it is known"
            f"{others}"
        )
    starts = np.cumsum([0, *(file.rows for file in group.files)])
    return np.array(
        [
            start + one.row
            for start, file in zip(starts.tolist(), group.files, strict=False)
            for one in file.uncollected
            if not (one.is_case and one.prefix in unknown)
        ],
        dtype=np.int64,
    )


KeyedBatch = tuple[str, pa.RecordBatch]


def _chunks(group: RunFiles) -> Iterator[list[KeyedBatch]]:
    """Yield the rows of a run, as many at a time as one commit holds, with keys.

    A run that the user named may come in parts, so its keys name files. One that is named after
    its content is always the same whole, and one key for many small files saves time.
    """
    chunk: list[KeyedBatch] = []
    held, number = 0, 0
    for file in group.files:
        for part, batch in enumerate(file.batches()):
            chunk.append((f"{file.digest}#{part}" if group.is_named else str(number), batch))
            held += batch.num_rows
            if held >= _ROWS_PER_COMMIT:
                yield chunk
                chunk, held, number = [], 0, number + 1
    if chunk:
        yield chunk


def _parts(
    run_id: str, batches: Sequence[KeyedBatch], rows: pa.Table, kept: npt.NDArray[np.bool_]
) -> dict[str, pa.Table]:
    """Return the rows by key, those that are kept: neighbours of one key are one part."""
    parts, at, start = {}, 0, 0
    for key, same in groupby(batches, key=itemgetter(0)):
        end = start + sum(batch.num_rows for _, batch in same)
        size = int(kept[start:end].sum())
        parts[f"{run_id}#{key}"] = rows.slice(at, size)
        at, start = at + size, end
    return parts


def _results(run_id: str, rows: pa.Table, attempts: npt.NDArray[np.int16]) -> pa.Table:
    columns = {name: rows[name] for name in rows.schema.names}
    columns["run_id"] = pa.repeat(pa.scalar(run_id), rows.num_rows)
    columns["attempt"] = pa.array(attempts)
    schema = arrow_schema("results")
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _append_run(store: Store, group: RunFiles, identity: RunIdentity, *, tally: _Tally) -> bool:
    """Append the change of a run, and its row last: the commit mark."""
    now, time = datetime.now(UTC), _time(group, identity)
    identity.warnings.extend(
        f"{file.source.name}: cases may be missing: {file.summary.missing}"
        for file in group.files
        if file.summary.missing
    )
    odd = next((file.summary.odd_time for file in group.files if file.summary.odd_time), "")
    if odd and not identity.time and not any(file.summary.time for file in group.files):
        identity.warnings.append(
            f"run {group.run_id}: its time {odd}; taken is {time:%Y-%m-%d %H:%M} UTC, "
            "--time names another"
        )
    commit, branch = identity.commit_at(time)
    previous = previous_commit(store, branch=branch, job=identity.job_name, before=time)
    change = identity.change_of(group.run_id, commit=commit, previous=previous)
    if commit is None and not change.known:
        identity.warn_unknown(change.why)
    environment = environment_failure(
        executed=tally.outcomes.total() - tally.outcomes["skipped"] - tally.uncollected,
        failing=tally.failing,
        samples=merge_samples([file.summary.samples for file in group.files]),
        change=change,
    )
    if environment is not False:
        words = "looks like" if environment else "may be"
        identity.warnings.append(
            f"run {group.run_id}: most cases fail with one message: this {words} a failure of "
            "the environment"
        )
    written = max((f.source.mtime for f in group.files if f.source.mtime), default=None)
    tree, change = tested_tree(identity, commit, change, written=written)
    run = Run(
        run_id=group.run_id,
        time=time,
        job=identity.job_name,
        commit=commit,
        base=change.base,
        branch=branch,
        complete=all(file.complete for file in group.files) and not tally.unknown,
        environment_failure=environment,
        pipeline_run=identity.run_id,
        tree=tree,
    )
    tables = run_tables(RunRecord(run, (), change), seen=now, counts=tally.counts())
    if tables["run_changes"].num_rows:
        store.append("run_changes", {group.run_id: tables["run_changes"]})
    return bool(store.append("runs", {group.run_id: tables["runs"]}))


def _report(
    found: Sequence[ReportFile | RejectedPath],
    files: Sequence[ParsedReport],
    groups: Sequence[RunFiles],
    *,
    new: int,
    identity: RunIdentity,
) -> IngestReport:
    runs = {key: g.run_id for g in groups for file in g.files for key in (file.digest, id(file))}
    read = iter(files)
    reports = tuple(
        FileReport(one.name, rejected=one.why)
        if isinstance(one, RejectedPath)
        else _file_report(next(read), runs)
        for one in found
    )
    return IngestReport(
        files=reports,
        run_ids=tuple(group.run_id for group in groups),
        new_runs=new,
        warnings=tuple(dict.fromkeys(identity.warnings)),
    )


def _file_report(file: ParsedReport, runs: dict[str | int, str]) -> FileReport:
    counts = file.summary.counts
    return FileReport(
        path=file.source.name,
        run_id=runs.get(id(file), runs.get(file.digest)) if file.summary.is_junit else None,
        cases=file.summary.cases,
        failed=counts["failed"],
        error=counts["error"],
        skipped=counts["skipped"],
        attempts=file.summary.attempts,
        rejected=file.rejected,
        ignored=file.ignored,
    )
