"""What the store knows of coverage: which case ran which lines, when it was measured last."""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.errors import RepositoryError, StoreError
from testopt.git.changed_lines import diff_of_files, read_changed_lines
from testopt.impact.coverage_lines import lines_then, ran_share, touched_lines
from testopt.results.coverage import lines_of
from testopt.schema import LINK_OUTSIDE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from testopt.runners.locate import Locator
    from testopt.store import Store

Latest = dict[str, tuple[str, int]]  # measured id -> commit and moment of its latest links
Regions = dict[str, list[frozenset[int]]]  # path -> lines of each change

_COMMITS: Final = 8  # at which the latest coverage was measured
_MOST_FILES: Final = 100  # a change of more is not compared with coverage
_LINES: Final = 2_000  # many cases run the same lines of a file


def match_measured(
    store: Store, cases: Sequence[str], locator: Locator, *, until: datetime | None = None
) -> tuple[dict[str, str], Latest]:
    """Find the coverage of cases, however the data and the runner spell their ids.

    Parameters
    ----------
    store : Store
    cases : sequence of str
        Case ids.
    locator : Locator
        Of the tree: ids of one function of one file mean the same.
    until : datetime, optional
        What was measured at this time or later is not known yet.

    Returns
    -------
    dict of str to str
        Case -> id in the links: with its parameters, else that of its function. Cases that were
        not measured are left out.
    Latest
        Of these ids.
    """
    keys = {case: _key(case, locator) for case in cases}
    wanted = {key for case in cases for key in (keys[case], keys[case][:2])}
    where: list[Any] = [("path", "=", "")] + ([("seen", "<", until)] if until is not None else [])
    rows = store.read("links", columns=["case_id", "commit", "seen"], where=where)
    rows = _latest_of_each(with_moments(rows))
    found: dict[tuple[str, ...], str] = {}
    latest: Latest = {}
    for case, commit, seen in zip(*(rows[c].to_pylist() for c in rows.column_names), strict=True):
        key = keys[case] if case in keys else _key(case, locator)
        if key in wanted and (key not in found or seen > latest[found[key]][1]):
            found[key] = case
            latest[case] = commit or "", seen
    named = {case: found.get(key) or found.get(key[:2]) for case, key in keys.items()}
    return {case: name for case, name in named.items() if name}, latest


def with_moments(rows: pa.Table) -> pa.Table:
    """Return rows of links with microseconds since 1970 in ``seen``: quick to make, as many as are.

    Parameters
    ----------
    rows : pyarrow.Table
        With the column ``seen``.
    """
    at = rows.column_names.index("seen")
    return rows.set_column(at, "seen", rows["seen"].cast("int64"))


