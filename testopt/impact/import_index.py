"""The imports and names of a repository's Python files, read from git once and cached."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.git.blobs import read_blobs
from testopt.impact.python_module import ModuleFacts, read_module

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

_BATCH: Final = 500  # files read at once: their texts are in memory together
_TEXTS: Final = ("imports", "beneath", "globs", "names")
_PLUGIN: Final = re.compile(r"(?:^|\s)-p[ =]*(?!no:)([A-Za-z_][\w.]*)")
_ENTRY: Final = re.compile(r"pytest11[\"']?\]?[^\n]*\n((?:[^\n\[]*=[^\n]*\n?)+)")
_VALUE: Final = re.compile(r"=\s*[\"']?([A-Za-z_][\w.]*)")


class Modules:
    """Facts of Python files by git object.

    Parameters
    ----------
    repo : Path
        Where missing ones are read from.
    """

    def __init__(self, repo: Path) -> None:
        self._repo = repo
        self._facts: dict[str, ModuleFacts] = {}
        self._loaded: set[str] = set()

    def read(self, objects: Mapping[str, str]) -> dict[str, ModuleFacts]:
        """Return the facts of files.

        Parameters
        ----------
        objects : mapping of str to str
            Path -> object name. A file that git does not have counts as one that may do anything.
        """
        missing = [name for name in dict.fromkeys(objects.values()) if name not in self._facts]
        for start in range(0, len(missing), _BATCH):
            batch = missing[start : start + _BATCH]
            texts = read_blobs(self._repo, batch)
            self._facts |= {name: read_module(texts.get(name, "\0")) for name in batch}
        return {path: self._facts[name] for path, name in objects.items()}

    def put(self, name: str, text: str) -> None:
        """Read a text that git does not have (yet), under a name that no object has."""
        if name not in self._facts:
            self._facts[name] = read_module(text)

    def has_news(self, objects: Collection[str]) -> bool:
        """Tell whether any of some objects has been read since `load`."""
        return any(name in self._facts for name in objects if name not in self._loaded)

    def dump(self, objects: Iterable[str]) -> dict[str, NDArray[Any]]:
        """Return the facts of some objects as arrays, for a file without pickle."""
        kept = {name: self._facts[name] for name in objects if name in self._facts}
        facts = list(kept.values())
        words = {part: [getattr(f, part) for f in facts] for part in _TEXTS}
        document = {"objects": list(kept), **words}
        text = json.dumps(document, separators=(",", ":"))
        arrays: dict[str, NDArray[Any]] = {
            "texts": np.frombuffer(text.encode(), np.uint8),
            "flags": np.array([(f.dynamic, f.starts) for f in facts], bool).reshape(-1, 2),
        }
        for part, kind in (("literals", np.uint32), ("ends", np.int64), ("used", np.uint32)):
            rows = [getattr(f, part) for f in facts]
            arrays[part] = np.concatenate([*rows, np.zeros(0, kind)]).astype(kind)
            arrays[f"{part}.sizes"] = np.array([len(row) for row in rows], np.int64)
        return arrays

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take in what `dump` returned.

        Raises
        ------
        ValueError, KeyError, TypeError, AttributeError
            When the arrays do not fit together.
        """
        document = json.loads(arrays["texts"].tobytes())
        words = [[tuple(map(str, row)) for row in document[part]] for part in _TEXTS]
        parts = {
            name: np.split(arrays[name], np.cumsum(arrays[f"{name}.sizes"])[:-1])
            for name in ("literals", "ends", "used")
        }
        columns = zip(
            document["objects"], *words, parts["literals"], parts["ends"], parts["used"],
            arrays["flags"].tolist(), strict=True,
        )  # fmt: skip
        found: dict[str, ModuleFacts] = {}
        for name, imports, beneath, globs, names, literals, ends, used, (
            dynamic,
            starts,
        ) in columns:
            if len(ends) != len(names) + 2 or int(ends[-1]) != len(used):
                raise ValueError("the facts of modules do not fit together")
            found[str(name)] = ModuleFacts(
                imports, beneath, globs, literals, names, ends, used, bool(dynamic), bool(starts)
            )
        self._facts |= found
        self._loaded |= found.keys()


def plugins_of(texts: Mapping[str, str]) -> list[str]:
    """Return the modules that a project's own configuration makes plugins of pytest.

    Parameters
    ----------
    texts : mapping of str to str
        Content of configuration files by path.
    """
    found: list[str] = []
    for text in texts.values():
        found += _PLUGIN.findall(text)
        for lines in _ENTRY.findall(text):
            found += _VALUE.findall(lines)
    return list(dict.fromkeys(found))
