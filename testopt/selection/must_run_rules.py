"""Which cases a change forces to run whatever the models say, and why, by rule."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np

from testopt.code.globs import glob_matcher
from testopt.code.paths import is_test_path
from testopt.code.shared_files import RUN_ALL_ON
from testopt.code.words import name_number
from testopt.reasons import Reason, ReasonKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from testopt.schema import FileChange
    from testopt.similarity.texts import Texts

# A name that more of the test functions hold is a word like another, and tells nothing of files.
_DISTINCT: Final = 0.05
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


def beside_data(
    cases: Sequence[str], files: Iterable[FileChange], text: Texts | None = None
) -> dict[str, Reason]:
    """Return the cases whose fixtures, helpers or data a change touches, each with its reason.

    A file among the tests that holds no case is what the cases around it may use: those in and
    below its folder, or the nearest folder above that holds any. Where test functions name a file
    of data, it is what the cases of their files use. Where no case names its own file, which of
    them use it cannot be told.

    Parameters
    ----------
    cases : sequence of str
        Ids; what stands before ``::`` is the file.
    files : iterable of FileChange
        The change.
    text : Texts, optional
        Sources of the cases, where they were read.
    """
    homes = {case: case.partition("::")[0] for case in cases}
    held = set(homes.values())
    all_used = [p for file in files for p in (file.path, file.old_path) if p and _is_used(p, held)]
    found, used = {}, []
    for path in all_used:
        named = _cases_naming(path, cases, text)
        if named:
            found.update(dict.fromkeys(named, Reason(ReasonKind.MAY_USE_CHANGED, (path,))))
        else:
            used.append(path)
    return {**found, **_around(used, homes, held)}


def _cases_naming(path: str, cases: Sequence[str], text: Texts | None) -> list[str]:
    """Return the cases of the test files of which a function names a file of data; maybe none.

    Its name without the ending must be one word, and a rare one. A `conftest.py` is used unnamed.
    """
    stem, dot, ending = path.rpartition("/")[2].rpartition(".")
    if text is None or not dot or not stem.isidentifier() or ending == "py":
        return []
    naming = np.zeros(len(text.uses), bool)
    naming[text.uses.owners()[text.uses.words == name_number(stem)]] = True
    if not 0 < naming.sum() <= max(_DISTINCT * len(naming), 1):
        return []
    files = np.unique(text.file[naming[text.document]])
    return [cases[i] for i in np.flatnonzero(np.isin(text.file, files)).tolist()]


def _around(used: Sequence[str], homes: dict[str, str], held: set[str]) -> dict[str, Reason]:
    """Return the cases that may use files of which nobody says who uses them."""
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
