"""Options of ours whose value pytest takes for a path, because a space stands before it.

pytest looks for its root folder before it knows the options of plugins: of ``--testopt-store DIR``
it sees an option that it does not know, and the path of some tests. Where that path exists, the
root folder moves to what all paths have in common: other settings are read, and node ids change.
PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import shlex
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_OURS = "--testopt"
_STORE = "--testopt-store"


def refuse_paths(args: Sequence[str], addopts: str, folder: Path) -> None:
    """Refuse an option of ours that pytest has read in another way than it was meant.

    What ``addopts`` of an ini file holds is harmless: it is read when the root folder is known.

    Parameters
    ----------
    args : sequence of str
        The command line.
    addopts : str
        ``PYTEST_ADDOPTS``.
    folder : Path
        Where pytest was started.

    Raises
    ------
    pytest.UsageError
        For ``--testopt-X VALUE`` where VALUE is an existing path, or may be one the next time.
    """
    try:
        given = [*shlex.split(addopts), *args]
    except ValueError:  # pytest says what is wrong with it
        given = [*args]
    for option, value in pairwise(given):
        if option == "--":
            return
        if not option.startswith(_OURS) or "=" in option or value.startswith("-"):
            continue
        place = value.partition("::")[0]
        is_place = option == _STORE and "://" not in value
        if is_place or (place and _exists(folder / place)):
            raise pytest.UsageError(
                f"write {option}={shlex.quote(value)}, with = for the space: without it pytest "
                f"takes {value} for the path of tests and may move its root folder there"
            )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
