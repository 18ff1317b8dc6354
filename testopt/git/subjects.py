"""Tells fixes and reverts by the subject line of a commit.

A commit is a fix when its subject holds one of the words that Mockus and Votta (2000) and most
studies since look for (fix, bug, defect, fault, patch, error, crash, regression, and their forms),
or closes an issue. Words such as "prefix", "fixture" and "typo in docs" are not fixes.

Features need a rule of their own beside ``testopt.szz.fixes``: it reads the subject alone, which
is all that a change under test may have, so that what is learnt and what is predicted see the same,
and a user's pattern replaces it. Labels are made afterwards and weigh message, paths and issues.
"""

from __future__ import annotations

import re
from typing import Final

FIX_PATTERN: Final = (
    r"\b(?:bug|hot|quick)?-?fix(?:e[sd]|ing|up)?\b|\bbugs?\b|\bdefects?\b|\bfaults?\b|\bfaulty\b"
    r"|\berrors?\b|\bcrash(?:es|ed|ing)?\b|\bregressions?\b|\bpatch(?:es|ed)?\b|\bincorrect(?:ly)?\b"
    r"|\bwrong(?:ly)?\b|\bbroken\b|\b(?:close[sd]?|resolve[sd]?)\s+#\d+"
)
_NO_FIX: Final = re.compile(r"\b(?:typos?|docs?|documentation|comments?|lint)\b", re.IGNORECASE)
_REVERT: Final = re.compile(
    r"(?:revert(?:s|ed|ing)?\b|reapply\b|back(?:ed)?\s+out\b)", re.IGNORECASE
)


def fix_matcher(pattern: str = "") -> re.Pattern[str]:
    """Return the compiled expression that finds subjects of fixing commits.

    Parameters
    ----------
    pattern : str
        The user's own regular expression; empty: `FIX_PATTERN`.

    Returns
    -------
    re.Pattern
        Case-insensitive.

    Raises
    ------
    re.error
        When `pattern` is no regular expression.
    """
    return re.compile(pattern or FIX_PATTERN, re.IGNORECASE)


_FIX: Final = fix_matcher()


def is_fix(subject: str, matcher: re.Pattern[str] | None = None) -> bool:
    """Tell whether a subject line announces the fix of a defect.

    Parameters
    ----------
    subject : str
        First line of the commit message.
    matcher : re.Pattern, optional
        From `fix_matcher`; a user's own decides alone, the built-in one leaves out documentation.

    Returns
    -------
    bool
        True for a fix.
    """
    if matcher is not None and matcher.pattern != FIX_PATTERN:
        return bool(matcher.search(subject))
    return bool(_FIX.search(subject)) and not _NO_FIX.search(subject)


def is_revert(subject: str) -> bool:
    """Tell whether a subject line takes back (or brings back) an earlier commit.

    Parameters
    ----------
    subject : str
        First line of the commit message.

    Returns
    -------
    bool
        True for subjects such as ``Revert "…"``, ``Back out …``, ``Reapply …``.
    """
    return bool(_REVERT.match(subject.lstrip()))
