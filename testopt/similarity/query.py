"""What is known of a run before it starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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
