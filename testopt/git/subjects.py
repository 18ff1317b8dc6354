"""Tells fixes and reverts: fixes by `testopt.git.fixes`, or by the user's own pattern."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from testopt.errors import SettingsError
from testopt.git.fixes import FixClassification, classify

if TYPE_CHECKING:
    from collections.abc import Sequence

_REVERT: Final = re.compile(
    r"(?:revert(?:s|ed|ing)?\b|reapply\b|back(?:ed)?\s+out\b)", re.IGNORECASE
)


def fix_matcher(pattern: str = "") -> re.Pattern[str] | None:
    """Return the compiled expression with which a user finds subjects of fixing commits.

    Parameters
    ----------
    pattern : str
        The setting ``fix_pattern``.

    Returns
    -------
    re.Pattern or None
        Case-insensitive; None where there is no pattern.

    Raises
    ------
    SettingsError
        When `pattern` is no regular expression.
    """
    if not pattern:
        return None
    try:
        return re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        raise SettingsError(
            f"fix_pattern {pattern!r} is not a regular expression: {error}"
        ) from error


def judge_fix(
    message: str,
    paths: Sequence[str],
    *,
    parents: int = 1,
    matcher: re.Pattern[str] | None = None,
    issue_type: str = "",
) -> FixClassification:
    """Tell whether a commit fixes a defect, and why.

    Parameters
    ----------
    message, paths, parents, issue_type
        As for `testopt.git.fixes.classify`.
    matcher : re.Pattern, optional
        From `fix_matcher`: it decides alone, by the subject, unless an issue does.

    Returns
    -------
    FixClassification
        Whether it is one, and the reason in words.
    """
    if matcher is None or issue_type:
        return classify(message, paths, parents=parents, issue_type=issue_type)
    subject = message.strip().partition("\n")[0]
    if matcher.search(subject):
        return FixClassification(is_fix=True, reason="its subject matches fix_pattern")
    return FixClassification(is_fix=False, reason="its subject does not match fix_pattern")


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
