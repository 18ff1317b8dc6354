"""The families of features, in words, by which a prediction is explained."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from testopt.features import change, cofailure, history

if TYPE_CHECKING:
    from collections.abc import Sequence

_HISTORY: Final = frozenset(history.NAMES)
_BY_PATTERN: Final = (
    (re.compile(r"seconds_"), "how long it takes"),
    (re.compile(r"run_"), "how the project has been doing"),
    (re.compile(r".*_together|edited|in_change|file_in_change"), "edited together with the change"),
    (re.compile(r"ran_change"), "lines of the change that it ran before"),
    (re.compile(r"call|hops|import|reach"), "calls and imports of what changed"),
)
_PAST: Final = "its own failures and age"
_CLOSE: Final = "words shared with the change"
_CHANGE: Final = "size and kind of the change"
_COFAILURE: Final = "failures when the same was changed"


def family_of(name: str) -> str:
    """Return the family of a feature, in words."""
    if name in change.NAMES:
        return _CHANGE
    if name in cofailure.NAMES:
        return _COFAILURE
    found = next((words for pattern, words in _BY_PATTERN if pattern.match(name)), "")
    return found or (_PAST if name in _HISTORY else _CLOSE)


def families(names: Sequence[str]) -> dict[str, list[int]]:
    """Return the columns of each family.

    Parameters
    ----------
    names : sequence of str
        Names of the columns.
    """
    found: dict[str, list[int]] = {}
    for column, name in enumerate(names):
        found.setdefault(family_of(name), []).append(column)
    return found
