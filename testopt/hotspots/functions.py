"""What a file expects, shared out to its functions by who wrote their lines, and when."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from testopt.errors import RepositoryError
from testopt.features.outline import outline
from testopt.features.paths import path_bytes
from testopt.hotspots import Hotspot
from testopt.sources.blobs import read_blobs, read_tree
from testopt.sources.git import resolve, run_git

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

FILES: Final = 40  # the likeliest files whose functions are looked at
_HALF_LIFE_S: Final = 360.0 * 86_400.0
_PLAIN, _RECENT, _FIXED = 1.0, 4.0, 8.0  # weight of a line: any, changed now, fixed now
_BLAME_S: Final = 30.0
_BLAMED: Final = re.compile(rb"^([0-9a-f]{40,64}) \d+ (\d+) (\d+)$", re.MULTILINE)


def function_spots(
    repo: Path,
    spots: Sequence[Hotspot],
    facts: Mapping[str, tuple[float, bool]],
    *,
    revision: str = "HEAD",
) -> list[Hotspot]:
    """Return the functions of the likeliest files.

    A line weighs more the later it was written, most when a fix wrote it (as lines that were just
    fixed are fixed again: Kim et al. 2007); a function has the share of its file's fixes that its
    lines have of the weight.

    Parameters
    ----------
    repo : Path
        Top folder of the repository, or a bare one.
    spots : sequence of Hotspot
        Files.
    facts : mapping of str to (float, bool)
        Time (seconds since 1970) and whether it is a fix, by commit.
    revision : str
        Commit whose functions they are.

    Returns
    -------
    list of Hotspot
        Functions and classes without those inside them; lines outside of any are one more. Files
        that git cannot read are left out.

    Raises
    ------
    RevisionError
        When there is no such commit.
    """
    commit = resolve(repo, revision)
    now = max((time for time, _ in facts.values()), default=0.0)
    likely = sorted(spots, key=lambda s: (-s.chance, s.path))[:FILES]
    tree = read_tree(repo, commit)
    texts = read_blobs(repo, [tree[s.path] for s in likely if s.path in tree])
    out: list[Hotspot] = []
    for spot in likely:
        text = texts.get(tree.get(spot.path, ""))
        try:
            weights = _line_weights(repo, commit, spot.path, facts, now) if text else {}
        except RepositoryError:
            continue
        out += _shared(spot, text or "", weights)
    return out


def _line_weights(
    repo: Path, commit: str, path: str, facts: Mapping[str, tuple[float, bool]], now: float
) -> dict[int, float]:
    """Return the weight of each line, by number from 1."""
    out = run_git(
        repo, "--literal-pathspecs", "blame", "--incremental", "-w", commit, "--",
        path_bytes(path).decode("utf-8", "surrogateescape"), timeout=_BLAME_S,
    )  # fmt: skip
    weights: dict[int, float] = {}
    for sha, start, count in _BLAMED.findall(out):
        time, fix = facts.get(sha.decode(), (0.0, False))
        fresh = 2.0 ** (-max(now - time, 0.0) / _HALF_LIFE_S)
        weight = _PLAIN + (_FIXED if fix else _RECENT) * fresh
        weights.update(dict.fromkeys(range(int(start), int(start) + int(count)), weight))
    return weights


def _shared(spot: Hotspot, text: str, weights: Mapping[int, float]) -> Iterator[Hotspot]:
    """Yield the functions of a file, each with its share."""
    total = sum(weights.values())
    if not total:
        return
    owner: dict[int, tuple[str, int]] = {}
    for definition in outline(text, spot.path):  # inner ones follow, and take their lines over
        if not definition.is_value:
            lines = range(definition.first, definition.last + 1)
            owner.update(dict.fromkeys(lines, (definition.name, definition.first)))
    own: dict[tuple[str, int], list[float]] = {}
    for line, weight in weights.items():
        own.setdefault(owner.get(line, ("(outside of functions)", 0)), []).append(weight)
    for (name, first), parts in own.items():
        share = sum(parts) / total
        yield Hotspot(
            spot.path, spot.expected * share, spot.chance * share, len(parts), None, name, first
        )
