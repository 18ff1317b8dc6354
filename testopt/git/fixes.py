"""Which commits fix a defect, and for what reason: rules, and learnt weights of words and lines.

The rules are read from top to bottom and the first that holds decides:

1. An issue of a known type decides: a bug is a fix, anything else is not.
2. Merges, and commits that change nothing of the program (tests, documents, builds, examples
   alone), are not fixes.
3. ``Revert "…"`` is a fix of what it takes back; taking back a revert is not.
4. The type of a conventional commit decides (``fix:``, ``docs:`` …), as do the prefixes of
   projects that mark defects (``BUG/MINOR:``, ``[fix]``).
5. Trailers and sentences that name a defect (``Fixes: 1a2b3c``, ``introduced by 1a2b3c``).
6. Subjects about typos, formatting, comments, documentation, tests, builds or releases are not
   fixes, unless they name a failure and a repair as well.
7. Else the weights decide that ``scripts/train_fixes.py`` learnt (``fix_words.json``): words of
   subject and body, kinds of files, lines added and deleted, tests. Where a message names a defect
   (closes an issue, a number of a bug, a word for failing), less is asked for.

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
    BODY_FIX,
    FAILURE,
    FEATURE,
    MAX_READ,
    NOT_A_FIX,
    REPAIR,
    TRACKED,
    TRIVIAL,
    closed_issue,
    in_english,
    is_program,
    message_facts,
)
from testopt.schema import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from testopt.git.fix_words import EditedFile

RULES: Final = "fixes-3"  # changes with whatever changes a verdict, but for the weights
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


def built_in_rules() -> str:
    """Name the rules and weights of this module; another name for others."""
    return f"{RULES} {_weights().digest}"


def classify(
    message: str, files: Sequence[EditedFile], *, parents: int = 1, issue_type: str = ""
) -> FixClassification:
    """Tell whether a commit fixes a defect.

    Parameters
    ----------
    message : str
        Whole commit message.
    files : sequence of EditedFile
        What it changes.
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
    classification = (
        _by_issue(issue_type)
        or _by_shape([file.path for file in files], parents)
        or _by_revert(subject)
        or _by_marker(subject)
        or _by_name(message)
        or _by_subject(subject, body)
        or _by_weights(message, files)
    )
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
    if any(map(is_program, paths)):
        return None
    if not paths:
        return _no("changes no file")
    kinds: dict[str, Callable[[str], object]] = {
        "tests": is_test_path,
        "the set-up of CI": _CI.match,
        "documents": lambda p: language_of(p) == "text" or (is_test_path(p) and not is_code(p)),
    }
    only = (kind for kind, is_of in kinds.items() if all(map(is_of, paths)))
    return _no(f"changes {next(only, 'what builds, tests or explains the program')} only")


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
    if NOT_A_FIX.search(subject) and not repair and not closed_issue(body):
        return _no("announces something else")
    return None


def _by_weights(message: str, files: Sequence[EditedFile]) -> FixClassification:
    """Let the learnt weights of all facts decide; where a defect is named, fewer are enough."""
    weights = _weights()
    facts = message_facts(message, files)
    told = {fact: w for fact in facts if (w := weights.facts.get(fact))}
    named = _named_defect(*message.strip().partition("\n")[::2])
    threshold = weights.threshold_named if named else weights.threshold
    if weights.intercept + sum(told.values()) < threshold:
        return _no("says little of a defect")
    if named:
        return _yes(named)
    if repair := REPAIR.search(in_english(message.strip().partition("\n")[0])):
        return _yes(f'subject says "{repair[0]}"')
    best = sorted((-w, facts[fact]) for fact, w in told.items() if w > 0 and facts[fact])
    words = [w for w in dict.fromkeys(fact for _, fact in best) if w not in _STAND_INS][:_SHOWN]
    quoted = ", ".join(f'"{word}"' for word in words)
    return _yes(f"message has words of fixes: {quoted}" if words else "message reads like a fix")


def _named_defect(subject: str, body: str) -> str:
    """Return how a message names a defect: a closed issue, a bug, a failure; or nothing."""
    subject = in_english(subject)
    if FEATURE.match(subject):
        return ""
    if closes := closed_issue(f"{subject}\n{body}"):
        return f'message says "{closes}"'
    if (tracked := TRACKED.search(subject)) and _BUG_NUMBER.match(tracked[0]):
        return f'subject says "{tracked[0]}"'
    if failure := FAILURE.search(subject):
        return f'subject says "{failure[0]}"'
    repaired = BODY_FIX.search(body[:MAX_READ])
    return f'message says "{" ".join(repaired[0].split())}"' if repaired else ""


@dataclass(frozen=True, slots=True)
class _Weights:
    """Log-odds of each fact; a commit whose sum is not below the threshold is a fix."""

    intercept: float
    threshold: float
    threshold_named: float
    facts: dict[str, float]
    digest: str


@cache
def _weights() -> _Weights:
    text = Path(__file__).with_name("fix_words.json").read_text(encoding="utf-8")
    document = json.loads(text)
    return _Weights(
        document["intercept"],
        document["threshold"],
        document["threshold_named"],
        document["facts"],
        digest(text),
    )


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
