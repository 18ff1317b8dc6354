"""Numbers of a change as a whole: how large, how spread, what kind of files."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testopt.schema import FileChange

NAMES = ("change_files", "change_lines", "change_entropy", "change_tests", "change_folders")


def change_features(files: Sequence[FileChange]) -> list[float]:
    """Return the numbers of a change, in the order of ``NAMES``.

    Parameters
    ----------
    files : sequence of FileChange
        Empty where the change is unknown: every number is then NaN.

    Returns
    -------
    list of float
        log2(1 + files), log2(1 + lines added and deleted), entropy of the lines over the files
        in bits divided by its maximum (Hassan 2009), share of files that look like tests,
        log2(1 + folders).
    """
    if not files:
        return [math.nan] * len(NAMES)
    from testopt.code.paths import is_test_path

    lines = [(f.added or 0) + (f.deleted or 0) for f in files]
    folders = {f.path.rpartition("/")[0] for f in files}
    return [
        math.log2(1 + len(files)),
        math.log2(1 + sum(lines)),
        _entropy(lines),
        sum(is_test_path(f.path) for f in files) / len(files),
        math.log2(1 + len(folders)),
    ]


def _entropy(weights: Sequence[int]) -> float:
    total = sum(weights)
    if total <= 0 or len(weights) == 1:
        return 0.0
    shares = [w / total for w in weights if w]
    return -sum(s * math.log2(s) for s in shares) / math.log2(len(weights))
