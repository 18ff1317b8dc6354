"""Who knows a file: read from git when an answer is printed, and stored nowhere."""

from __future__ import annotations

import os
import re
import time
from collections import Counter, defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from testopt.code.paths import path_bytes, path_text
from testopt.errors import RepositoryError
from testopt.git.changed_lines import diff_of_files, read_changed_lines
from testopt.git.process import run_git

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from testopt.schema import Change

_HALF_LIFE_S: Final = 365.0 * 86_400.0  # after which a change counts half
_SHARE: Final = 1 / 3  # of the most active person's changes that makes somebody know a file
_MAX_EXPERTS: Final = 3  # people of a file
_COMMITS: Final = "-500"  # the last ones are looked at
_WAIT_S: Final = 10.0
_BLAMED: Final = 8  # files whose changed lines are traced to who wrote them
_BLAME_S: Final = 3.0  # for each
_SPANS: Final = 50  # of lines of a file
_REVIEWERS: Final = 3
_AUTHOR: Final = re.compile(rb"^author (.*)$", re.MULTILINE)
_MUCH: Final = 0.25  # of the first reviewer's part that makes another one
_BOT: Final = re.compile(r"\[bot\]|\bbot\b|^dependabot|^renovate", re.IGNORECASE)


def file_experts(repo: Path, paths: Sequence[str], head: str | None) -> dict[str, tuple[str, ...]]:
    """Return the people who made much of the recent changes of some files.

    Parameters
    ----------
    repo : Path
        Top folder of the repository, or a bare one.
    paths : sequence of str
        Paths as `path_text` spells them.
    head : str or None
        Full hash of the commit up to which to look; None: HEAD.

    Returns
    -------
    dict of str to tuple of str
        At most three names of each path, in the order of the alphabet, which says nothing about
        who did more; none for new files, and none at all where git fails or takes too long.
        ``.mailmap`` is respected.
    """
    weights = _changes_by_path(repo, paths, head or "HEAD")
    return {path: _most(weights[path]) for path in paths if path in weights}


def likely_reviewers(repo: Path, change: Change) -> tuple[str, ...]:
    """Return who is likely to review a change: those who know its lines and files.

    Parameters
    ----------
    repo : Path
        Top folder of the repository, or a bare one.
    change : Change

    Returns
    -------
    tuple of str
        At most three names in the order of the alphabet, without the authors of the change and
        without bots: who wrote the lines that it deletes, and who changed its files lately;
        nobody where git fails. ``.mailmap`` is respected.
    """
    if change.base is None:
        return ()
    authors = _authors(repo, change)
    weights: dict[str, float] = defaultdict(float)
    paths = [f.old_path or f.path for f in change.files if f.status != "A"]
    for part in (_writers(repo, change, paths), _changers(repo, change.base, paths)):
        total = sum(part.values())
        for name, weight in part.items():
            if name not in authors and not _BOT.search(name):
                weights[name] += weight / total
    first = sorted(weights, key=lambda name: (-weights[name], name))[:_REVIEWERS]
    return tuple(sorted(name for name in first if weights[name] >= _MUCH * weights[first[0]]))


def _authors(repo: Path, change: Change) -> frozenset[str]:
    """Return the names of who made a change, as ``.mailmap`` gives them."""
    with suppress(RepositoryError):
        if change.head is not None:
            span = f"{change.base}..{change.head}"
            out = run_git(repo, "log", "-500", "--no-show-signature", "--format=%aN", span, "--")
        else:
            ident = run_git(repo, "var", "GIT_AUTHOR_IDENT").rpartition(b">")[0] + b">"
            out = run_git(repo, "check-mailmap", "--stdin", stdin=ident + b"\n")
            out = out.partition(b" <")[0]
        return frozenset(out.decode("utf-8", "replace").splitlines())
    return frozenset()


def _changers(repo: Path, base: str, paths: Sequence[str]) -> dict[str, float]:
    total: dict[str, float] = defaultdict(float)
    for weights in _changes_by_path(repo, paths, base).values():
        for name, weight in weights.items():
            total[name] += weight
    return total


def _writers(repo: Path, change: Change, paths: Sequence[str]) -> dict[str, float]:
    """Return how many of the lines that a change deletes each person wrote."""
    counts: Counter[str] = Counter()
    with suppress(RepositoryError):
        diff = diff_of_files(repo, base=change.base, head=change.head, paths=paths[:_BLAMED])
        for patch in read_changed_lines(diff):
            spans = [f"-L{x.start},{x.stop - 1}" for x in patch.old_lines if len(x)][:_SPANS]
            if patch.old and spans:
                counts.update(_authors_of_lines(repo, change.base or "", patch.old, spans))
    return {name: float(n) for name, n in counts.items()}


def _authors_of_lines(repo: Path, base: str, path: str, spans: Sequence[str]) -> list[str]:
    name = os.fsdecode(path_bytes(path))
    try:
        out = run_git(
            repo, "blame", "-w", "--line-porcelain", *spans, base, "--", name, timeout=_BLAME_S
        )
    except RepositoryError:
        return []
    return [line.decode("utf-8", "replace") for line in _AUTHOR.findall(out)]


def _changes_by_path(repo: Path, paths: Sequence[str], head: str) -> dict[str, dict[str, float]]:
    names = [os.fsdecode(path_bytes(path)) for path in paths]
    if not names:
        return {}
    log = ("log", _COMMITS, "--no-merges", "--no-show-signature", "--name-only", "-z")
    try:
        out = run_git(
            repo, *log, "--format=%x01%at %aN%x02", head, "--", *names,
            timeout=_WAIT_S, env={"GIT_LITERAL_PATHSPECS": "1"},
        )  # fmt: skip
    except RepositoryError:
        return {}
    return _weights(out, time.time())


def _weights(log: bytes, now: float) -> dict[str, dict[str, float]]:
    """Return the faded number of changes by path and name."""
    out: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for entry in log.split(b"\x01")[1:]:
        head, _, listing = entry.partition(b"\x02")
        seconds, _, name = head.decode("utf-8", "replace").partition(" ")
        if not seconds.lstrip("-").isdigit():
            continue
        weight = 2.0 ** (-max(now - int(seconds), 0.0) / _HALF_LIFE_S)
        for raw in listing.strip(b"\n\0").split(b"\0"):
            out[path_text(raw)][name] += weight
    return out


def _most(weights: dict[str, float]) -> tuple[str, ...]:
    least = _SHARE * max(weights.values())
    first = sorted(weights, key=lambda name: (-weights[name], name))[:_MAX_EXPERTS]
    return tuple(sorted(name for name in first if weights[name] >= least))
