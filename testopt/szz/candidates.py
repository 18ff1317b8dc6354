"""Finds candidates for the commit that introduced a defect, with the evidence for each."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from testopt.code.lines import code_mask, line_identifiers, without_whitespace
from testopt.szz.hunks import (
    function_around,
    lines_of_code,
    named_lines,
    surrounding_lines,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from testopt.git.objects import CommitObject
    from testopt.szz.hunks import FileDiff, TextHunk

DECAY: Final = 3.0  # lines over which the weight of a neighbouring line falls to 1/e
MAX_DISTANCE: Final = 30  # distance of a commit that wrote none of the lines nearby
MAX_PAST_COMMITS: Final = 20  # latest commits of a file that are looked at
MIN_MERGE_PARENTS: Final = 2  # parents
MAX_PROSE: Final = 200  # lines of a message whose words count
SECONDS_PER_DAY: Final = 86_400
_MESSAGE_WORD: Final = re.compile(r"[^\W\d_]{3,}")
_TRAILER: Final = re.compile(r"\s*(?:[A-Z][\w-]*-(?:by|at|id|Id)|Cc|CC): ")
_COPIED: Final = re.compile(r"^\s*cc:(.*)", re.IGNORECASE | re.MULTILINE)
_ADDRESS: Final = re.compile(r"[\w.+-]+@[\w.-]*\w")
_COMMON: Final = frozenset(
    ("add", "and", "fix", "fixed", "fixes", "for", "from", "the", "use", "with")
)
_SHOWN: Final = 5  # lines shown as evidence for a candidate


@dataclass(frozen=True, slots=True)
class PastChange:
    """One earlier commit of a file and what it did to it."""

    sha: str
    hunks: tuple[TextHunk, ...]


@dataclass(frozen=True, slots=True)
class FileTrace:
    """One file of a fix, traced back.

    ``hunks`` are the meaningful ones, ``lines`` the numbers of the suspect old lines, ``blame``
    the commit that wrote each line looked at, ``past`` the file's latest commits, newest first.
    """

    diff: FileDiff
    hunks: tuple[TextHunk, ...]
    lines: tuple[int, ...]
    blame: Mapping[int, str]
    past: tuple[PastChange, ...] = ()
    weight: int = 2  # 2 code, 1 tests, 0 anything else


@dataclass(slots=True)
class Candidate:
    """A commit that may have introduced the defect, and the evidence.

    ``written`` counts the suspect lines that it wrote, ``near`` the lines around the hunks with
    a weight that falls with distance, ``distance`` the lines from the nearest hunk to the nearest
    line of it, ``position`` its place among the latest commits of the file (0: the last one),
    ``returned`` names it deleted that the fix adds, ``restored`` whole lines that it deleted and
    the fix adds. Where a fix only adds: ``around`` counts the lines of the same functions that it
    wrote, ``named`` weighs lines elsewhere in the file that hold rare names which the fix adds.
    ``introduced`` counts such names that it once added to the file. ``overlap`` is the share of
    the files of the fix that it changed, ``alike`` how alike the subjects are, ``told`` how far the
    message of the fix tells its subject, ``copied`` that the message copies its author (``Cc:``):
    some projects ask for that of whom a fix is about. ``share``,
    ``near``, ``around`` and ``named`` are shares of all candidates of the fix; ``latest`` and
    ``most`` tell the last one and the one of most lines among those that wrote suspect lines.
    """

    facts: CommitObject
    written: int = 0
    share: float = 0.0
    near: float = 0.0
    distance: int = MAX_DISTANCE
    position: int = MAX_PAST_COMMITS
    returned: int = 0
    restored: int = 0
    around: float = 0.0
    named: float = 0.0
    introduced: int = 0
    overlap: float = 0.0
    alike: float = 0.0
    told: float = 0.0
    copied: bool = False
    latest: bool = False
    most: bool = False
    sibling: bool = False
    only_adds: bool = False
    same_author: bool = False
    age_days: float = 0.0
    stated: bool = False
    where: list[str] = field(default_factory=list)


def find_candidates(
    fix: CommitObject, traces: Sequence[FileTrace], facts: Mapping[str, CommitObject]
) -> list[Candidate]:
    """Return the candidates of a fix with their evidence, the latest first.

    Parameters
    ----------
    fix : CommitObject
        The fixing commit.
    traces : sequence of FileTrace
        Its files. Only code counts where there is some, then tests, then the rest.
    facts : mapping of str to CommitObject
        By hash; commits that are not in it (beyond a shallow clone) are no candidates.

    Returns
    -------
    list of Candidate
        Merges only where nothing else is left: what they bring in was written elsewhere.
    """
    highest = max((t.weight for t in traces if t.hunks), default=0)
    collector = _CandidateCollector(facts)
    for trace in traces:
        if trace.weight == highest and trace.hunks:
            collector.count_suspect_lines(trace)
            collector.weigh_nearby_lines(trace)
            collector.compare_past_changes(trace)
            if not trace.lines:
                collector.weigh_function(trace)
    candidates = collector.candidates()
    _compare_with_fix(fix, candidates)
    _compare_with_each_other(candidates)
    return sorted(candidates, key=lambda c: (-c.facts.committed, c.position, c.facts.sha))


def _compare_with_fix(fix: CommitObject, candidates: Sequence[Candidate]) -> None:
    paths, words = set(fix.paths), _message_words(fix.message)
    copied = {a.lower() for line in _COPIED.findall(fix.message) for a in _ADDRESS.findall(line)}
    for c in candidates:
        c.same_author = c.facts.author == fix.author
        address = c.facts.author.decode("utf-8", "replace").lower()
        c.copied = address in copied and not c.same_author
        c.age_days = max(fix.committed - c.facts.committed, 0) / SECONDS_PER_DAY
        c.sibling = c.same_author and abs(fix.authored - c.facts.authored) < SECONDS_PER_DAY
        c.overlap = len(paths.intersection(c.facts.paths)) / max(len(paths), 1)
        subject = _message_words(c.facts.subject)
        c.alike = len(words & subject) / math.sqrt(max(len(words), 1) * max(len(subject), 1))
    _compare_messages(fix, candidates)


def _compare_messages(fix: CommitObject, candidates: Sequence[Candidate]) -> None:
    """Tell how far the message of a fix tells the subject of each candidate; rare words more."""
    text = _prose_words(fix.message)
    told_by = Counter(w for c in candidates for w in _prose_words(c.facts.message))
    weight = {w: math.log((len(candidates) + 1) / (n + 0.5)) for w, n in told_by.items()}
    unheard = math.log((len(candidates) + 1) / 0.5)
    of_fix = sum(weight.get(w, unheard) for w in text)
    for c in candidates:
        subject = _message_words(c.facts.subject)
        both = sum(weight[w] for w in text & subject)
        c.told = both / math.sqrt(max(of_fix * sum(weight[w] for w in subject), 1e-9))


def _compare_with_each_other(candidates: Sequence[Candidate]) -> None:
    written, near = sum(c.written for c in candidates), sum(c.near for c in candidates)
    around, named = sum(c.around for c in candidates), sum(c.named for c in candidates)
    for c in candidates:
        c.share = c.written / max(written, 1)
        c.near = c.near / near if near else 0.0
        c.around = c.around / around if around else 0.0
        c.named = c.named / named if named else 0.0
        c.only_adds = not written
    writers = [c for c in candidates if c.written]
    if writers:
        max(writers, key=lambda c: (c.facts.committed, c.written)).latest = True
        max(writers, key=lambda c: (c.written, c.facts.committed)).most = True


def _message_words(message: str) -> set[str]:
    """Return the words of a subject, by which commits on the same matter are recognised."""
    subject = message.strip().partition("\n")[0]
    return {w.lower() for w in _MESSAGE_WORD.findall(subject)} - _COMMON


def _prose_words(message: str) -> set[str]:
    """Return the words of a message but for its trailers."""
    lines = message.strip().split("\n")
    prose = lines[:1] + [line for line in lines[1:MAX_PROSE] if not _TRAILER.match(line)]
    return {w.lower() for line in prose for w in _MESSAGE_WORD.findall(line)} - _COMMON


class _CandidateCollector:
    """Collects candidates and their evidence file by file."""

    def __init__(self, facts: Mapping[str, CommitObject]) -> None:
        self._facts = facts
        self._candidates: dict[str, Candidate] = {}

    def _candidate(self, sha: str | None) -> Candidate | None:
        if sha is not None and sha not in self._candidates and sha in self._facts:
            self._candidates[sha] = Candidate(self._facts[sha])
        return self._candidates.get(sha or "")

    def candidates(self) -> list[Candidate]:
        all_candidates = list(self._candidates.values())
        return [
            c for c in all_candidates if len(c.facts.parents) < MIN_MERGE_PARENTS
        ] or all_candidates

    def count_suspect_lines(self, trace: FileTrace) -> None:
        """Count the suspect lines that each commit wrote."""
        for number in trace.lines:
            if candidate := self._candidate(trace.blame.get(number)):
                candidate.written += 1
                if len(candidate.where) < _SHOWN:
                    candidate.where.append(f"{trace.diff.path}:{number}")

    def weigh_nearby_lines(self, trace: FileTrace) -> None:
        """Weigh the lines of code around each hunk, which is all that an insertion has."""
        mask = lines_of_code(trace.diff.before, trace.diff.language)
        for hunk in trace.hunks:
            span = hunk.span
            for number in surrounding_lines(trace.diff, hunk):
                candidate = self._candidate(trace.blame.get(number)) if mask[number - 1] else None
                if candidate is not None:
                    distance = _distance(number, span)
                    candidate.near += math.exp(-distance / DECAY)
                    candidate.distance = min(candidate.distance, distance)

    def weigh_function(self, trace: FileTrace) -> None:
        """Weigh the functions that lines were added to, and what else names what was added."""
        mask = lines_of_code(trace.diff.before, trace.diff.language)
        for hunk in trace.hunks:
            for number in function_around(trace.diff, hunk):
                if mask[number - 1] and (c := self._candidate(trace.blame.get(number))):
                    c.around += 1.0
        for number, weight in named_lines(trace.diff, trace.hunks).items():
            if mask[number - 1] and (c := self._candidate(trace.blame.get(number))):
                c.named += weight

    def compare_past_changes(self, trace: FileTrace) -> None:
        """Compare what the file's latest commits did with what the fix does."""
        added = Counter(line_identifiers(line for h in trace.hunks for line in h.new))
        added_lines = _whole_lines(trace)
        for position, change in enumerate(trace.past):
            if not (candidate := self._candidate(change.sha)):
                continue
            candidate.position = min(candidate.position, position)
            deleted = Counter(line_identifiers(line for h in change.hunks for line in h.old))
            candidate.returned += (added & deleted).total()
            written = set(line_identifiers(line for h in change.hunks for line in h.new))
            candidate.introduced += len(added.keys() & (written - deleted.keys()))
            deleted_lines = {without_whitespace(line) for h in change.hunks for line in h.old}
            candidate.restored += len(added_lines & deleted_lines)


def _whole_lines(trace: FileTrace) -> set[str]:
    """Return the lines of code that the fix adds, without whitespace."""
    added = [line for hunk in trace.hunks for line in hunk.new]
    mask = code_mask(added, trace.diff.language)
    return {without_whitespace(line) for line, code in zip(added, mask, strict=True) if code}


def _distance(number: int, span: range) -> int:
    if number < span.start:
        return span.start - number
    return max(number - span.stop + 1, 0)
