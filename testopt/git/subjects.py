"""Tells fixes and reverts: fixes by `testopt.git.fixes`, or by the user's own pattern."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from testopt.code.patterns import time_limit
from testopt.errors import SettingsError
from testopt.git.fixes import FixClassification, built_in_rules, classify
from testopt.schema import digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testopt.git.fix_words import EditedFile

PATTERN_S: Final = 10.0  # that a user's pattern may take for one subject
_REVERT: Final = re.compile(
    r"(?:revert(?:s|ed|ing)?\b|reapply\b|back(?:ed)?\s+out\b)", re.IGNORECASE
)


class FixJudge:
    """Tells which commits fix defects: by what is built in, or by the user's pattern.

    Parameters
    ----------
    pattern : str
        The setting ``fix_pattern``: a case-insensitive regular expression of subjects; empty:
        what is built in.

    Attributes
    ----------
    rules : str
        Names what decides: another name for other rules, other weights and another pattern.

    Raises
    ------
    SettingsError
        When `pattern` is no regular expression.
    """

    def __init__(self, pattern: str = "") -> None:
        self._pattern = pattern
        try:
            self._matcher = re.compile(pattern, re.IGNORECASE) if pattern else None
        except re.error as error:
            raise SettingsError(
                f"fix_pattern {pattern!r} is not a regular expression: {error}"
            ) from error
        self.rules = f"pattern {digest(pattern)}" if pattern else built_in_rules()

    def judge(
        self,
        message: str,
        files: Sequence[EditedFile],
        *,
        parents: int = 1,
        issue_type: str = "",
    ) -> FixClassification:
        """Tell whether a commit fixes a defect, and why.

        Parameters
        ----------
        message, files, parents, issue_type
            As for `testopt.git.fixes.classify`. A pattern decides alone, by the subject, unless an
            issue does.

        Returns
        -------
        FixClassification
            Whether it is one, and the reason in words.

        Raises
        ------
        SettingsError
            When the pattern takes too long.
        """
        if self._matcher is None or issue_type:
            return classify(message, files, parents=parents, issue_type=issue_type)
        with time_limit(PATTERN_S, f"fix_pattern {self._pattern!r}"):
            found = self._matcher.search(message.strip().partition("\n")[0])
        reason = f"its subject {'matches' if found else 'does not match'} fix_pattern"
        return FixClassification(is_fix=bool(found), reason=reason)


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
