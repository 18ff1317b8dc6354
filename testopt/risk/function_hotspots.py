"""Shares the expected fixes of a file out to its functions, by the age of their lines."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from testopt.code.outline import outline
from testopt.code.paths import language_of, path_bytes
from testopt.errors import RepositoryError
from testopt.git.blame import run_blame
from testopt.git.blobs import read_blobs, read_tree
from testopt.git.process import resolve
from testopt.risk.hotspots import Hotspot

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from testopt.risk.fix_rate import FixRate

FILES: Final = 40  # the likeliest files whose functions are looked at
_HALF_LIFE_S: Final = 360.0 * 86_400.0
_NEW_LINE_WEIGHT: Final = 8.0  # what a line written now weighs more than an old one
_BLAME_S: Final = 30.0
_WITHOUT_FUNCTIONS: Final = frozenset({"make", "css", "html", "protobuf", "sql"})
_BLAMED: Final = re.compile(rb"^([0-9a-f]{40,64}) \d+ (\d+) (\d+)$", re.MULTILINE)


def function_hotspots(
    repo: Path,
    files: Sequence[Hotspot],
    times: Mapping[str, float],
    model: FixRate,
) -> list[Hotspot]:
    """Return the functions of the likeliest files, as they are at ``HEAD``.

    A line weighs more the later it was written (Graves et al. 2000); a function has the share of
    its file's fixes that its lines have of the weight. Whether a fix wrote them made no difference
    on the repositories tried, where a window holds too few fixes to check an order of functions.

    Parameters
    ----------
    repo : Path
        Top folder of the repository, or a bare one.
    files : sequence of Hotspot
        Files.
    times : mapping of str to float
        Seconds since 1970, by commit.
    model : FixRate
        What the files were judged by.

    Returns
    -------
    list of Hotspot
        Functions and classes without those inside them. Files that git cannot read, and those in
        languages without functions, are left out.

    Raises
    ------
    RevisionError
        When there is no such commit.
    """
    commit = resolve(repo, "HEAD")
    now = max(times.values(), default=0.0)
    files = [s for s in files if language_of(s.path) not in _WITHOUT_FUNCTIONS]
    likeliest = sorted(files, key=lambda s: (-s.expected, s.path))[:FILES]
    tree = read_tree(repo, commit)
    texts = read_blobs(repo, [tree[s.path] for s in likeliest if s.path in tree])
    out: list[Hotspot] = []
    for file in likeliest:
        text = texts.get(tree.get(file.path, ""))
        try:
            weights = _line_weights(repo, commit, file.path, times, now) if text else {}
        except RepositoryError:
            continue
        out += _split_by_function(file, text or "", weights, model)
    return out


def _line_weights(
    repo: Path, commit: str, path: str, times: Mapping[str, float], now: float
) -> dict[int, float]:
    """Return the weight of each line, by number from 1."""
    out = run_blame(
        repo, "--incremental", "-w", commit=commit,
        path=path_bytes(path).decode("utf-8", "surrogateescape"), timeout=_BLAME_S,
    )  # fmt: skip
    weights: dict[int, float] = {}
    for sha, start, count in _BLAMED.findall(out):
        age = max(now - times.get(sha.decode(), 0.0), 0.0)
        weight = 1.0 + _NEW_LINE_WEIGHT * 2.0 ** (-age / _HALF_LIFE_S)
        weights.update(dict.fromkeys(range(int(start), int(start) + int(count)), weight))
    return weights


def _split_by_function(
    file: Hotspot, text: str, weights: Mapping[int, float], model: FixRate
) -> Iterator[Hotspot]:
    """Yield the functions of a file, each with its share."""
    total = sum(weights.values())
    if not total:
        return
    owner: dict[int, tuple[str, int]] = {}
    for definition in outline(text, file.path):  # inner ones follow, and take their lines over
        if not definition.is_value:
            lines = range(definition.first, definition.last + 1)
            owner.update(dict.fromkeys(lines, (definition.name, definition.first)))
    weights_by_function: dict[tuple[str, int], list[float]] = {}
    for line, function in owner.items():
        if line in weights:
            weights_by_function.setdefault(function, []).append(weights[line])
    for (name, first), parts in weights_by_function.items():
        expected = file.expected * sum(parts) / total
        chance = float(model.chance_of(expected))
        yield Hotspot(file.path, expected, chance, len(parts), None, name, first)
