"""Which commits fix a defect, and for what reason: rules, and learnt weights of words.

The rules are read from top to bottom and the first that holds decides:

1. An issue of a known type decides: a bug is a fix, anything else is not.
2. Merges, and commits that change only tests, documents or the set-up of CI, are not fixes.
3. ``Revert "…"`` is a fix of what it takes back; taking back a revert is not.
4. The type of a conventional commit decides (``fix:``, ``docs:`` …), as do the prefixes of
   projects that mark defects (``BUG/MINOR:``, ``[fix]``).
5. Trailers and sentences that name a defect (``Fixes: 1a2b3c``, ``introduced by 1a2b3c``).
6. Subjects about typos, formatting, comments, documentation, tests or releases are not fixes,
   unless they name a failure and a repair as well.
7. Unless the subject announces something new: closed issues (``fixes #12``), numbers of bugs
   (``BZ 123``), and words for failing in the subject.
8. Else the weights decide that ``scripts/train_fixes.py`` learnt (``fix_words.json``): words of
   subject and body, kinds and number of files.

Cherry-picks and back-ports are fixes where their message says so; the reason tells of them.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from testopt.code.paths import is_code, is_test_path, language_of
from testopt.git.fix_words import (
    CLOSES,
    FAILURE,
    FEATURE,
    NOT_A_FIX,
    REPAIR,
    TRACKED,
    TRIVIAL,
    in_english,
    message_facts,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_I: Final = re.IGNORECASE
_HASH: Final = r"(?<![0-9a-z])(?=[0-9a-f]*\d|[a-f]{8})[0-9a-f]{6,40}(?![0-9a-z])"
_BUG_NUMBER: Final = re.compile(r"bug|bz|rh|lp", _I)
_STAND_INS: Final = ("codename", "issuenumber", "bugnumber")
_SHOWN: Final = 3  # words that a reason names
_BUG_TYPES: Final = re.compile(r"bug|defect|regression|crash|fault|error|incident", _I)

_REVERT: Final = re.compile(r"^(?:\[[^\]]*\]\s*)?revert(?:s|ed|ing)?\b[:\s]*(.*)", _I)
_REAPPLY: Final = re.compile(r'^["\'(\s]*(?:revert|reapply)', _I)
_REVERTED: Final = re.compile(rf"\breverts? (?:commit )?({_HASH})", _I)
_CONVENTIONAL: Final = re.compile(r"^(\w+)(?:\([^)]*\))?!?:\s")
_TYPE_IS_FIX: Final = {
    **dict.fromkeys(("fix", "bugfix", "hotfix", "bug", "patch"), True),
    **dict.fromkeys(
        ("feat", "feature", "docs", "doc", "style", "test", "tests", "chore", "build", "ci",
         "refactor", "perf", "release", "deps", "i18n", "l10n"),
        False,
    ),
}  # fmt: skip
_FIX_MARKER: Final = re.compile(
    r"^(?:\W*(?:bug|bug-?fix|hot-?fix|fix)\b\W*[\]/:]|:bug:|:ambulance:|\U0001f41b)", _I
)
_NAMED_COMMITS: Final = (
    (re.compile(rf"^fixes:\s*({_HASH})\b", _I | re.MULTILINE), "trailer Fixes"),
    (
        re.compile(
            r"(?:introduced|caused|created|broken|regress\w*)\s+(?:\w+\s+){0,3}?"
            rf"(?:(?:commit|revision|rev|changeset)\s+)?#?({_HASH})",
            _I,
        ),
        "names the commit that introduced the defect",
    ),
    (
        re.compile(
            r"\b(?:bug|error|issue|problem|regression|breakage|typo|crash|fix|bugfix)\w*\s+"
            r"(?:\w+\s+){0,4}?(?:in|by|from|with|of|to|since|after)\s+(?:\w+\s+){0,2}?"
            rf"#?({_HASH})",
            _I,
        ),
        "names the commit that introduced the defect",
    ),
)
_CHERRY_PICKED: Final = (
    (re.compile(rf"\(?cherry[- ]picked from commit ({_HASH})", _I), "cherry-picked from"),
    (re.compile(r"\bback-?port(?:s|ed|ing)?\b", _I), "a back-port"),
)
_CI: Final = re.compile(
    r"(?:\.github/|\.travis|\.gitlab-ci|\.circleci/|\.?appveyor|azure-pipelines|jenkinsfile)", _I
)


@dataclass(frozen=True, slots=True)
class FixClassification:
    """Whether a commit fixes a defect, and the reason in words."""

    is_fix: bool
    reason: str


def classify(
    message: str, paths: Sequence[str], *, parents: int = 1, issue_type: str = ""
) -> FixClassification:
    """Tell whether a commit fixes a defect.

    Parameters
    ----------
    message : str
        Whole commit message.
    paths : sequence of str
        Files that it changes.
    parents : int
        How many parents it has.
    issue_type : str
        Type of the issue that it closes, where known ("bug", "feature", …).

    Returns
    -------
    FixClassification
        By the rules of this module.
    """
    subject, _, body = message.strip().partition("\n")
    subject = in_english(subject)
    rules = (
        _by_issue(issue_type),
        _by_shape(paths, parents),
        _by_revert(subject),
        _by_marker(subject),
        _by_name(message),
        _by_subject(subject, body),
    )
    classification = next((v for v in rules if v), None) or _by_words(message, paths)
    return _with_origin(classification, message) if classification.is_fix else classification


def _yes(reason: str) -> FixClassification:
    return FixClassification(is_fix=True, reason=reason)


def _no(reason: str) -> FixClassification:
    return FixClassification(is_fix=False, reason=reason)


def _by_issue(issue_type: str) -> FixClassification | None:
    if not issue_type:
        return None
    reason = f"its issue is of type {issue_type}"
    return _yes(reason) if _BUG_TYPES.search(issue_type) else _no(reason)


def _by_shape(paths: Sequence[str], parents: int) -> FixClassification | None:
    if parents > 1:
        return _no("a merge")
    if not paths:
        return _no("changes no file")
    if all(is_test_path(p) for p in paths):
        return _no("changes tests only")
    if all(_CI.match(p) for p in paths):
        return _no("changes the set-up of CI only")
    if all(language_of(p) == "text" or (is_test_path(p) and not is_code(p)) for p in paths):
        return _no("changes documents only")
    return None


def _by_revert(subject: str) -> FixClassification | None:
    if not (match := _REVERT.match(subject)):
        return None
    if _REAPPLY.match(match[1]):
        return _no("brings back what was reverted")
    return _yes("reverts an earlier commit")


def _by_marker(subject: str) -> FixClassification | None:
    if match := _CONVENTIONAL.match(subject):
        kind = match[1].lower()
        description = subject[match.end() :]
        trivial = TRIVIAL.search(description) and not FAILURE.search(description)
        if _TYPE_IS_FIX.get(kind) and not trivial:
            return _yes(f"conventional commit of type {kind}")
        if _TYPE_IS_FIX.get(kind) is False:
            return _no(f"conventional commit of type {kind}")
    if (match := _FIX_MARKER.match(subject)) and not TRIVIAL.search(subject):
        return _yes(f"marked {match[0].strip()}")
    return None


def _by_name(message: str) -> FixClassification | None:
    for pattern, reason in _NAMED_COMMITS:
        if match := pattern.search(message):
            return _yes(f"{reason}: {match[1]}")
    return None


def _by_subject(subject: str, body: str) -> FixClassification | None:
    failure, repair = FAILURE.search(subject), REPAIR.search(subject)
    if (trivial := TRIVIAL.search(subject)) and not (failure and repair):
        return _no(f"is about {trivial[0].lower()}")
    if NOT_A_FIX.search(subject) and not repair:
        return _no("announces something else")
    if FEATURE.match(subject):
        return None
    if closes := CLOSES.search(f"{subject}\n{body}"):
        return _yes(f'message says "{" ".join(closes[0].split())}"')
    if (named := TRACKED.search(subject)) and _BUG_NUMBER.match(named[0]):
        return _yes(f'subject says "{named[0]}"')
    return _yes(f'subject says "{failure[0]}"') if failure else None


def _by_words(message: str, paths: Sequence[str]) -> FixClassification:
    """Let the learnt weights of all facts decide."""
    weights = _weights()
    told = {fact: w for fact in message_facts(message, paths) if (w := weights.words.get(fact))}
    if weights.intercept + sum(told.values()) < weights.threshold:
        return _no("says little of a defect")
    if repair := REPAIR.search(message.strip().partition("\n")[0]):
        return _yes(f'subject says "{repair[0]}"')
    best = sorted((-w, fact[2:]) for fact, w in told.items() if w > 0 and fact[0] in "svb")
    words = [w for w in dict.fromkeys(fact for _, fact in best) if w not in _STAND_INS][:_SHOWN]
    quoted = ", ".join(f'"{word}"' for word in words)
    return _yes(f"message has words of fixes: {quoted}" if words else "message reads like a fix")


@dataclass(frozen=True, slots=True)
class _Weights:
    """Log-odds of each fact; a commit whose sum is not below the threshold is a fix."""

    intercept: float
    threshold: float
    words: dict[str, float]


@cache
def _weights() -> _Weights:
    document = json.loads(Path(__file__).with_name("fix_words.json").read_text(encoding="utf-8"))
    return _Weights(document["intercept"], document["threshold"], document["words"])


def _with_origin(classification: FixClassification, message: str) -> FixClassification:
    for pattern, words in _CHERRY_PICKED:
        if match := pattern.search(message):
            origin = match[1] if pattern.groups else ""
            reason = f"{classification.reason}; {words} {origin}".rstrip()
            return FixClassification(is_fix=True, reason=reason)
    return classification


def stated_commits(message: str, *, prose: bool = False) -> list[str]:
    """Return the hashes that a fix names as the commit it repairs.

    Parameters
    ----------
    message : str
        Whole commit message.
    prose : bool
        Read sentences ("introduced in 1a2b3c") too; otherwise only what tools write: the
        trailer ``Fixes: 1a2b3c`` and git's own "This reverts commit 1a2b3c".

    Returns
    -------
    list of str
        As written, shortened ones included, without repeats.
    """
    patterns = [
        _NAMED_COMMITS[0][0],
        _REVERTED,
        *((p for p, _ in _NAMED_COMMITS[1:]) if prose else ()),
    ]
    hashes = [match[1].lower() for pattern in patterns for match in pattern.finditer(message)]
    return list(dict.fromkeys(hashes))
