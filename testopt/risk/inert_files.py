"""Finds files in which nothing that runs has changed, a condition turned, or versions alone rose.

Layout, blank lines and comments run nothing. Whole files are compared by their tokens in order, so
that a formatter that joins lines is seen through; in Python the depth of a line is code, unless the
syntax trees are equal. Languages in which the end of a line ends a statement are never judged so,
and texts and data neither.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Final

from testopt.code.lines import only_reformatted, same_program, tokens
from testopt.code.paths import language_of, path_text
from testopt.errors import RepositoryError
from testopt.git.blobs import read_blobs
from testopt.git.changed_lines import diff_of_files
from testopt.git.commit_patches import read_commit_patches
from testopt.git.diff import read_patch
from testopt.risk.version_changes import renumbered

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from testopt.git.diff import FilePatch
    from testopt.risk.version_changes import VersionKind
    from testopt.schema import Change

_BRACES: Final = frozenset({
    "c", "c++", "c#", "java", "javascript", "typescript", "go", "rust", "scala", "kotlin", "swift",
    "dart", "groovy", "objective-c", "php",
})  # fmt: skip
_MOST_LINES: Final = 20_000  # of a file that are compared
_TURNS: Final = frozenset({*"!=<>&|~", "not", "and", "or", "is"})


@dataclass(frozen=True, slots=True)
class FileEffects:
    """Files of a change in which something was found, by their paths after it.

    In ``inert`` ones nothing that runs has changed; in ``turned`` ones the same names are compared
    or negated otherwise; in those of ``versions`` nothing but version numbers has changed.
    """

    inert: frozenset[str] = frozenset()
    turned: frozenset[str] = frozenset()
    versions: Mapping[str, VersionKind] = field(default_factory=dict)


def file_effects(repo: Path, shas: Sequence[str]) -> dict[str, FileEffects]:
    """Return what commits did to their files.

    Parameters
    ----------
    repo : Path
        Working tree or bare repository.
    shas : sequence of str
        Full hashes.

    Returns
    -------
    dict of str to FileEffects
        By commit; nothing where git fails, for then nothing is known.
    """
    out: dict[str, FileEffects] = {}
    with suppress(RepositoryError):
        for sha, files in read_commit_patches(repo, shas):
            out[sha] = _effects(repo, files)
    return out


def effects_in(repo: Path, change: Change) -> FileEffects:
    """Return what a change that is no single commit did, as `file_effects` does."""
    paths = {p for f in change.files for p in (f.path, f.old_path) if p is not None}
    try:
        diff = diff_of_files(repo, base=change.base, head=change.head, paths=sorted(paths))
        return _effects(repo, read_patch(BytesIO(diff)))
    except RepositoryError:
        return FileEffects()


def _effects(repo: Path, files: Iterable[FilePatch]) -> FileEffects:
    inert, turned, versions = set(), set(), {}
    for file in files:
        if file.old is None or file.new is None:
            continue
        path = path_text(file.new)
        hunks = _hunks(file)
        if hunks and (kind := renumbered(path, hunks)) is not None:
            versions[path] = kind
        language = language_of(path)
        if language != "python" and language not in _BRACES:
            continue
        code = [(_code(old, language), _code(new, language)) for old, new in hunks]
        if is_inert(repo, file, code, language):
            inert.add(path)
        elif any(is_turned(old, new, language) for old, new in code):
            turned.add(path)
    return FileEffects(frozenset(inert), frozenset(turned), versions)


def _hunks(file: FilePatch) -> list[tuple[list[str], list[str]]]:
    """Return the lines of each hunk before and after; none of a file in which too many changed."""
    hunks, n_lines = [], 0
    for hunk in file.hunks:
        old: list[str] = []
        new: list[str] = []
        for line in hunk.lines:
            text = line[1:].decode("utf-8", "replace")
            (old if line.startswith(b"-") else new).append(text)
        n_lines += len(old) + len(new)
        if n_lines > _MOST_LINES:
            return []
        hunks.append((old, new))
    return hunks


def is_turned(old: Sequence[str], new: Sequence[str], language: str) -> bool:
    """Tell whether lines compare or negate the same names otherwise than before."""
    before, after = tokens(old, language), tokens(new, language)
    if not before or before == after:
        return False
    plain = [[t for t in side if t not in _TURNS] for side in (before, after)]
    return plain[0] == plain[1] and sorted(before) != sorted(after)


def is_inert(
    repo: Path, file: FilePatch, hunks: Sequence[tuple[list[str], list[str]]], language: str
) -> bool:
    """Tell whether nothing that runs has changed in a file that was edited."""
    if not hunks:
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


def _code(lines: Iterable[str], language: str) -> list[str]:
    """Return the lines of a hunk without those inside of a comment block."""
    return [x for x in lines if language not in _BRACES or not _is_starred(x.strip())]


def _is_starred(text: str) -> bool:
    return text == "*" or text.startswith(("* ", "*/"))
