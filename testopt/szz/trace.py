"""Which commits introduced the defects that others fixed: SZZ over a repository.

Each fix is traced on its own, in parallel; answers go to the store in batches, so that an
interrupted run is continued by the next one, and a repeated one only reads.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, as_completed, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from threading import local
from typing import TYPE_CHECKING, Any, Final

from testopt.errors import RepositoryError
from testopt.git.file_histories import MIN_FIXES, read_file_histories
from testopt.git.fix_words import FileCounts
from testopt.git.fixes import classify, stated_commits
from testopt.git.log import list_commits, read_history
from testopt.git.subjects import FixJudge
from testopt.schema import arrow_schema
from testopt.store.examined import Examined, write_examined
from testopt.store.judged_fixes import read_judged
from testopt.szz.blame import Tracer
from testopt.szz.candidates import Candidate, find_candidates
from testopt.szz.ranking import candidate_reasons, rank_candidates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

    from testopt.git.file_histories import FileHistory
    from testopt.git.fix_words import EditedFile
    from testopt.git.objects import CommitObject
    from testopt.store import Store
    from testopt.szz.blame import FixTrace
    from testopt.szz.fix_lists import Issue
    from testopt.szz.ranking import RankedCandidate

METHOD: Final = "szz-4"  # changes with whatever changes answers
MAX_WORKERS: Final = 8
AHEAD: Final = 4  # fixes a thread has at hand
MAX_CANDIDATES: Final = 5  # candidates of a fix that are reported
MIN_QUOTED: Final = 16  # characters of a subject by which it is known again in a message
FLUSH: Final = 200  # fixes of one append
# Of openvswitch (20,918 commits) the pass takes 58 s of CPU time, and each fix .04 s behind it.
PASS_S: Final = 0.003  # for each commit
FIX_S: Final = 0.06  # for each fix, on one processor
FLUSH_S: Final = 15.0  # at most so much work is lost by an interruption


@dataclass(frozen=True, slots=True)
class Label:
    """One candidate of a fix: its probability, whether it is the answer, and why."""

    bug_commit: str
    confidence: float
    chosen: bool
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TracedFix:
    """A fix and who introduced its defect: the likeliest first, nobody where it is unknown.

    ``why`` says why the commit counts as a fix, ``notes`` what was left out on the way.
    ``git_failed``: something could not be read; such an answer is not kept, and the next time
    asks again.
    """

    fix_commit: str
    labels: tuple[Label, ...] = ()
    why: str = ""
    notes: tuple[str, ...] = ()
    time: datetime | None = None
    git_failed: bool = False


@dataclass(frozen=True, slots=True)
class SzzReport:
    """All answers; ``known`` of them came from the store, ``missing`` are commits not found.

    ``left`` fixes were not traced, as the time was over; none of them is younger than ``since``.
    """

    traced: tuple[TracedFix, ...]
    known: int = 0
    missing: tuple[str, ...] = ()
    left: int = 0
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Task:
    fix: str
    why: str
    before: datetime | None
    stated: bool
    by_rules: bool = False  # told by its message and changes, not by a list or an issue

    @property
    def method(self) -> str:
        date = f" before {self.before.isoformat()}" if self.before else ""
        return METHOD + ("+stated" if self.stated else "") + date


def trace_fix(
    repo: Path, fix: str, *, before: datetime | None = None, stated: bool = False
) -> TracedFix:
    """Return who introduced the defect that a commit fixes.

    Parameters
    ----------
    repo : Path
        Working tree or bare repository.
    fix : str
        Hash of the fixing commit (shortened ones and other revisions are resolved).
    before : datetime, optional
        When the defect was reported: commits written later are innocent.
    stated : bool
        Believe prose of the message, too ("introduced in 1a2b3c"); trailers and reverts, which
        tools write, are always believed.

    Returns
    -------
    TracedFix
        At most ``MAX_CANDIDATES`` candidates; none, and a note, where nothing can be traced.
    """
    with Tracer(repo) as tracer:
        full = tracer.resolve(fix)
        if full is None:
            return TracedFix(fix, notes=("there is no such commit",))
        return _trace_task(tracer, _Task(full, _why(tracer, full), before, stated))


def _why(tracer: Tracer, sha: str) -> str:
    facts = tracer.commit(sha)
    if facts is None:
        return ""
    files = [FileCounts(path) for path in tracer.paths(sha)]
    classification = classify(facts.message, files, parents=len(facts.parents))
    return (
        classification.reason
        if classification.is_fix
        else f"taken as a fix, though it {classification.reason}"
    )


def szz(
    *,
    repo: Path,
    fixes: Sequence[str] | None = None,
    issues: Mapping[str, Issue] | None = None,
    stated: bool = False,
    fix_pattern: str = "",
    store: Store | None = None,
    progress: Callable[[int, int], None] | None = None,
    stop_after: float | None = None,
) -> SzzReport:
    """Find the commits that introduced the defects which others fixed.

    Parameters
    ----------
    repo : Path
        Working tree or bare repository.
    fixes : sequence of str, optional
        Fixing commits; default those of HEAD whose message says so.
    issues : mapping of str to Issue, optional
        By fixing commit: when its issue was opened, and its type.
    stated : bool
        As for `trace_fix`.
    fix_pattern : str
        Regular expression of subjects of fixing commits; empty: built in.
    store : Store, optional
        Where answers are kept (table ``labels``) and known ones are read from.
    progress : callable, optional
        Called with fixes done and fixes to do.
    stop_after : float, optional
        Seconds after which no further fix is traced; the newest come first.

    Returns
    -------
    SzzReport
        In the order of `fixes`, or newest first.

    Raises
    ------
    RepositoryError
        When git cannot read the repository.
    """
    issues_by_name = issues or {}
    end = None if stop_after is None else time.monotonic() + stop_after
    with Tracer(repo) as tracer:
        issues_by_fix = {tracer.resolve(name): issue for name, issue in issues_by_name.items()}
        missing, head = [], None
        if fixes is None:
            head = tracer.commit(tracer.resolve("HEAD") or "HEAD")
            kinds = {k: i.kind for k, i in issues_by_fix.items() if k}
            reasons_by_fix = dict(find_fixes(repo, kinds, fix_pattern=fix_pattern, store=store))
        else:
            resolved = {name: tracer.resolve(name) for name in fixes}
            missing = [name for name, full in resolved.items() if full is None]
            reasons_by_fix = {full: "given" for full in resolved.values() if full}
    tasks = [
        _Task(
            fix,
            why,
            issues_by_fix[fix].opened if fix in issues_by_fix else None,
            stated,
            by_rules=fixes is None and not (fix in issues_by_fix and issues_by_fix[fix].kind),
        )
        for fix, why in reasons_by_fix.items()
    ]
    stored = _known(store, tasks)
    traced = dict(stored)
    to_do = [t for t in tasks if t.fix not in stored]
    if stop_after is not None and end is not None:
        left_s = max(end - time.monotonic(), stop_after / 2)  # telling fixes took the rest
        if fit := _that_fit(repo, len(to_do), left_s):
            to_do, end = to_do[:fit], None
    for traced_fix in _traced(repo, to_do, store, progress, end):
        traced[traced_fix.fix_commit] = traced_fix
    ordered = tuple(traced[task.fix] for task in tasks if task.fix in traced)
    left = [task.fix for task in tasks if task.fix not in traced]
    since = _latest(repo, left)
    if store is not None:
        _mark(store, ordered, head, since)
    return SzzReport(ordered, len(stored), tuple(missing), len(left), since)


def _that_fit(repo: Path, n_fixes: int, seconds: float) -> int:
    """Return how many fixes fit into some time with one pass over the history; 0: blame is for it.

    The pass tells the oldest fixes first, and so it is never stopped.
    """
    left = seconds - PASS_S * len(list_commits(repo))
    fit = min(n_fixes, int(left / (FIX_S / min(os.cpu_count() or 1, MAX_WORKERS))))
    return fit if left > 0.4 * seconds and fit >= MIN_FIXES else 0


def _latest(repo: Path, shas: Sequence[str]) -> datetime | None:
    """Return when the latest of some commits was committed."""
    with Tracer(repo) as tracer:
        commits = [commit for sha in shas if (commit := tracer.commit(sha))]
    return max(map(_moment, commits), default=None)


def _mark(
    store: Store,
    traced: Sequence[TracedFix],
    head: CommitObject | None,
    since: datetime | None,
) -> None:
    """Record how far fixes were traced: to the head, or to the latest of a list."""
    ends = [(_moment(head), head.sha)] if head else []
    ends = ends or [(a.time, a.fix_commit) for a in traced if a.time]
    if ends:
        until, sha = max(ends)
        unread = sum(a.git_failed for a in traced)
        until = min(until, datetime.now(UTC))  # clocks of committers go wrong
        write_examined(store, Examined(until, sha, len(traced), unread, since))


def _moment(commit: CommitObject) -> datetime:
    return datetime.fromtimestamp(min(max(commit.committed, 0), _MAX_TIME), UTC)


def find_fixes(
    repo: Path,
    kinds: Mapping[str, str] | None = None,
    *,
    fix_pattern: str = "",
    store: Store | None = None,
) -> Iterator[tuple[str, str]]:
    """Yield the fixing commits of HEAD, children first, each with the reason.

    Parameters
    ----------
    repo : Path
        Working tree or bare repository.
    kinds : mapping of str to str, optional
        Types of issues by commit; they decide where they are known.
    fix_pattern : str
        As for `szz`.
    store : Store, optional
        What `mine` has found to be no fix by the same rules is not read again.

    Yields
    ------
    tuple of str
        Full hash, and why the commit counts as a fix.
    """
    judge, kinds = FixJudge(fix_pattern), kinds or {}
    others = _no_fixes(store, judge.rules) if store is not None else set()
    wanted = [s for s in reversed(list_commits(repo)) if s in kinds or s not in others]
    for history in read_history(repo, wanted):
        files: dict[str, list[EditedFile]] = {}
        for row in history.files:
            files.setdefault(row.sha, []).append(row)
        for commit in history.commits:
            kind, changed = kinds.get(commit.sha, ""), files.get(commit.sha, ())
            verdict = judge.judge(
                commit.message, changed, parents=len(commit.parents), issue_type=kind
            )
            if verdict.is_fix:
                yield commit.sha, verdict.reason


def _no_fixes(store: Store, rules: str) -> set[str]:
    """Return the commits of a store that some rules told to be no fixes."""
    judged = read_judged(store)
    if judged is None or judged.rules != rules:
        return set()
    rows = store.read("commits", columns=["sha"], where=[("is_fix", "=", False)])
    return set(rows["sha"].to_pylist()) - judged.left


def _traced(
    repo: Path,
    tasks: Sequence[_Task],
    store: Store | None,
    progress: Callable[[int, int], None] | None,
    end: float | None,
) -> Iterator[TracedFix]:
    """Trace fixes in parallel until the time `end`; write them to the store batch by batch."""
    batch: list[tuple[_Task, TracedFix]] = []
    started = time.monotonic()
    for done, (task, traced) in enumerate(_parallel(repo, tasks, passing=end is None), 1):
        batch.append((task, traced))
        if len(batch) >= FLUSH or time.monotonic() - started > FLUSH_S:
            _write(store, batch)
            batch, started = [], time.monotonic()
        if progress:
            progress(done, len(tasks))
        yield traced
        if end is not None and time.monotonic() > end:
            break
    _write(store, batch)


def _parallel(
    repo: Path, tasks: Sequence[_Task], *, passing: bool
) -> Iterator[tuple[_Task, TracedFix]]:
    """Trace on several threads, each with git processes of its own."""
    if not tasks:
        return
    thread, opened = local(), []

    def work(task: _Task, histories: Mapping[str, FileHistory]) -> TracedFix:
        if not hasattr(thread, "tracer"):
            thread.tracer = Tracer(repo)
            opened.append(thread.tracer)
        try:
            return _trace_task(thread.tracer, task, histories)
        except RepositoryError as error:
            # a damaged object stops git; the next fix starts with a new one
            del thread.tracer
            return TracedFix(task.fix, why=task.why, notes=(error.message,), git_failed=True)

    count = min(os.cpu_count() or 1, MAX_WORKERS, len(tasks))
    pool = ThreadPoolExecutor(count, thread_name_prefix="szz")
    waiting: dict[Future[TracedFix], _Task] = {}
    try:
        for task, histories in _with_histories(repo, tasks, passing=passing):
            waiting[pool.submit(work, task, histories)] = task
            if len(waiting) >= count * AHEAD:
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    yield waiting.pop(future), future.result()
        for future in as_completed(waiting):
            yield waiting[future], future.result()
    finally:
        pool.shutdown(cancel_futures=True)
        for tracer in opened:
            tracer.close()


def _with_histories(
    repo: Path, tasks: Sequence[_Task], *, passing: bool
) -> Iterator[tuple[_Task, Mapping[str, FileHistory]]]:
    """Yield each task, those of many with the histories of their files where a pass is wanted."""
    left = {task.fix: task for task in tasks}
    if not passing:
        yield from ((task, {}) for task in tasks)
        return
    # what git cannot read, the fixes that need it will say
    with suppress(RepositoryError):
        for fix, histories in read_file_histories(repo, left.keys()):
            yield left.pop(fix), histories
    for task in left.values():
        yield task, {}


def _trace_task(
    tracer: Tracer, task: _Task, histories: Mapping[str, FileHistory] | None = None
) -> TracedFix:
    trace = tracer.trace(task.fix, histories)
    if trace.fix is None:
        return TracedFix(task.fix, why=task.why, notes=trace.notes)
    candidates = _with_stated(tracer, trace, prose=task.stated)
    ranked = rank_candidates(candidates, before=task.before.timestamp() if task.before else None)
    notes = list(trace.notes)
    if candidates and not ranked:
        notes.append("all candidates are younger than the issue")
    labels = tuple(_label(s) for s in ranked[:MAX_CANDIDATES])
    return TracedFix(
        task.fix, labels, task.why, tuple(notes), _moment(trace.fix), git_failed=trace.git_failed
    )


_MAX_TIME: Final = 253_402_214_400  # the year 9999, where calendars end


def _with_stated(tracer: Tracer, trace: FixTrace, *, prose: bool) -> list[Candidate]:
    """Return the candidates, with those that the message names marked or added."""
    fix: CommitObject = trace.fix  # type: ignore[assignment]
    candidates = find_candidates(fix, trace.files, trace.facts)
    by_sha = {c.facts.sha: c for c in candidates}
    quoted = [c.facts.sha for c in candidates if _quotes(fix.message, c.facts.subject)]
    for name in (*stated_commits(fix.message, prose=prose), *quoted):
        full = tracer.resolve(name)
        facts = tracer.commit(full) if full and full != fix.sha else None
        if facts is None or facts.committed > fix.committed:
            continue
        if facts.sha not in by_sha:
            by_sha[facts.sha] = Candidate(facts)
            candidates.append(by_sha[facts.sha])
        by_sha[facts.sha].stated = True
    return candidates


def _quotes(message: str, subject: str) -> bool:
    """Tell whether a message quotes the subject of another commit."""
    return len(subject) >= MIN_QUOTED and any(
        f"{a}{subject}{b}" in message for a, b in ('""', "''", "\u201c\u201d", "()")
    )


def _label(ranked: RankedCandidate) -> Label:
    candidate = ranked.candidate
    lines = (f"wrote {place}" for place in candidate.where)
    return Label(
        candidate.facts.sha,
        ranked.confidence,
        ranked.chosen,
        (*candidate_reasons(candidate), *lines),
    )


def _write(store: Store | None, batch: Sequence[tuple[_Task, TracedFix]]) -> None:
    """Append a batch of answers, once however often it is tried."""
    batch = [(task, traced) for task, traced in batch if not traced.git_failed]
    if store is None or not batch:
        return
    seen = datetime.now(UTC)
    rows = [row for task, traced in batch for row in _rows(task, traced, seen)]
    key = hashlib.sha256("\n".join(f"{t.fix} {t.method}" for t, _ in batch).encode()).hexdigest()
    store.append("labels", {f"szz {key}": _table(rows)})


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_pylist(rows, schema=arrow_schema("labels"))


def _rows(task: _Task, traced: TracedFix, seen: datetime) -> Iterator[dict[str, Any]]:
    evidence = {"why": traced.why, "notes": traced.notes, "by_rules": task.by_rules}
    for label in traced.labels or (None,):
        yield {
            "fix_commit": traced.fix_commit,
            "bug_commit": label.bug_commit if label else None,
            "confidence": label.confidence if label else 0.0,
            "chosen": bool(label and label.chosen),
            "evidence": json.dumps({**evidence, "reasons": label.reasons if label else ()}),
            "time": traced.time or datetime.fromtimestamp(0, UTC),
            "seen": seen,
            "method": task.method,
        }


def _known(store: Store | None, tasks: Iterable[_Task]) -> dict[str, TracedFix]:
    """Return the answers that the store already has, found by the same method."""
    methods = {task.fix: task.method for task in tasks}
    if store is None or not methods:
        return {}
    traced: dict[str, TracedFix] = {}
    newest: dict[str, datetime] = {}
    rows = store.read("labels").to_pylist()
    for row in rows:
        fix = row["fix_commit"]
        if methods.get(fix) == row["method"]:
            newest[fix] = max(newest.get(fix, row["seen"]), row["seen"])
    for row in rows:
        fix = row["fix_commit"]
        if methods.get(fix) == row["method"] and row["seen"] == newest[fix]:
            traced[fix] = _with_row(traced.get(fix), row)
    return traced


def _with_row(traced: TracedFix | None, row: Mapping[str, Any]) -> TracedFix:
    """Add a row of the store to an answer."""
    evidence = json.loads(row["evidence"])
    if traced is None:
        traced = TracedFix(
            row["fix_commit"], (), evidence["why"], tuple(evidence["notes"]), row["time"]
        )
    if row["bug_commit"] is None:
        return traced
    confidence = round(row["confidence"], 6)
    label = Label(row["bug_commit"], confidence, row["chosen"], tuple(evidence["reasons"]))
    labels = sorted((*traced.labels, label), key=lambda x: (-x.chosen, -x.confidence))
    return replace(traced, labels=tuple(labels))


def label_rows(report: SzzReport) -> dict[str, list[Any]]:
    """Return the columns ``fix_commit, bug_commit, confidence, chosen`` of a report."""
    rows = [(a.fix_commit, x) for a in report.traced for x in a.labels]
    return {
        "fix_commit": [fix for fix, _ in rows],
        "bug_commit": [x.bug_commit for _, x in rows],
        "confidence": [x.confidence for _, x in rows],
        "chosen": [x.chosen for _, x in rows],
    }
