"""Which files are one run, and how runs are named.

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

    from testopt.results.junit_rows import ParsedReport

RUN_PER: Final = ("auto", "call", "folder", "file")
# Two runs of one suite repeat half of the cases; reruns of failed cases repeat few.
_REPEATED: Final = 1 / 3


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
    files : sequence of JUnitFile
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
    parts = [p for one in _split(list(files), per) if (p := _distinct(one))]
    return [RunFiles(_name(part, key), part) for part in parts]


def _split(files: list[ParsedReport], per: str) -> list[list[ParsedReport]]:
    if per == "file":
        return [[file] for file in files]
    if per == "folder":
        return _by(files, lambda f: f.source.folder)
    if per == "call" or not _repeats(files):
        return [files]
    folders = _by(files, lambda f: f.source.folder)
    return [part for one in folders for part in (_split(one, "file") if _repeats(one) else [one])]


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
    each = [np.unique(file.hashes()) for file in distinct]
    total = sum(len(one) for one in each)
    return 1 - len(np.unique(np.concatenate(each))) / total > _REPEATED


def _name(files: Sequence[ParsedReport], key: str) -> str:
    content = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8)
    for digest in sorted(file.digest for file in files):
        content.update(digest.encode())
    return f"junit-{content.hexdigest()}"
