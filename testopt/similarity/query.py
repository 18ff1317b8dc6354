"""What is known of a run before it starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from testopt.code.paths import is_code

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testopt.schema import FileChange, Run
    from testopt.similarity.texts import Texts


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
    """

    run: Run
    cases: Sequence[str]
    files: tuple[FileChange, ...] = ()
    text: Texts | None = None

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
