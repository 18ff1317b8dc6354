"""Indexed source files by their git object: read in bulk, indexed once, kept as arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.code.grammars import languages, supported
from testopt.code.paths import language_of
from testopt.git.blobs import read_blobs
from testopt.schema import digest
from testopt.similarity.bags import Bags
from testopt.similarity.texts import FileText, index_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray


class SourceIndex:
    """Indexed source files by git object.

    Parameters
    ----------
    repo : Path
        Where missing ones are read from.
    """

    def __init__(self, repo: Path) -> None:
        self._repo = repo
        self._files: dict[str, FileText] = {}
        self._texts: dict[str, str] = {}
        self._languages: set[str] = set()  # of what is indexed: those that a grammar may read
        self.added = 0

    def __len__(self) -> int:
        return len(self._files)

    def texts(self, objects: Iterable[str]) -> dict[str, str]:
        """Return texts of objects, keeping the last few thousand."""
        wanted = list(dict.fromkeys(objects))
        missing = [name for name in wanted if name not in self._texts]
        if len(self._texts) + len(missing) > _KEPT:
            self._texts.clear()
            missing = wanted
        if missing:
            self._texts |= read_blobs(self._repo, missing)
        return {name: self._texts[name] for name in wanted if name in self._texts}

    def ensure(self, files: Mapping[str, str], *, words: bool) -> None:
        """Index what is not indexed yet.

        Parameters
        ----------
        files : mapping of str to str
            Path -> object name.
        words : bool
            Whether the words of the bodies are wanted too.
        """
        missing = {name: path for path, name in files.items() if not self._has(name, words=words)}
        for name, text in self.texts(missing).items():
            self._index(name, text, missing[name], words=words)
            self.added += 1

    def _index(self, name: str, text: str, path: str, *, words: bool = True) -> None:
        self._files[name] = index_file(text, path, words=words)
        if supported(language_of(path)):
            self._languages.add(language_of(path))

    def _has(self, name: str, *, words: bool) -> bool:
        file = self._files.get(name)
        # an empty file is indexed anew each time, which costs nothing
        return file is not None and (not words or len(file.bodies.words) > 0)

    def put(self, text: str, path: str) -> str:
        """Index a text that git does not have (yet); return the name it goes by here."""
        name = f"{digest(text)}:{path}"
        if name not in self._files:
            self._index(name, text, path)
        self._texts[name] = text
        return name

    def objects(self) -> list[str]:
        """Return the names of what is indexed."""
        return list(self._files)

    def get(self, name: str) -> FileText | None:
        """Return an indexed file."""
        return self._files.get(name)

    def dump(self, objects: Iterable[str]) -> dict[str, NDArray[Any]]:
        """Return the index of some objects as arrays, for a file without pickle."""
        dumped = [name for name in dict.fromkeys(objects) if name in self._files]
        files = [self._files[name] for name in dumped]
        names = "\n".join("\t".join(file.names) for file in files)
        out: dict[str, NDArray[Any]] = {
            "version": np.array(_VERSION),
            "readers": np.frombuffer(_readers(self._languages).encode(), np.uint8),
            "objects": np.frombuffer("\n".join(dumped).encode(), np.uint8),
            "names": np.frombuffer(names.encode("utf-8", "surrogatepass"), np.uint8),
            "defines": np.concatenate([f.defines for f in files] or [np.zeros(0, np.uint32)]),
            "efforts": np.concatenate([f.efforts for f in files] or [np.zeros(0, np.float32)]),
        }
        for part in ("bodies", "uses"):
            bags = Bags.concat([getattr(file, part) for file in files])
            out[f"{part}.ends"], out[f"{part}.words"] = bags.ends, bags.words
            out[f"{part}.counts"] = bags.counts
        return out

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take in what `dump` returned.

        Raises
        ------
        ValueError, KeyError
            When the arrays do not fit together, or were made by another way of indexing.
        """
        if int(arrays["version"]) != _VERSION:
            raise ValueError("the index of sources is of another version")
        readers = arrays["readers"].tobytes().decode()
        known = {line.rpartition(" ")[0] for line in readers.split("\n") if line}
        if _readers(known) != readers:
            raise ValueError("other grammars were installed when the sources were indexed")
        dumped = _lines(arrays["objects"])
        names = [tuple(n for n in line.split("\t") if n) for line in _lines(arrays["names"])]
        names += [()] * (len(dumped) - len(names))
        rows = np.cumsum([0, *(len(each) + 1 for each in names)])
        defined = np.cumsum([0, *(len(each) for each in names)])
        both = [
            Bags(*(arrays[f"{part}.{field}"] for field in ("ends", "words", "counts")))
            for part in ("bodies", "uses")
        ]
        self._languages |= known
        efforts = arrays["efforts"]
        sizes = {len(efforts), *map(len, both)}
        if len(names) != len(dumped) or sizes != {int(rows[-1])}:
            raise ValueError("the index of sources does not fit together")
        for i, name in enumerate(dumped):
            rows_of_file = slice(int(rows[i]), int(rows[i + 1]))
            bodies, uses = (bags.part(rows_of_file.start, rows_of_file.stop) for bags in both)
            own_defines = arrays["defines"][defined[i] : defined[i + 1]]
            self._files.setdefault(
                name, FileText(names[i], bodies, uses, own_defines, efforts[rows_of_file])
            )


_KEPT: Final = 4_000
_VERSION: Final = 6  # of what is indexed of a file


def _readers(names: Iterable[str]) -> str:
    """Return how files of some languages are read here: a grammar tells other definitions."""
    installed = languages() if names else frozenset()
    return "\n".join(f"{n} {'grammar' if n in installed else 'indent'}" for n in sorted(names))


def _lines(data: NDArray[Any]) -> list[str]:
    text = data.tobytes().decode("utf-8", "surrogatepass")
    return text.split("\n") if text else []
