"""Where a runner starts: its folder, its settings, and the files that it sees."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet


class Sources(Protocol):
    """The files of a project, by their paths relative to its top."""

    @property
    def paths(self) -> Sequence[str]:
        """All paths, sorted."""

    @property
    def names(self) -> AbstractSet[str]:
        """The same, to look one up."""

    def below(self, folder: str) -> Iterator[str]:
        """Yield the paths below a folder; the empty one is the top."""

    def read(self, path: str) -> str | None:
        """Return the text of a file; None where it cannot be read."""

    def read_all(self, paths: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Yield path and text of those files that can be read."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a runner starts.

    Attributes
    ----------
    sources : Sources
    folder : str
        Relative to the top of the project; empty: the top.
    options : mapping of str to tuple of str
        Settings of the runner that say what is a test.
    kept : dict
        What was read on the way, for the next file.
    """

    sources: Sources
    folder: str = ""
    options: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    kept: dict[str, Any] = field(default_factory=dict)
