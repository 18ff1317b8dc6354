"""Traces one fix: its candidates, those that its message names, and the ranking."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from testopt.git.fixes import stated_commits
from testopt.szz.answers import Label, TracedFix
from testopt.szz.candidates import Candidate, find_candidates
from testopt.szz.ranking import candidate_reasons, rank_candidates

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testopt.git.file_histories import FileHistory
    from testopt.git.objects import CommitObject
    from testopt.szz.answers import FixTask
    from testopt.szz.blame import FixTrace, Tracer
    from testopt.szz.ranking import RankedCandidate

MAX_CANDIDATES: Final = 5  # candidates of a fix that are reported
MIN_QUOTED: Final = 16  # characters of a subject by which it is known again in a message
_MAX_TIME: Final = 253_402_214_400  # the year 9999, where calendars end


def trace_task(
    tracer: Tracer, task: FixTask, histories: Mapping[str, FileHistory] | None = None
) -> TracedFix:
    """Return who introduced the defect of one fix.

    Parameters
    ----------
    tracer : Tracer
        Of the repository, for this thread.
    task : FixTask
        The fix.
    histories : mapping of str to FileHistory, optional
        As for `Tracer.trace`.

    Returns
    -------
    TracedFix
        At most ``MAX_CANDIDATES`` candidates.
    """
    trace = tracer.trace(task.fix, histories)
    if trace.fix is None:
        return TracedFix(task.fix, why=task.why, notes=trace.notes)
    candidates = _with_stated(tracer, trace, prose=task.stated)
    ranked = rank_candidates(candidates, before=task.before.timestamp() if task.before else None)
    notes = list(trace.notes)
    if candidates and not ranked:
        notes.append("all candidate commits are younger than the issue")
    labels = tuple(_label(s) for s in ranked[:MAX_CANDIDATES])
    return TracedFix(
        task.fix,
        labels,
        task.why,
        tuple(notes),
        commit_time(trace.fix),
        git_failed=trace.git_failed,
    )


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


def commit_time(commit: CommitObject) -> datetime:
    """Return when a commit was committed, within what a calendar holds."""
    return datetime.fromtimestamp(min(max(commit.committed, 0), _MAX_TIME), UTC)
