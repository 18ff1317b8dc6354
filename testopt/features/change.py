"""Numbers of a change as a whole: how large it is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testopt.schema import FileChange

NAMES = ("change_files", "change_lines")


def change_features(files: Sequence[FileChange]) -> list[float]:
    """Return the numbers of a change, in the order of ``NAMES``.

    Parameters
    ----------
    files : sequence of FileChange
        Empty where the change is unknown: every number is then NaN.

    Returns
    -------
    list of float
        log2(1 + files), log2(1 + lines added and deleted).
    """
    if not files:
        return [math.nan] * len(NAMES)
    lines = sum((f.added or 0) + (f.deleted or 0) for f in files)
    return [math.log2(1 + len(files)), math.log2(1 + lines)]
