"""Which commits fix a defect, and for what reason: rules over messages and paths.

The rules are read from top to bottom and the first that holds decides:

1. An issue of a known type decides: a bug is a fix, anything else is not.
2. Merges, and commits that change only tests, documents or the set-up of CI, are not fixes.
3. ``Revert "…"`` is a fix of what it takes back; taking back a revert is not.
4. The type of a conventional commit decides (``fix:``, ``docs:`` …), as do the prefixes of
   projects that mark defects (``BUG/MINOR:``, ``[fix]``).
5. Trailers and sentences that name a defect (``Fixes: 1a2b3c``, ``introduced by 1a2b3c``).
6. Subjects about typos, formatting, comments, documentation, tests or releases are not fixes,
   unless they name a failure as well.
7. Words for repairing and for failing in the subject.
8. Closed issues (``fixes #12``), and sentences such as "this fixes a crash" in the body.

Cherry-picks and back-ports are fixes where their message says so; the reason tells of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from testopt.code.paths import is_code, is_test_path, language_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_I: Final = re.IGNORECASE
_HASH: Final = r"(?<![0-9a-z])(?=[0-9a-f]*\d|[a-f]{8})[0-9a-f]{6,40}(?![0-9a-z])"
_ISSUE: Final = (
    r"(?:(?:issues?|bugs?|tickets?)\s*)?(?:#|gh-|[a-z][\w.-]*/[\w.-]+#|https?://\S+/)\d+"
)
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
_FAILURE: Final = re.compile(
    r"\bbug(?:s|gy|fix(?:es)?)?\b|\bcrash\w*|\bsegfault\w*|\bregress\w*|\bdefects?\b"
    r"|\bfault(?:s|y)?\b"
    r"|\bdead-?lock\w*|\brace condition|\b(?:memory|resource) leaks?|\bleaks?\b|\binfinite loop"
    r"|\b(?:null ?pointer|npe|nullref\w*)\b|\boverflow\w*|\buse[- ]after[- ]free"
    r"|\bbroken?\b|\bbroke\b|\bincorrect\w*|\bwrong(?:ly)?\b|\bexception\b|\bhangs?\b|\bvulnerab\w*|\bcve-\d|\bxss\b",
    _I,
)
_REPAIR: Final = re.compile(
    r"\b(?:bug|hot|quick)?-?fix(?:e[sd]|ing)?\b(?![- ](?:width|size|point|length|seed)\b)"
    r"|\brepair(?:s|ed|ing)?\b|\bcorrect(?:s|ed|ing|ly)?\b|\bresolv(?:e[sd]?|ing)\b"
    r"|\bwork-?around\b|\b(?:wh)?oops\b|\bunbreak\b|\bregression\b"
    r"|\badd(?:ed|s)? missing (?:import|check|return|include|call|await)"
    r"|\bforg[eo]t(?:ten)?\b|\bprevent(?:s|ed|ing)?\b|\bavoid(?:s|ed|ing)?\b|\bproperly\b"
    r"|\b(?:don'?t|do not|stop) (?:crash|fail|rais|throw|hang|break)\w*",
    _I,
)
_TRIVIAL: Final = re.compile(
    r"\btypos?\b|\bspelling\b|\bgrammar\b|\bmisspell\w*|\bwhite-?spaces?\b|\bindent\w*"
    r"|\b(?:re-?)?format(?:ting|ted)?\b(?=\s*(?:$|code|files?|source|fix|issues?|of\b|in\b))"
    r"|\bcod(?:e|ing) style\b|\bstyle (?:fix|issue|error)\w*|\bfix(?:e[sd])? style\b|\blint\w*\b"
    r"|\bpep-?8\b|\bflake8\b|\bpylint\b|\beslint\b|\bjshint\b|\bcheckstyle\b|\brubocop\b"
    r"|\bcomments?\b(?=\s*(?:$|in\b|for\b|typo|fix))|\bdoc(?:s|string)?s?\b|\bdocumentation\b"
    r"|\bjavadocs?\b|\bread-?me\b|\bchange-?log\b|\brelease notes\b|\bcopyright\b|\blicen[cs]e\b"
    r"|\btranslations?\b|\b(?:bump|release) v?\d"
    r"|\b(?:fix|repair)\w* (?:\w+ ){0,2}(?:unit ?)?tests?\b"
    r"|\btravis\b|\bgithub actions?\b|\bcoverage\b|\bsemicolons?\b(?! (?:bug|crash))",
    _I,
)
_NOT_A_FIX: Final = re.compile(
    r"\b(?:bug|issue) (?:template|report|tracker)|\bfix(?:ed)?[- ](?:width|size|point|length)"
    r"|\berror (?:messages?|pages?|handling)\b.*\b(?:add|improve)|^(?:add|improve|implement)\b.*"
    r"\berror (?:messages?|pages?|handling)\b|^merge\b|^bump\b|^release\b|^version\b"
    r"|^update changelog",
    _I,
)
_FEATURE: Final = re.compile(
    r"^(?:\W*\w+:\s*)?(?:add|implement|introduc|support|allow|new|feature|enh\b|enhance|improve)",
    _I,
)
_CLOSES: Final = re.compile(rf"\b(fix(?:e[sd])?|close[sd]?|resolve[sd]?):?\s+{_ISSUE}", _I)
_BODY_FIX: Final = re.compile(
    r"\b(?:fix(?:e[sd])?|solve[sd]?|resolve[sd]?|correct(?:s|ed)?)\s+(?:\w+\s+){0,3}?"
    r"(?:bug|crash|regression|error|issue|problem|failure|leak|defect)",
    _I,
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
    rules = (
        _by_issue(issue_type),
        _by_shape(paths, parents),
        _by_revert(subject),
        _by_marker(subject),
        _by_name(message),
        _by_subject(subject),
        _by_body(subject, body),
    )
    classification = next((v for v in rules if v), _no("says nothing of a defect"))
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
        trivial = _TRIVIAL.search(description) and not _FAILURE.search(description)
        if _TYPE_IS_FIX.get(kind) and not trivial:
            return _yes(f"conventional commit of type {kind}")
        if _TYPE_IS_FIX.get(kind) is False:
            return _no(f"conventional commit of type {kind}")
    if (match := _FIX_MARKER.match(subject)) and not _TRIVIAL.search(subject):
        return _yes(f"marked {match[0].strip()}")
    return None


def _by_name(message: str) -> FixClassification | None:
    for pattern, reason in _NAMED_COMMITS:
        if match := pattern.search(message):
            return _yes(f"{reason}: {match[1]}")
    return None


def _by_subject(subject: str) -> FixClassification | None:
    if _NOT_A_FIX.search(subject):
        return None
    failure, repair = _FAILURE.search(subject), _REPAIR.search(subject)
    if trivial := _TRIVIAL.search(subject):
        return None if failure and repair else _no(f"is about {trivial[0].lower()}")
    if repair:
        return _yes(f'subject says "{repair[0]}"')
    if failure and not _FEATURE.match(subject):
        return _yes(f'subject says "{failure[0]}"')
    return None


def _by_body(subject: str, body: str) -> FixClassification | None:
    closes = _CLOSES.search(f"{subject}\n{body}")
    if closes and not _FEATURE.match(subject):
        return _yes(f'message says "{closes[0]}"')
    failure, repair = _FAILURE.search(subject), _REPAIR.search(subject)
    if failure and repair:
        return _yes(f'subject says "{repair[0]}" and "{failure[0]}"')
    if sentence := _BODY_FIX.search(body):
        return _yes(f'message says "{" ".join(sentence[0].split())}"')
    return None


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
