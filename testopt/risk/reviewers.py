"""Who knows a file: read from git when an answer is printed, and stored nowhere."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from testopt.code.paths import path_bytes, path_text
from testopt.errors import RepositoryError
from testopt.git.process import run_git

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_HALF_LIFE_S: Final = 365.0 * 86_400.0  # after which a change counts half
_SHARE: Final = 1 / 3  # of the most active person's changes that makes somebody know a file
_MAX_EXPERTS: Final = 3  # people of a file
_COMMITS: Final = "-500"  # the last ones are looked at
_WAIT_S: Final = 10.0


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
    names = [os.fsdecode(path_bytes(path)) for path in paths]
    log = ("log", _COMMITS, "--no-merges", "--no-show-signature", "--name-only", "-z")
    try:
        out = run_git(
            repo, *log, "--format=%x01%at %aN%x02", head or "HEAD", "--", *names,
            timeout=_WAIT_S, env={"GIT_LITERAL_PATHSPECS": "1"},
        )  # fmt: skip
    except RepositoryError:
        return {}
    weights = _weights(out, time.time())
    return {path: _most(weights[path]) for path in paths if path in weights}


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