def _latest_of_each(rows: pa.Table) -> pa.Table:
    """Return the latest row of each case; of cases measured again and again Python sees one."""
    rows = rows.sort_by([("seen", "descending")])
    code = rows["case_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    return rows.take(np.unique(code, return_index=True)[1])


def _key(case: str, locator: Locator) -> tuple[str, ...]:
    """Return file, function and parameters of a case; without parameters file and function."""
    place = locator.find(case)
    inside = case.partition("[")[2]
    return (*place, inside) if inside else place


def regions_then(
    repo: Path, *, measured: str, base: str, changed: Mapping[str, Sequence[range]]
) -> Regions:
    """Find the lines of a change in the version that was measured.

    Parameters
    ----------
    repo : Path
    measured : str
        Commit at which coverage was measured; empty: unknown, taken for the base.
    base : str
        Commit before the change.
    changed : mapping of str to sequence of range
        Path -> changed lines of the base.

    Raises
    ------
    RepositoryError
        When git does not have the commits.
    """
    hunks: dict[str, list[tuple[range, range]]] = defaultdict(list)
    if measured not in ("", base):
        for patch in read_changed_lines(
            diff_of_files(repo, base=measured, head=base, paths=changed)
        ):
            hunks[patch.path] += zip(patch.old_lines, patch.new_lines, strict=True)
    return {
        path: [lines_then(lines, hunks[path]) for lines in touched_lines(ranges)]
        for path, ranges in changed.items()
    }


class CoverageIndex:
    """Tells how much of a change each case ran when its coverage was measured.

    Parameters
    ----------
    repo : Path
        Top folder of the repository, or a bare one.
    store : Store
        Has the coverage.
    """

    def __init__(self, repo: Path, store: Store) -> None:
        self._repo, self._store = repo, store
        self._first: dict[int, datetime | None] = {}  # by version of the table

    def shares(
        self,
        cases: Sequence[str],
        *,
        locator: Locator,
        base: str,
        changed: Mapping[str, Sequence[range]],
        until: datetime | None = None,
    ) -> NDArray[np.float32] | None:
        """Return the share of a change that each case ran.

        Parameters
        ----------
        cases : sequence of str
        locator : Locator
            Of the tree.
        base : str
            Commit before the change.
        changed : mapping of str to sequence of range
            Path -> changed lines of the base.
        until : datetime, optional
            What was measured at this time or later is not known yet.

        Returns
        -------
        ndarray of float32, shape (n_cases,), or None
            NaN where it is not known; None where nothing is.
        """
        if not 0 < len(changed) <= _MOST_FILES:
            return None
        try:
            if not self._began(until):
                return None
            named, latest = match_measured(self._store, cases, locator, until=until)
            return self._shares(cases, named, latest, base=base, changed=changed)
        except (StoreError, RepositoryError):
            return None

    def _began(self, until: datetime | None) -> bool:
        """Tell whether any coverage had been measured."""
        version = self._store.version("links")
        if version not in self._first:
            where = [("path", "=", "")]
            seen = self._store.read("links", columns=["seen"], where=where)["seen"].unique()
            self._first = {version: min(seen.to_pylist(), default=None)}
        first = self._first[version]
        return first is not None and (until is None or first < until)

    def _shares(
        self, cases: Sequence[str], named: Mapping[str, str], latest: Latest, *, base: str,
        changed: Mapping[str, Sequence[range]],
    ) -> NDArray[np.float32]:  # fmt: skip
        then = self._then(latest, base, changed)
        at: dict[str, list[int]] = defaultdict(list)
        for position, case in enumerate(cases):
            name = named.get(case)
            if name is not None and latest[name][0] in then:
                at[name].append(position)
        measured = np.zeros(len(cases), bool)
        measured[[i for positions in at.values() for i in positions]] = True
        ran = [
            self._ran(path, at, latest, {c: regions[path] for c, regions in then.items()})
            for path in changed
        ]
        out = np.zeros((sum(map(len, ran)), len(cases)), bool)
        for row, positions in enumerate(positions for regions in ran for positions in regions):
            out[row, positions] = True
        return ran_share(out, measured)

    def _then(
        self, latest: Latest, base: str, changed: Mapping[str, Sequence[range]]
    ) -> dict[str, Regions]:
        """Return the lines of the change as of each commit at which was measured."""
        found = {}
        for commit, _ in Counter(commit for commit, _ in latest.values()).most_common(_COMMITS):
            with suppress(RepositoryError):  # a commit that git does not have (any more)
                found[commit] = regions_then(
                    self._repo, measured=commit, base=base, changed=changed
                )
        return found

    def _ran(
        self,
        path: str,
        at: Mapping[str, Sequence[int]],
        latest: Latest,
        then: Mapping[str, list[frozenset[int]]],
    ) -> list[list[int]]:
        """Return the positions of the cases that ran each of the changed regions of a file.

        What runs at import tells no case from another.
        """
        rows = self._rows(path, {seen for _, seen in latest.values()})
        outside: dict[str, set[int]] = defaultdict(set)
        for case, lines, commit, _ in rows:
            if case == LINK_OUTSIDE:
                outside[commit].update(lines_of(lines))
        inner = {c: [lines - outside[c] for lines in regions] for c, regions in then.items()}
        span = {c: _span(regions) for c, regions in inner.items()}
        found: list[list[int]] = [[] for _ in next(iter(then.values()), ())]
        for case, lines, commit, seen in rows:
            if case in at and latest[case] == (commit, seen):
                case_lines = _lines(lines, span[commit])
                for region, wanted in zip(found, inner[commit], strict=True):
                    if not case_lines.isdisjoint(wanted):
                        region.extend(at[case])
        return found

    def _rows(self, path: str, moments: set[int]) -> list[tuple[str, str | None, str, int]]:
        """Return case, lines, commit and moment of the links of a file, as measured then."""
        names = ["case_id", "lines", "commit", "seen"]
        rows = with_moments(self._store.read("links", columns=names, where=[("path", "=", path)]))
        rows = rows.filter(np.isin(rows["seen"].to_numpy(), list(moments)))
        columns = (rows[name].to_pylist() for name in names)
        return [(case, lines, c or "", seen) for case, lines, c, seen in zip(*columns, strict=True)]


def _span(regions: Sequence[frozenset[int]]) -> range:
    lines = frozenset[int]().union(*regions)
    return range(min(lines, default=0), max(lines, default=-1) + 1)


@lru_cache(_LINES)
def _lines(text: str | None, span: range) -> frozenset[int]:
    return frozenset(lines_of(text, span))
