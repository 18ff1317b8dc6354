"""Node ids of pytest and the case ids of the same cases."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from testopt.results.case_id_normalisation import CaseIdNormaliser

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class NodeIds:
    """Translates node ids, relative to pytest's root folder, to case ids and back.

    pytest names files outside its root folder relative to the folder that it was given.

    Parameters
    ----------
    prefix : str
        Path of pytest's root folder below the repository, empty where they are the same.
    places : tuple of str
        Paths below the repository of folders outside the root folder that pytest was given.
    top : Path
        The repository's top folder, to see which of them holds a file.
    """

    prefix: str = ""
    places: tuple[str, ...] = ()
    top: Path = Path()
    _ids: CaseIdNormaliser = field(default_factory=CaseIdNormaliser, compare=False)

    def case_id(self, node_id: str) -> str:
        """Return the case id: the node id below the root of the repository, as valid text."""
        file, mark, rest = _storable(self._ids.node(node_id)).partition("::")
        return self._shift(file) + mark + rest

    def node_id(self, case_id: str) -> str:
        """Return the node id of a case id, for cases below pytest's root folder and beside it."""
        file, mark, rest = case_id.partition("::")
        inside = not self.prefix or file.startswith(f"{self.prefix}/")
        place = next((p for p in self.places if not inside and file.startswith(f"{p}/")), None)
        if place is not None:
            return file.removeprefix(f"{place}/") + mark + rest
        if self.prefix and file:
            file = os.path.relpath(file, self.prefix).replace(os.sep, "/")
        return file + mark + rest

    def _shift(self, file: str) -> str:
        if not self.prefix or not file or file.startswith("/"):
            return file
        usual = os.path.normpath(f"{self.prefix}/{file}").replace(os.sep, "/")
        if self.places and not (self.top / usual).exists():
            found = (f"{p}/{file}" for p in self.places if (self.top / p / file).exists())
            return next(found, usual)
        return usual


def places_of(folders: Iterable[str], top: Path) -> tuple[str, ...]:
    """Return folders as paths below the repository, without those outside it."""
    paths = [Path(folder).resolve() for folder in folders]
    return tuple(p.relative_to(top).as_posix() for p in paths if p != top and top in p.parents)


def _storable(text: str) -> str:
    """Escape lone surrogates, which no table can hold."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
