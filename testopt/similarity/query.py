"""What is known of a run before it starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from testopt.code.paths import is_code

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import NDArray

    from testopt.schema import FileChange, Run
    from testopt.similarity.texts import Texts


@dataclass(frozen=True, slots=True)
class Closeness:
    """What is left of the sources of a run once they are read: little, so that it can be sent.

    Attributes
    ----------
    matrix : ndarray of float32, shape (n_cases, len(affinity.LEARNT))
        How close the change is to each case.
    owner_names, changed_paths : tuple of str
        The changed functions and files that the sources tell of.
    effort : ndarray of float32, shape (n_cases,), optional
        What the text of each case tells of its duration; None where names alone were read.
    """

    matrix: NDArray[Any]
    owner_names: tuple[str, ...] = ()
    changed_paths: tuple[str, ...] = ()
    effort: NDArray[Any] | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """What is known of a run before it starts: all that a feature may read.

    Attributes
    ----------
    run : Run
        Time, job, branch and commits.
    cases : sequence of str
        Case ids, each once, shape (n,).
    files : tuple of FileChange
        The change of the run; empty where unknown.
    text : Texts, optional
        Sources of the cases and of the change, where git has them.
    closeness : Closeness, optional
        What was made of the text, in its place.
    """

    run: Run
    cases: Sequence[str]
    files: tuple[FileChange, ...] = ()
    text: Texts | None = None
    closeness: Closeness | None = None

    @property
    def owner_names(self) -> tuple[str, ...]:
        """The changed functions that the sources tell of."""
        if self.closeness is not None:
            return self.closeness.owner_names
        return () if self.text is None else self.text.change.owner_names

    @property
    def changed_paths(self) -> list[str]:
        """The changed files: those of the change where it is known, else what the sources tell."""
        if self.closeness is not None and not self.files:
            return list(self.closeness.changed_paths)
        if self.text is not None and not self.files:
            return list(self.text.all_changed_paths)
        return [file.path for file in self.files]

    @property
    def effort(self) -> NDArray[Any] | None:
        """What the text of each case tells of its duration; None where it was not read."""
        if self.closeness is not None:
            return self.closeness.effort
        return None if self.text is None else self.text.effort[self.text.document]

    @property
    def lacks_its_change(self) -> bool:
        """Whether the run was of edits in no commit, whose text was not kept as it was read."""
        run = self.run
        edited = run.commit is not None and run.commit == run.base and bool(self.files)
        kept = any(file.patch for file in self.files)
        return edited and (not kept or any(map(_lost, self.files)))


def _lost(file: FileChange) -> bool:
    """Tell whether the text of a changed program file is missing; a long new one is never read."""
    changed = bool(file.added or file.deleted) and file.status not in {"A", "D"}
    return changed and not file.patch and is_code(file.path)
