"""Which tests may catch a defect in a file: those that run it, and those that failed with it."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from testopt.risk.values import CatchingTest
from testopt.schema import FAILING, LINK_OUTSIDE, LINK_SET_UP

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from testopt.store import Store

_SHOWN: Final = 5  # tests of a file
_LIFT: Final = 2.0  # so many times more often than usual must a case fail with a file
_MAX_PATHS: Final = 2_000  # of the changed files are looked up


@dataclass(frozen=True)
class CatchingTests:
    """What coverage and past runs say of some files.

    Attributes
    ----------
    known : bool
        Whether the store holds coverage or runs at all.
    covering : mapping of str to frozenset of str
        Cases that ran lines of a file, by path.
    failing : mapping of str to mapping of str to int
        In how many runs that changed a file each case failed, by path; only cases that fail more
        often then than they do otherwise.
    changes : mapping of str to int
        Runs that changed a file.
    """

    known: bool
    covering: Mapping[str, frozenset[str]]
    failing: Mapping[str, Mapping[str, int]]
    changes: Mapping[str, int]

    def for_path(self, path: str) -> tuple[CatchingTest, ...]:
        """Return the tests of a file: what caught most first, then what covers it."""
        covering, failing = self.covering.get(path, frozenset()), self.failing.get(path, {})
        tests = [
            CatchingTest(case, case in covering, failing.get(case, 0), self.changes.get(path, 0))
            for case in covering | failing.keys()
        ]
        return tuple(sorted(tests, key=lambda t: (-t.failed, not t.covers, t.case_id)))

    def likeliest(self, path: str) -> tuple[CatchingTest, ...]:
        """Return the first few tests of a file."""
        return self.for_path(path)[:_SHOWN]


def find_catching_tests(store: Store, paths: Sequence[str]) -> CatchingTests:
    """Return what the store says of the tests of some files.

    Parameters
    ----------
    store : Store
        With results, or coverage (table ``links``).
    paths : sequence of str
        The first 2,000 are looked up.

    Returns
    -------
    CatchingTests
        Cases that fail all the time catch nothing: a case counts for a file when it failed in
        at least twice the share of the runs that changed the file than of all runs.
    """
    wanted = list(dict.fromkeys(paths))[:_MAX_PATHS]
    links = store.read("links", columns=["case_id", "path"], where=[("path", "in", wanted)])
    covering: dict[str, set[str]] = defaultdict(set)
    for case, path in zip(links["case_id"].to_pylist(), links["path"].to_pylist(), strict=True):
        if case not in (LINK_OUTSIDE, LINK_SET_UP):
            covering[path].add(case)
    runs = store.read("runs", columns=["run_id"]).num_rows
    changed = _runs_by_path(store, wanted) if runs else {}
    return CatchingTests(
        known=bool(runs) or store.version("links") >= 0,
        covering={path: frozenset(cases) for path, cases in covering.items()},
        failing=_failure_counts(store, changed, runs),
        changes={path: len(changing) for path, changing in changed.items()},
    )


def _runs_by_path(store: Store, paths: Sequence[str]) -> dict[str, set[str]]:
    """Return the runs that changed each file."""
    rows = store.read("run_changes", columns=["run_id", "path"], where=[("path", "in", paths)])
    out: dict[str, set[str]] = defaultdict(set)
    for run, path in zip(rows["run_id"].to_pylist(), rows["path"].to_pylist(), strict=True):
        out[path].add(run)
    return out


def _failure_counts(
    store: Store, changed: Mapping[str, set[str]], runs: int
) -> dict[str, dict[str, int]]:
    if not changed:
        return {}
    failed = store.read(
        "results", columns=["run_id", "case_id"], where=[("outcome", "in", sorted(FAILING))]
    )
    failures: Counter[str] = Counter()
    by_run: dict[str, set[str]] = defaultdict(set)
    for run, case in set(
        zip(failed["run_id"].to_pylist(), failed["case_id"].to_pylist(), strict=True)
    ):
        failures[case] += 1
        by_run[run].add(case)
    out = {}
    for path, changing in changed.items():
        counts = Counter(case for run in changing for case in by_run.get(run, ()))
        out[path] = {
            c: k for c, k in counts.items() if k / len(changing) >= _LIFT * failures[c] / runs
        }
    return out
