"""Which lines of each file a change touches, grouped by the function around them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from testopt.code.outline import enclosing
from testopt.code.paths import is_code
from testopt.errors import RepositoryError
from testopt.git.blobs import read_blobs, read_working_file
from testopt.git.changed_lines import diff_of_files, read_changed_lines
from testopt.risk.line_features import ChangedText, Hunk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from testopt.git.changed_lines import ChangedLines
    from testopt.schema import Change, FileChange

_GAP: Final = 8  # unchanged lines between two hunks of one place outside of any function


@dataclass(frozen=True, slots=True)
class ChangedRegion:
    """Changed lines ``first`` to ``last`` in the function ``name`` (empty: in none)."""

    first: int
    last: int
    name: str
    added: int
    deleted: int


@dataclass(frozen=True, slots=True)
class ChangedFiles:
    """The changed lines of some files of a change, and their texts after it, by path."""

    patches: Mapping[str, ChangedLines]
    texts: Mapping[str, str]

    def changed_texts(self) -> list[ChangedText]:
        """Return the files that are there after the change, as their lines are judged."""
        return [
            ChangedText(path, self.texts.get(path, ""), patch.old is None, tuple(_hunks(patch)))
            for path, patch in self.patches.items()
            if patch.new is not None
        ]


def read_changed_files(repo: Path, change: Change, files: Sequence[FileChange]) -> ChangedFiles:
    """Return the changed lines of some files of a change.

    Parameters
    ----------
    repo : Path
        Top folder of the repository, or a bare one.
    change : Change
        With its revisions.
    files : sequence of FileChange
        Files of it.

    Returns
    -------
    ChangedFiles
        Files without changed lines, binary ones, untracked ones, and all where git fails, are
        left out.
    """
    paths = {p for f in files for p in (f.path, f.old_path) if p is not None}
    try:
        diff = diff_of_files(repo, base=change.base, head=change.head, paths=sorted(paths))
        patch_by_path = {patch.path: patch for patch in read_changed_lines(diff)}
        return ChangedFiles(patch_by_path, _texts(repo, change, patch_by_path))
    except RepositoryError:
        return ChangedFiles({}, {})


def find_changed_regions(
    changed: ChangedFiles, change: Change, files: Sequence[FileChange]
) -> dict[str, tuple[ChangedRegion, ...]]:
    """Return the changed places of some files of a change, in the order of the lines.

    Parameters
    ----------
    changed : ChangedFiles
    change : Change
    files : sequence of FileChange
        Files of it.

    Returns
    -------
    dict of str to tuple of ChangedRegion
        By path; untracked files are one place.
    """
    out = {
        path: tuple(_regions(patch, changed.texts.get(path, "")))
        for path, patch in changed.patches.items()
    }
    for file in files:  # untracked ones are in no diff
        if change.head is None and file.path not in out and file.status == "A" and file.added:
            out[file.path] = (ChangedRegion(1, file.added, "", file.added, 0),)
    return out


def _hunks(patch: ChangedLines) -> Iterator[Hunk]:
    """Yield the changed lines with their texts, as far as these are kept."""
    text = (line.decode("utf-8", "replace") for line in patch.text)
    for old, new in zip(patch.old_lines, patch.new_lines, strict=True):
        yield Hunk(new.start, tuple(islice(text, len(old))), tuple(islice(text, len(new))))


def _texts(repo: Path, change: Change, patch_by_path: Mapping[str, ChangedLines]) -> dict[str, str]:
    """Return the text of each file after the change, or before its deletion."""
    objects = {p: x.old_object if x.new is None else x.new_object for p, x in patch_by_path.items()}
    blobs = read_blobs(repo, objects.values())
    texts = {path: blobs[name] for path, name in objects.items() if name in blobs}
    if change.head is None:
        for path in patch_by_path.keys() - texts.keys():
            text = read_working_file(repo, path)
            if text is not None:
                texts[path] = text
    return texts


def _regions(patch: ChangedLines, text: str) -> Iterator[ChangedRegion]:
    sides = patch.old_lines if patch.new is None else patch.new_lines
    region: ChangedRegion | None = None
    for lines, old, new in zip(sides, patch.old_lines, patch.new_lines, strict=True):
        definitions = enclosing(text, patch.path, lines) if is_code(patch.path) else []
        name = definitions[0].name if definitions else ""
        first, last = lines.start, max(lines.stop - 1, lines.start)
        if region is not None and name == region.name and (name or first - region.last <= _GAP):
            region = ChangedRegion(
                region.first, last, name, region.added + len(new), region.deleted + len(old)
            )
            continue
        if region is not None:
            yield region
        region = ChangedRegion(first, last, name, len(new), len(old))
    if region is not None:
        yield region
