"""Finds a case by the names of definitions, where its id names no file.

Go names the package of a test, JUnit 5 and PHPUnit a class, nextest a module, and Jest, RSpec and
minitest the titles around a test and its own. What all of them say is the name of a definition in a
test file, and some words of where it stands.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from testopt.runners.case_ids import split_case
from testopt.runners.javascript import full_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_WORD: Final = re.compile(r"[^\W_]+")
# Ids without blanks are made of names; the types of parameters may stand behind.
_NAME: Final = re.compile(
    r"(?P<owner>\S*?)(?:^|::|[.\\/#$])(?P<last>[^\W\d]\w*)(?:[({].*)?\Z", re.DOTALL
)
_NUMBERED: Final = re.compile(r"(?:\A|(?<=::))test_\d{4}_")  # how minitest names what has a title
_SHARED: Final = " behaves like "  # RSpec, of examples that suites share
_OWNER: Final = 4  # words that a class or module around a definition is worth
_LEAST_TITLE: Final = 2  # words: a shorter title around a test says little

_Place = tuple[str, str]


class DefinitionSearch:
    """Definitions of the test files of a tree, by their names.

    Parameters
    ----------
    files : iterable of (str, sequence of str)
        Path and dotted names of the definitions of each file; titles are names, too.
    """

    def __init__(self, files: Iterable[tuple[str, Sequence[str]]]) -> None:
        self._by_last: dict[str, list[_Place]] = {}
        self._by_title: dict[str, list[_Place]] = {}
        self._in_files: dict[str, list[tuple[str, _Place]]] = {}
        self._words: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
        for path, names in files:
            for name in names:
                self._by_last.setdefault(name.rpartition(".")[2], []).append((path, name))
                title = _folded(name)
                self._by_title.setdefault(title, []).append((path, name))
                self._in_files.setdefault(path, []).append((title, (path, name)))

    def find(self, case: str, path: str = "") -> _Place:
        """Return the path and the dotted name of the definition behind a case.

        Parameters
        ----------
        case : str
            An id that does not begin with its file.
        path : str
            Its file, where that is known.

        Returns
        -------
        tuple of str
            Both empty where no definition is the likeliest by far.
        """
        return self._by_name(case, path) or self._by_titles(case, path) or ("", "")

    def _by_name(self, case: str, path: str) -> _Place | None:
        """Return the definition of that name whose place has most in common with the id."""
        found = _NAME.fullmatch(split_case(case)[0])
        places = self._in_file(self._by_last.get(found["last"], ()), path) if found else []
        if found is None or not places:
            return None
        around = _WORD.findall(found["owner"].lower())
        likeness = [self._likeness(place, around) for place in places]
        best = max(likeness)
        nearest = [p for p, like in zip(places, likeness, strict=True) if like == best]
        folders = {other.rpartition("/")[0] for other, _ in nearest}
        return nearest[0] if len(folders) == 1 else None

    def _likeness(self, place: _Place, around: Sequence[str]) -> int:
        """Return how many words of a place stand in an id, less the folders that do not.

        What is around the definition in its file counts most, where the id ends in it.
        """
        path, name = place
        if path not in self._words:
            folder, _, file = path.lower().rpartition("/")
            stem = _WORD.findall(file.partition(".")[0])
            self._words[path] = frozenset(_WORD.findall(folder)), frozenset(stem)
        folders, stem_words = self._words[path]
        owner = _WORD.findall(name.rpartition(".")[0].lower())
        inside = 0 if not owner else _OWNER if around[-len(owner) :] == owner else -1
        near = 2 * len(folders.intersection(around)) - len(folders)
        return near + (not stem_words.isdisjoint(around)) + inside

    def _by_titles(self, case: str, path: str) -> _Place | None:
        """Return the test of these titles, else the innermost suite that the id begins with."""
        if path and _SHARED in case:
            return self._among_shared(case, path)
        ids = (full_name(case), case.partition("::")[2], case.rpartition("::")[2])
        for name in filter(None, dict.fromkeys(ids)):
            words = _WORD.findall(_NUMBERED.sub("", name).lower())
            for end in range(len(words), 0, -1):
                places = self._in_file(self._by_title.get(" ".join(words[:end]), ()), path)
                # a title that stands in two files tells neither
                if len({other for other, _ in places}) == 1 and (path or end >= _LEAST_TITLE):
                    return places[0]
        return None

    def _among_shared(self, case: str, path: str) -> _Place | None:
        """Return the example of a file whose titles are the last ones of an id."""
        words = _folded(case.partition(_SHARED)[2]).split()
        for start in range(len(words)):
            end = " ".join(["", *words[start:]])
            for title, place in self._in_files.get(path, ()):
                if title.endswith(end):
                    return place
        return None

    @staticmethod
    def _in_file(places: Sequence[_Place], path: str) -> Sequence[_Place]:
        return [place for place in places if place[0] == path] if path else places


def _folded(name: str) -> str:
    return " ".join(_WORD.findall(name.lower()))
