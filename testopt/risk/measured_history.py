"""The mined history as metrics, each commit as of its own time, and what was known of it when."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.errors import EmptyStoreError
from testopt.pluralize import pluralize
from testopt.risk.change_metrics import ChangeHistory
from testopt.risk.label_latency import found_share
from testopt.risk.mined_metrics import COMMIT_COLUMNS, FILE_COLUMNS, mined_commits, touched_files
from testopt.store.examined import read_examined

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    import pyarrow as pa
    from numpy.typing import NDArray

    from testopt.risk.change_metrics import ChangeFacts, TouchedFile
    from testopt.schema import Change
    from testopt.store import Store

FILES: Final = 20  # of a change that are judged alone
_DAY_S: Final = 86_400.0

FileRows = list[tuple["TouchedFile", list[float]]]


@dataclass(frozen=True)
class MeasuredHistory:
    """The history as metrics, oldest first, and the state at its end.

    Of the commits that were wanted ``judged`` holds the metrics that their risk goes by, in which
    inert files do not count, and ``files_alone`` those of each of their largest files as
    if it had changed alone, all at the time of the commit.
    """

    shas: list[str]
    facts: list[ChangeFacts]
    rows: list[list[float]]
    state: ChangeHistory
    judged: dict[str, list[float]] = field(default_factory=dict)
    files_alone: dict[str, FileRows] = field(default_factory=dict)

    @property
    def times(self) -> NDArray[np.float64]:
        """When each was committed, in seconds since 1970."""
        return np.array([facts.time for facts in self.facts], np.float64)

    @property
    def teaches(self) -> NDArray[np.bool_]:
        """Which commits are no merges: a merge is only here because its risk is asked for."""
        return np.array([not facts.is_merge for facts in self.facts], bool)


def measure_history(
    store: Store,
    wanted: Mapping[str, Change],
    inert: Mapping[str, frozenset[str]] | None = None,
    words: Mapping[str, int] | None = None,
) -> MeasuredHistory:
    """Return the metrics of all mined commits, each as of its own time.

    Parameters
    ----------
    store : Store
    wanted : mapping of str to Change
        Commits to measure even if they are merges (what they bring in counts), and file by file.
    inert : mapping of str to frozenset of str, optional
        Files, by commit, in which nothing that runs has changed.
    words : mapping of str to int, optional
        How many words explain each commit, as far as it is known.

    Raises
    ------
    EmptyStoreError
        When no commits were mined.
    """
    commits = store.read("commits", columns=COMMIT_COLUMNS)
    if not commits.num_rows:
        raise EmptyStoreError("the store holds no commits", "read them first: testopt mine")
    history = MeasuredHistory([], [], [], ChangeHistory())
    state = history.state
    for sha, facts, files in mined_commits(
        commits, store.read("file_changes", columns=FILE_COLUMNS), words
    ):
        asked = touched_files(wanted[sha].files) if sha in wanted else None
        measured = files if files and not facts.is_merge else asked
        if measured is not None:
            history.shas.append(sha)
            history.facts.append(facts)
            history.rows.append(state.measure(facts, measured))
        if measured is not None and asked is not None:
            paths = (inert or {}).get(sha, frozenset())
            history.judged[sha] = state.measure(facts, without(measured, paths))
            history.files_alone[sha] = files_alone(state, facts, asked, paths)
        state.update(facts, files)
    return history


def without(files: Sequence[TouchedFile], inert: Collection[str]) -> list[TouchedFile]:
    """Return files but those of some paths."""
    return [f for f in files if f.path not in inert]


def files_alone(
    state: ChangeHistory,
    facts: ChangeFacts,
    files: Sequence[TouchedFile],
    inert: Collection[str],
) -> FileRows:
    """Return the files of a change with the most lines, each with its metrics alone."""
    largest = sorted(files, key=lambda f: -((f.added or 0) + (f.deleted or 0)))[:FILES]
    return [(file, state.measure(facts, without([file], inert))) for file in largest]


class DefectLabels:
    """Which commits introduced a defect, as it was known at any time.

    Parameters
    ----------
    store : Store
    history : MeasuredHistory

    Raises
    ------
    EmptyStoreError
        When no defects were traced, or there are no commits.
    """

    def __init__(self, store: Store, history: MeasuredHistory) -> None:
        labels = store.read("labels")
        if not labels.num_rows:
            raise _no_labels(store)
        if not len(history.shas):
            raise EmptyStoreError("no mined commit changes a file", "mine more: testopt mine")
        found = first_fixes(counted_labels(store, labels))
        places = {sha: i for i, sha in enumerate(history.shas)}
        known = sorted((places[sha], time) for sha, time in found.items() if sha in places)
        self._times = history.times
        self._rows = np.array([row for row, _ in known], np.intp)
        self._fixed = np.array([time for _, time in known], np.float64)
        examined = read_examined(store)
        latest = max((time for time in found.values()), default=0.0)
        self.until = examined.until.timestamp() if examined is not None else latest
        since = examined.since if examined is not None else None
        self._since = since.timestamp() if since is not None else -np.inf

    def known(self, time: float) -> NDArray[np.bool_]:
        """Return which commits were known to be defective then, shape (n,)."""
        out = np.zeros(len(self._times), bool)
        out[self._rows[self._fixed < time]] = True
        return out

    def found_shares(self, time: float) -> tuple[NDArray[np.float64], float]:
        """Return which share of the defects of each commit would have been found by then.

        Returns
        -------
        share : ndarray, shape (n,)
            0 for commits that nobody has looked for defects of, for they are younger than the
            last commit that was examined, or older than the first.
        latency : float
            Days after which half of the defects are found; 0 where none is known.
        """
        until = min(time, self.until)
        written = self._times[self._rows]
        in_time = (self._fixed < time) & (self._fixed <= until) & (written >= self._since)
        written = written[in_time]
        delay = np.maximum(self._fixed[in_time] - written, 0.0) / _DAY_S
        seen = np.maximum((until - written) / _DAY_S, delay)
        share = found_share(delay, seen, (until - self._times) / _DAY_S)
        share[self._times < self._since] = 0.0
        if not len(delay):
            return share, 0.0
        days = np.unique(delay)
        half = np.searchsorted(found_share(delay, seen, days), 0.5)
        return share, float(days[min(int(half), len(days) - 1)])


def _no_labels(store: Store) -> EmptyStoreError:
    is_fix = store.read("commits", columns=["is_fix"])["is_fix"].to_pylist()
    if not any(is_fix):
        return EmptyStoreError(
            f"of {pluralize(len(is_fix), 'commit')} none is recognised as a fix, so there is "
            "nothing to learn from",
            "set fix_pattern to match the subjects of your fixes, and run: testopt mine",
        )
    return EmptyStoreError(
        f"no fix has been traced to the commit that introduced its defect (fixes: {sum(is_fix):,})",
        "run: testopt szz (minutes for some thousand), or testopt risk --bootstrap (a minute)",
    )


def counted_labels(store: Store, labels: pa.Table) -> pa.Table:
    """Return the labels of what counts as a fix.

    Where szz took a commit for a fix by earlier rules, and `mine` tells by those of now that it is
    none, its labels count no more. What a list or an issue called a fix stays one.
    """
    import pyarrow as pa

    where = [("is_fix", "=", False)]
    others = set(store.read("commits", columns=["sha"], where=where)["sha"].to_pylist())
    rows = zip(labels["fix_commit"].to_pylist(), labels["evidence"].to_pylist(), strict=True)
    counts = [fix not in others or not _told_by_rules(evidence) for fix, evidence in rows]
    return labels.filter(pa.array(counts, pa.bool_()))


def _told_by_rules(evidence: str) -> bool:
    """Tell whether a commit was a fix by what it says, and not by a list or an issue."""
    try:
        facts = json.loads(evidence)
    except ValueError:
        return False
    facts = facts if isinstance(facts, dict) else {}
    return bool(facts.get("by_rules", facts.get("why", "given") != "given"))


def first_fixes(labels: pa.Table) -> dict[str, float]:
    """Return the commits that introduced a defect, and when the first fix of each was committed.

    Parameters
    ----------
    labels : pyarrow.Table
        Table ``labels``; of each fix the answers of the latest tracing count.
    """
    columns = ["fix_commit", "bug_commit", "chosen", "seen", "time"]
    rows = labels.select(columns).to_pylist()
    latest: dict[str, datetime] = {}
    for row in rows:
        latest[row["fix_commit"]] = max(row["seen"], latest.get(row["fix_commit"], row["seen"]))
    out: dict[str, float] = {}
    for row in rows:
        bug: Any = row["bug_commit"]
        if row["chosen"] and bug and row["seen"] == latest[row["fix_commit"]]:
            time = row["time"].timestamp()
            out[bug] = min(time, out.get(bug, time))
    return out


def defective_commits(labels: pa.Table) -> set[str]:
    """Return the commits that introduced a defect, as `first_fixes` finds them."""
    return set(first_fixes(labels))
