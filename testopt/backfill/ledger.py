"""Records which runs of a backfill are done and how they ended, for all its threads."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from testopt.backfill.options import BackfillReport, UnusableRun
from testopt.errors import InputFileError
from testopt.schema import FAILING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from testopt.impact.coverage_rows import CoverageLinks
    from testopt.schema import Result, RunRecord
    from testopt.store import Store

_NOTES: Final = "state/backfill-unusable.json"
_SHOWN: Final = 600  # characters of output kept with an unusable run


class Ledger:
    """Keeps the store and the figures of a backfill; safe to use from several threads.

    Parameters
    ----------
    store : Store
        Where runs go.
    expected : int
        Runs, at most.
    retry : bool
        Forget which runs gave no results before.
    progress : callable, optional
        Called with runs done and runs expected.
    """

    def __init__(
        self,
        store: Store,
        *,
        expected: int,
        retry: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._begun = time.monotonic()
        self._known = store.run_ids()
        self._notes: dict[str, str] = {} if retry else _read_notes(store)
        self._expected, self._progress = expected, progress
        self._done = self._regressions = self._seen = self._skipped = 0
        self._flaky: set[str] = set()
        self._runs: Counter[str] = Counter()
        rows = store.read("links", columns=["commit"], where=[("path", "=", "")])
        self._measured = set(rows["commit"].unique().to_pylist())
        self._new_measured = 0
        self.unusable: list[UnusableRun] = []

    @property
    def usable(self) -> bool:
        """Tell whether any run, new or old, has results."""
        return bool(self._runs or self._seen)

    def holds(self, run_id: str) -> bool:
        """Tell whether a run is in the store."""
        with self._lock:
            return run_id in self._known

    def given_up(self, run_id: str) -> bool:
        """Tell whether a run gave no results in an earlier call; it then counts as done."""
        with self._lock:
            is_noted = run_id in self._notes
            self._skipped += is_noted
            self._advance(int(is_noted))
            return is_noted

    def results_of(self, run_id: str) -> dict[str, str]:
        """Return the outcomes of a run in the store, by case; it then counts as done."""
        with self._lock:
            columns = ["case_id", "outcome", "attempt"]
            rows = self._store.read("results", columns=columns, where=[("run_id", "==", run_id)])
            self._seen += 1
            self._advance(1)
        ordered = sorted(rows.to_pylist(), key=lambda row: row["attempt"])
        return {row["case_id"]: row["outcome"] for row in ordered}

    def append(self, record: RunRecord) -> dict[str, str]:
        """Append a run to the store; return its outcomes by case."""
        with self._lock:
            self._store.append_runs([record])
            self._known.add(record.run.run_id)
            self._runs[record.run.kind] += 1
            self._advance(1)
        return final_outcomes(record.results)

    def may_measure(self, commit: str, key: str) -> bool:
        """Tell whether coverage is to be measured at a commit: not yet, and not in vain before."""
        with self._lock:
            done = commit in self._measured or _measured_note(commit) in self._notes
            return not done and key not in self._notes

    def append_links(self, links: CoverageLinks, files: Iterable[Path], commit: str) -> str:
        """Append what was measured at a commit; return why nothing was, empty where it was.

        Of several processes of a run, one may have run no case.
        """
        failures = []
        with self._lock:
            for file in files:
                try:
                    links.append(self._store, file)
                    self._new_measured += commit not in self._measured
                    self._measured.add(commit)
                    self._notes[_measured_note(commit)] = "measured"
                except InputFileError as error:
                    failures.append(error.message)
            return failures[0] if failures and commit not in self._measured else ""

    def give_up(self, run_id: str, unusable: UnusableRun) -> None:
        """Note that a run gave no results."""
        with self._lock:
            text = unusable.output.strip()[-_SHOWN:]
            self.unusable.append(UnusableRun(unusable.commit, unusable.kind, unusable.why, text))
            self._notes[run_id] = unusable.why
            self._advance(1)

    def count(self, *, regressions: int = 0, flaky: Iterable[str] = (), left_out: int = 0) -> None:
        """Add to the figures; runs that a commit does not have count as done."""
        with self._lock:
            self._regressions += regressions
            self._flaky.update(flaky)
            self._advance(left_out)

    def finish(self) -> None:
        """Keep the notes on unusable runs, unless nothing worked: then the command is at fault.

        What was measured is noted, too: of coverage the store keeps the latest only.
        """
        with self._lock:
            if self.usable and (self.unusable or self._new_measured):
                self._store.write_blob(_NOTES, json.dumps(self._notes, indent=0).encode())

    def report(self, *, commits: int, shallow: bool) -> BackfillReport:
        """Return the figures."""
        return BackfillReport(
            commits=commits,
            runs=dict(sorted(self._runs.items())),
            known=self._seen,
            regressions=self._regressions,
            flaky=len(self._flaky),
            unusable=tuple(self.unusable),
            unusable_before=self._skipped,
            shallow=shallow,
            seconds=time.monotonic() - self._begun,
            measured=self._new_measured,
        )

    def _advance(self, runs: int) -> None:
        self._done += runs
        if runs and self._progress is not None:
            self._progress(min(self._done, self._expected), self._expected)


def _measured_note(commit: str) -> str:
    return f"coverage of {commit}"


def _read_notes(store: Store) -> dict[str, str]:
    """Return run id -> reason; notes that cannot be read only cost time."""
    try:
        notes = json.loads(store.read_blob(_NOTES) or b"{}")
    except ValueError:
        return {}
    return {str(k): str(v) for k, v in notes.items()} if isinstance(notes, dict) else {}


def final_outcomes(results: Iterable[Result]) -> dict[str, str]:
    """Return the outcome of each case: that of its last attempt."""
    return {r.case_id: r.outcome for r in sorted(results, key=lambda r: r.attempt)}


def regressed(before: dict[str, str], after: dict[str, str]) -> bool:
    """Tell whether a case fails that passed before; a file that cannot be collected fails all.

    Parameters
    ----------
    before, after : dict of str to str
        Outcomes by case, without and with the change.
    """
    failing = {case for case, outcome in after.items() if outcome in FAILING}
    return any(
        outcome == "passed" and (case in failing or case.partition("::")[0] in failing)
        for case, outcome in before.items()
    )
