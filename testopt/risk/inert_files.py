"""Finds changed files in which nothing that runs has changed: layout, blank lines, comments.

Whole files are compared by their tokens in order, so that a formatter that joins lines is seen
through; in Python the depth of a line is code, unless the syntax trees are equal. Languages in
which the end of a line ends a statement are never judged so, and texts and data neither.
"""

from __future__ import annotations

from contextlib import suppress
from io import BytesIO
from typing import TYPE_CHECKING, Final

from testopt.code.lines import only_reformatted, same_program, tokens
from testopt.code.paths import language_of, path_text
from testopt.errors import RepositoryError
from testopt.git.blobs import read_blobs
from testopt.git.changed_lines import diff_of_files
from testopt.git.commit_patches import read_commit_patches
from testopt.git.diff import read_patch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from testopt.git.diff import FilePatch
    from testopt.schema import Change

_BRACES: Final = frozenset({
    "c", "c++", "c#", "java", "javascript", "typescript", "go", "rust", "scala", "kotlin", "swift",
    "dart", "groovy", "objective-c", "php",
})  # fmt: skip
_MOST_LINES: Final = 20_000  # of a file that are compared


def inert_files(repo: Path, shas: Sequence[str]) -> dict[str, frozenset[str]]:
    """Return the files of commits in which nothing that runs has changed.

    Parameters
    ----------
    repo : Path
        Working tree or bare repository.
    shas : sequence of str
        Full hashes.

    Returns
    -------
    dict of str to frozenset of str
        Paths after the change by commit; nothing where git fails, for then nothing is known.
    """
    out: dict[str, frozenset[str]] = {}
    with suppress(RepositoryError):
        for sha, files in read_commit_patches(repo, shas):
            out[sha] = _inert(repo, files)
    return out


def inert_in(repo: Path, change: Change) -> frozenset[str]:
    """Return the files of a change that is no single commit, as `inert_files` does."""
    paths = {p for f in change.files for p in (f.path, f.old_path) if p is not None}
    try:
        diff = diff_of_files(repo, base=change.base, head=change.head, paths=sorted(paths))
        return _inert(repo, read_patch(BytesIO(diff)))
    except RepositoryError:
        return frozenset()


def _inert(repo: Path, files: Iterable[FilePatch]) -> frozenset[str]:
    return frozenset(path_text(file.new) for file in files if file.new and is_inert(repo, file))


def is_inert(repo: Path, file: FilePatch) -> bool:
    """Tell whether a file was edited, and nothing that runs in it has changed."""
    if file.old is None or file.new is None:
        return False
    language = language_of(path_text(file.new))
    if language != "python" and language not in _BRACES:
        return False
    hunks = [_sides(hunk.lines, language) for hunk in file.hunks]
    if not hunks or sum(len(old) + len(new) for old, new in hunks) > _MOST_LINES:
        return False
    old = tokens([line for side, _ in hunks for line in side], language)
    same = old == tokens([line for _, side in hunks for line in side], language)
    return same and (language != "python" or _same_python(repo, file, hunks))


def _same_python(repo: Path, file: FilePatch, hunks: Sequence[tuple[list[str], list[str]]]) -> bool:
    if all(only_reformatted(before, after, "python") for before, after in hunks):
        return True
    texts = read_blobs(repo, [file.old_object, file.new_object])
    if len(texts) < 2:  # noqa: PLR2004 - before and after
        return False
    return same_program(texts[file.old_object], texts[file.new_object])


def _sides(lines: Iterable[bytes], language: str) -> tuple[list[str], list[str]]:
    """Return the lines of a hunk before and after, without those inside of a comment block."""
    old: list[str] = []
    new: list[str] = []
    for line in lines:
        text = line[1:].decode("utf-8", "replace")
        if language in _BRACES and _is_starred(text.strip()):
            continue
        (old if line.startswith(b"-") else new).append(text)
    return old, new


def _is_starred(text: str) -> bool:
    return text == "*" or text.startswith(("* ", "*/"))
