"""Which cases a change forces to run whatever the models say, and why, by rule."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from testopt.code.globs import glob_matcher
from testopt.code.paths import is_test_path
from testopt.code.shared_files import RUN_ALL_ON
from testopt.reasons import Reason, ReasonKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from testopt.schema import FileChange

_NO_DATA: Final = re.compile(r"(?:readme|changelog|licen[cs]e|\.git\w+)(?:\.\w+)?", re.IGNORECASE)


def why_everything(files: Iterable[FileChange], globs: Sequence[str] = ()) -> Reason | None:
    """Return why a change makes every case run; None where it does not.

    Parameters
    ----------
    files : iterable of FileChange
        The change.
    globs : sequence of str
        The project's own, beside ``RUN_ALL_ON``.
    """
    match = glob_matcher((*RUN_ALL_ON, *globs))
    for file in files:
        if file.is_submodule:
            return Reason(ReasonKind.SUBMODULE_CHANGED, (file.path,))
        for path in filter(None, (file.path, file.old_path)):
            if match(path):
                return Reason(ReasonKind.SHARED_FILE_CHANGED, (path,))
    return None


def always_run(cases: Iterable[str], globs: Sequence[str]) -> dict[str, Reason]:
    """Return the cases that are to run at every change, each with its reason.

    Parameters
    ----------
    cases : iterable of str
    globs : sequence of str
        Compared with the id of each case and with its file.
    """
    if not globs:
        return {}
    match = glob_matcher(globs)
    found = {}
    for case in cases:
        glob = match(case.partition("::")[0], case)
        if glob:
            found[case] = Reason(ReasonKind.ALWAYS_RUNS, (glob,))
    return found


def beside_data(cases: Sequence[str], files: Iterable[FileChange]) -> dict[str, Reason]:
    """Return the cases whose fixtures, helpers or data a change touches, each with its reason.

    A file among the tests that holds no case is what the cases around it may use: those in and
    below its folder, or the nearest folder above that holds any. Where no case names a file,
    which of them use it cannot be told.

    Parameters
    ----------
    cases : sequence of str
        Ids; what stands before ``::`` is the file.
    files : iterable of FileChange
        The change.
    """
    homes = {case: case.partition("::")[0] for case in cases}
    held = set(homes.values())
    used = [p for file in files for p in (file.path, file.old_path) if p and _is_used(p, held)]
    if not used:
        return {}
    folders = {folder for home in held for folder in _folders(home)}
    reach: dict[str, Reason] = {}
    for path in used:
        above = (folder for folder in _folders(path) if folder in folders)
        reach.setdefault(next(above, ""), Reason(ReasonKind.MAY_USE_CHANGED, (path,)))
    found = {}
    for case, home in homes.items():
        reason = next((reach[f] for f in _folders(home) if f in reach), reach.get(""))
        if reason is not None:
            found[case] = reason
    return found


def _is_used(path: str, held: set[str]) -> bool:
    """Tell whether a file may be used by cases: it is among the tests and holds none itself."""
    name = path.rpartition("/")[2]
    if name == "conftest.py":
        return True
    data = path not in held and is_test_path(path) and not is_test_path(name)
    return data and not _NO_DATA.fullmatch(name)


def _folders(path: str) -> Iterable[str]:
    """Yield the folders of a path, the innermost first; those at the top are in none."""
    while path := path.rpartition("/")[0]:
        yield path
