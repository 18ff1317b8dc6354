"""Which report files are one run, how runs are named, and which executions repeat a case.

Files given in one call are one run: that is what a CI job has. If they repeat each other's
cases they cannot be, so each folder is a run then, and if files of one folder still repeat each
other, each file. ``--run-id`` and ``--run-per`` decide it by hand.

A run that nobody named is named after its content, so the same input gives the same run.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from testopt.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from testopt.results.junit_rows import ParsedReport

    Hashes = npt.NDArray[np.int64]

RUN_PER: Final = ("auto", "call", "folder", "file")
# Two runs of one suite repeat half of the cases; reruns of failed cases repeat few.
_REPEATED: Final = 1 / 3
_BLOCK: Final = 100_000
_MAX_ATTEMPT: Final = np.iinfo(np.int16).max


@dataclass(slots=True)
class RunFiles:
    """The files of one run, each content once; ``named`` by the user, not by its content."""

    run_id: str
    files: list[ParsedReport]
    is_named: bool = False


def group_files(
    files: Sequence[ParsedReport], *, per: str, run_id: str | None, key: str
) -> list[RunFiles]:
    """Return the runs that files hold.

    Parameters
    ----------
    files : sequence of ParsedReport
        In the order in which they were given.
    per : str
        ``auto``, ``call``, ``folder`` or ``file``.
    run_id : str or None
        Name of the one run that all files are part of.
    key : str
        What tells files of equal content apart, such as the commit.
    """
    if per not in RUN_PER:
        raise UsageError(f"a run per {per!r} is unknown", f"known: {', '.join(RUN_PER)}")
    if run_id is not None:
        return [RunFiles(run_id, _distinct(files), is_named=True)]
    groups = [_distinct(group) for group in _split(list(files), per)]
    return [RunFiles(_name(group, key), group) for group in groups if group]


def _split(files: list[ParsedReport], per: str) -> list[list[ParsedReport]]:
    if per == "file":
        return [[file] for file in files]
    if per == "folder":
        return _by(files, lambda f: f.source.folder)
    if per == "call" or not _repeats(files):
        return [files]
    folders = _by(files, lambda f: f.source.folder)
    return [
        group
        for folder in folders
        for group in (_split(folder, "file") if _repeats(folder) else [folder])
    ]


def _by(files: list[ParsedReport], name: Callable[[ParsedReport], str]) -> list[list[ParsedReport]]:
    groups: dict[str, list[ParsedReport]] = {}
    for file in files:
        groups.setdefault(name(file), []).append(file)
    return list(groups.values())


def _distinct(files: Sequence[ParsedReport]) -> list[ParsedReport]:
    """Return files without those whose content was there before."""
    return list({file.digest: file for file in reversed(files)}.values())[::-1]


def _repeats(files: Sequence[ParsedReport]) -> bool:
    """Tell whether files hold so many cases of one another that they are several runs."""
    distinct = [file for file in _distinct(files) if file.rows]
    if len(distinct) < 2:  # noqa: PLR2004
        return False
    ids_by_file = [np.unique(file.hashes()) for file in distinct]
    total = sum(len(ids) for ids in ids_by_file)
    return 1 - len(np.unique(np.concatenate(ids_by_file))) / total > _REPEATED


def _name(files: Sequence[ParsedReport], key: str) -> str:
    content = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8)
    for digest in sorted(file.digest for file in files):
        content.update(digest.encode())
    return f"junit-{content.hexdigest()}"


def number_attempts(hashes: Hashes) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.bool_]]:
    """Return the attempt number of each execution of a case, and whether it is the last.

    Parameters
    ----------
    hashes : int64 array of shape (n,)
        A hash of the case of each execution, in the order in which they took place.

    Returns
    -------
    tuple of arrays of shape (n,)
        Attempt from 1, and whether it is the last one of its case.
    """
    attempt = np.ones(len(hashes), dtype=np.int16)
    last = np.ones(len(hashes), dtype=bool)
    # Few cases repeat: half of each hash finds the candidates in half of the memory.
    half = hashes.astype(np.uint32)
    half.sort()
    repeated = np.unique(half[1:][half[1:] == half[:-1]])
    del half
    if len(repeated):
        positions = _positions(hashes, repeated)
        attempt[positions], last[positions] = _number_repeated(hashes[positions])
    return attempt, last


def _positions(hashes: Hashes, wanted: npt.NDArray[np.uint32]) -> npt.NDArray[np.intp]:
    """Return where hashes end in one of the wanted halves; in blocks, because `isin` sorts all."""
    positions = []
    for start in range(0, len(hashes), _BLOCK):
        half = hashes[start : start + _BLOCK].astype(np.uint32)
        nearest = np.minimum(np.searchsorted(wanted, half), len(wanted) - 1)
        positions.append(start + np.flatnonzero(wanted[nearest] == half))
    return np.concatenate(positions)


def _number_repeated(hashes: Hashes) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.bool_]]:
    order = np.argsort(hashes, kind="stable")
    ranked = hashes[order]
    first = np.append(True, ranked[1:] != ranked[:-1])
    position = np.arange(len(ranked))
    starts = np.maximum.accumulate(np.where(first, position, 0))
    attempt = np.empty(len(ranked), dtype=np.int16)
    attempt[order] = np.minimum(position - starts + 1, _MAX_ATTEMPT)
    last = np.empty(len(ranked), dtype=bool)
    last[order] = np.append(first[1:], True)
    return attempt, last
