"""How much of what changed a case ran when its coverage was measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from testopt.features.frames import Query

NAMES: Final = ("ran_changed_file", "ran_changed_lines")


@dataclass(frozen=True, slots=True)
class Links:
    """Coverage of cases, as far as files of a change are concerned.

    Attributes
    ----------
    ran : mapping of str to mapping of str to set of int
        Case -> path -> lines from 1. A case that was measured and ran none has an empty mapping.
    changed : mapping of str to sequence of range
        Path -> lines of the measured version that are changed; an empty range: others come in
        before its start. Files that have changed since they were measured are left out.
    """

    ran: Mapping[str, Mapping[str, frozenset[int]]]
    changed: Mapping[str, Sequence[range]] = field(default_factory=dict)


def links_features(query: Query, links: Links) -> NDArray[np.float32]:
    """Return what coverage says of each case and the change.

    Parameters
    ----------
    query : Query
        Cases and changed files.
    links : Links

    Returns
    -------
    ndarray of float32, shape (n_cases, 2)
        1 where the case ran any line of a changed file, else 0; and the largest share of the
        changed lines of a file that it ran. NaN where the case was not measured, the share also
        where no changed file is as it was then.
    """
    out = np.full((len(query.cases), len(NAMES)), np.nan, np.float32)
    paths = {path for file in query.files for path in (file.path, file.old_path) if path}
    lines = {path: _around(links.changed[path]) for path in paths & links.changed.keys()}
    for i, case in enumerate(query.cases):
        ran = links.ran.get(case)
        if ran is None:
            continue
        out[i, 0] = float(not paths.isdisjoint(path for path, mine in ran.items() if mine))
        shares = [
            len(ran.get(path, frozenset()) & here) / len(here) for path, here in lines.items()
        ]
        out[i, 1] = max(shares, default=np.nan)
    return out


def _around(ranges: Sequence[range]) -> frozenset[int]:
    """Return changed lines; of what comes in between two lines, those."""
    found = {line for lines in ranges for line in lines}
    inserted = {lines.start for lines in ranges if not len(lines)}
    return frozenset(found | inserted | {line - 1 for line in inserted if line > 1})
