"""Table schemas, and the frozen values passed between layers.

``SCHEMA_VERSION`` counts incompatible changes of the tables. Its history:

1  first version (0.1.0).
2  columns ``runs.pipeline_run`` and ``runs.tree``, ``run_changes.patch``, ``predictions.shard``;
   the ``run_id`` of a leg of a matrix is ``RUN/JOB``. In older rows they are null.

An older store is migrated or refused with a message, never deleted.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from testopt.reasons import sentence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import pandas as pd
    import pyarrow as pa

    from testopt.reasons import Reason

SCHEMA_VERSION: Final = 2

Outcome = Literal["passed", "failed", "error", "skipped"]
OUTCOMES: Final[tuple[Outcome, ...]] = ("passed", "failed", "error", "skipped")
FAILING: Final[frozenset[str]] = frozenset({"failed", "error"})
Kind = Literal["real", "clean", "reverse", "mutant"]
VARIANT_KINDS: Final = frozenset({"reverse", "mutant"})  # runs made from another one

# Columns by table: name -> (type, required). Types are Arrow's own names, made into a
# schema on demand, so that reading a plan does not pay for what it does not use.
_UTC: Final = "timestamp[us, tz=UTC]"
TABLES: Final[dict[str, dict[str, tuple[str, bool]]]] = {
    "commits": {
        "sha": ("string", True),
        "parents": ("list<string>", True),
        "author": ("string", True),  # pseudonym: a keyed hash, never a name
        "time": (_UTC, True),  # author time
        "committed": (_UTC, True),  # committer time
        "is_fix": ("bool", True),
        "is_merge": ("bool", True),
        "is_revert": ("bool", True),
        "subject_digest": ("string", False),
    },
    "file_changes": {
        "sha": ("string", True),
        "path": ("string", True),
        "old_path": ("string", False),  # set for renames and copies
        "status": ("string", True),  # A, M, D, R, C, T
        "added": ("int32", False),  # null: binary or submodule
        "deleted": ("int32", False),
        "size_before": ("int32", False),  # lines before the change, where known
        "subsystem": ("string", True),  # first folder of the path
        "language": ("string", True),
        "is_test": ("bool", True),
    },
    "runs": {
        "run_id": ("string", True),
        "commit": ("string", False),
        "base": ("string", False),
        "branch": ("string", False),
        "job": ("string", True),
        "kind": ("string", True),
        "parent_run": ("string", False),
        "time": (_UTC, True),  # when it happened
        "seen": (_UTC, True),  # when it was ingested
        "source": ("string", True),  # junit, table, pytest, backfill
        "cases": ("int32", True),
        "failed": ("int32", True),
        "error": ("int32", True),
        "skipped": ("int32", True),
        "duration_s": ("double", True),
        "complete": ("bool", True),  # false: a truncated file or a crashed run
        # most of it failed with one message that nothing changed explains; null: not known
        "environment_failure": ("bool", False),
        "pipeline_run": ("string", False),  # run id that the legs of a matrix share
        "tree": ("string", False),  # git's hash of what was tested, uncommitted edits and all
    },
    "results": {
        "run_id": ("string", True),
        "case_id": ("string", True),
        "file": ("string", False),
        "outcome": ("string", True),
        "duration_s": ("float", False),
        "attempt": ("int16", True),  # 1 is the first; the last one counts
        "message": ("string", False),  # digest of the failure message, never its text
    },
    "run_changes": {
        "run_id": ("string", True),
        "path": ("string", True),
        "old_path": ("string", False),
        "status": ("string", False),
        "added": ("int32", False),
        "deleted": ("int32", False),
        "tokens": ("string", False),  # identifiers of the changed lines, space-separated
        "patch": ("string", False),  # unified diff of what is in no commit; null too where large
    },
    "links": {
        "case_id": ("string", True),  # or LINK_OUTSIDE, LINK_SET_UP
        "path": ("string", True),  # empty: that the case was measured
        "lines": ("string", False),  # ranges: 3-7,12
        "commit": ("string", False),  # at which they were measured; null: files have changed
        "seen": (_UTC, True),  # of the rows of a case the latest count
    },
    "predictions": {
        "run_id": ("string", True),
        "case_id": ("string", True),
        "probability": ("float", True),
        "rank": ("int32", True),
        "selected": ("bool", True),
        "executed": ("bool", False),
        "reason": ("string", False),
        "propensity": ("float", False),
        "score": ("float", False),  # decides on the selection; null: nothing was to be selected
        "policy": ("string", True),
        "shard": ("string", False),  # part of a kept plan that was to execute it: 2/4; null: none
    },
    "labels": {
        "fix_commit": ("string", True),
        "bug_commit": ("string", False),  # null: traced, and nobody was found
        "confidence": ("float", True),
        "chosen": ("bool", True),  # the answer for this fix; rows of the latest `seen` count
        "evidence": ("string", True),  # JSON: why it is a fix, notes, reasons
        "time": (_UTC, True),  # of the fix
        "seen": (_UTC, True),  # when it was traced
        "method": ("string", True),  # version, and the issue date where one was used
    },
    "decisions": {
        "decision_id": ("string", True),
        "time": (_UTC, True),
        "kind": ("string", True),  # see DecisionKind in testopt.selection.decisions
        "bundle": ("string", False),  # that it is about
        "before": ("string", False),  # bundle that was live until then
        "author": ("string", True),  # pseudonym of who decided, ci, or unknown
        "why": ("string", True),
        "details": ("string", True),  # JSON: settings, version of the data, evidence
    },
}

LINK_OUTSIDE: Final = ""  # the case of lines that ran outside of all cases, as imports do
LINK_SET_UP: Final = "|setup"  # of lines that ran in the set-up or tear-down of any case

KEYS: Final[dict[str, tuple[str, ...]]] = {
    "commits": ("sha",),
    "file_changes": ("sha", "path"),
    "runs": ("run_id",),
    "results": ("run_id", "case_id", "attempt"),
    "run_changes": ("run_id", "path"),
    "links": ("case_id", "path"),
    "predictions": ("run_id", "case_id"),
    "labels": ("fix_commit", "bug_commit"),
    "decisions": ("decision_id",),
}


@lru_cache  # every file that is read asks for it
def arrow_schema(table: str) -> pa.Schema:
    """Return the Arrow schema of a table.

    Parameters
    ----------
    table : str
        A name in ``TABLES``.

    Returns
    -------
    pyarrow.Schema
        Columns in the order of ``TABLES``; required ones are not nullable.
    """
    import pyarrow as pa

    types: dict[str, Any] = {
        "string": pa.string(),
        "list<string>": pa.list_(pa.string()),
        "bool": pa.bool_(),
        "int16": pa.int16(),
        "int32": pa.int32(),
        "float": pa.float32(),
        "double": pa.float64(),
        _UTC: pa.timestamp("us", tz="UTC"),
    }
    columns = TABLES[table].items()
    return pa.schema([pa.field(name, types[kind], not req) for name, (kind, req) in columns])


@dataclass(frozen=True, slots=True)
class FileChange:
    """One changed file: paths, git status letter, lines added and deleted (None: unknown)."""

    path: str
    added: int | None = None
    deleted: int | None = None
    status: str = "M"
    old_path: str | None = None
    tokens: str | None = None  # identifiers of the changed lines, space-separated
    patch: str | None = None  # unified diff of what is in no commit
    is_submodule: bool = False  # of which nothing but the commit is known


@dataclass(frozen=True, slots=True)
class Change:
    """What differs between a base and a head revision.

    ``known`` is false where the base cannot be reached; ``why`` then says so, and everything runs.
    """

    files: tuple[FileChange, ...] = ()
    base: str | None = None
    head: str | None = None
    author: str | None = None  # pseudonym
    time: datetime | None = None
    is_fix: bool = False
    is_merge: bool = False
    known: bool = True
    why: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """Outcome of one case in one run; ``message`` is a digest."""

    case_id: str
    outcome: Outcome
    duration_s: float | None = None
    attempt: int = 1
    file: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a suite at one commit in one job."""

    run_id: str
    time: datetime
    job: str = ""
    commit: str | None = None
    base: str | None = None
    branch: str | None = None
    kind: Kind = "real"
    parent_run: str | None = None
    source: str = "junit"
    duration_s: float | None = None
    complete: bool = True
    environment_failure: bool | None = None
    pipeline_run: str | None = None
    tree: str | None = None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run with its results and its change: the unit that is appended to the store."""

    run: Run
    results: Sequence[Result]
    change: Change = field(default_factory=Change)
    predictions: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What the user asks of a plan that leaves cases out.

    Attributes
    ----------
    recall : float, optional
        Share of regressions, in 0..1, of which a failing case must be selected.
    case_recall : float, optional
        Share of regressing cases, in 0..1, that must be selected.
    budget_s, fraction : float, optional
        Most seconds of the selected cases, and most of their share of all time, in 0..1.
    affected : mapping of str to Reason, optional
        Cases that coverage and imports say could be affected, each with its reason: all of them
        are selected. None: that was not asked for.
    clear : mapping of str to Reason
        Those that they say could not be, each with its reason.
    must_run, run_all_on : tuple of str
        Globs of cases (or their files) that always run, and of changed files for which all do.
    required : mapping of str to Reason
        Further cases that must run, each with its reason.
    run_all : Reason, optional
        Why everything runs; None where it need not.
    explore, refresh : float
        Shares, in 0..1, of changes that run everything, and of left-out cases that run anyway.
    key : str
        What the draws hash: the run, or commit and job.
    shadow : tuple of Reason
        Why all cases are executed although the plan leaves some out; empty where they are not.
    at_once : bool
        Leave cases out also where shadow has not yet shown that it may be done.
    most_left_out : float, optional
        Most of the share of the cases, in 0..1, that may be left out by now.
    """

    recall: float | None = None
    case_recall: float | None = None
    budget_s: float | None = None
    fraction: float | None = None
    affected: Mapping[str, Reason] | None = None
    clear: Mapping[str, Reason] = field(default_factory=dict)
    must_run: tuple[str, ...] = ()
    run_all_on: tuple[str, ...] = ()
    required: Mapping[str, Reason] = field(default_factory=dict)
    run_all: Reason | None = None
    explore: float = 0.05
    refresh: float = 0.01
    key: str = ""
    shadow: tuple[Reason, ...] = ()
    at_once: bool = False
    most_left_out: float | None = None


@dataclass(frozen=True, slots=True)
class Promise:
    """What a plan that leaves cases out may be trusted with, and the evidence for it.

    Attributes
    ----------
    recall : float
        Share of regressions caught that was asked for, in 0..1; with a budget alone what is
        estimated.
    kind : {"promise", "estimate", "none"}
        An estimate stands where a budget decides, nothing where the evidence does not suffice.
    threshold : float or None
        Cases with at least this selection score are selected; None: no score leaves a case out.
    regressions, missing : int
        Past regressions that it rests on, and how many more a promise needs.
    low, high : float or None
        95 % interval of the recall that this evidence shows.
    seeded : bool
        Whether it rests on seeded faults.
    cap, floor : float or None
        Most of the share of the cases that may be left out, in 0..1, and the score from which on
        this has kept cases that the threshold would not; None where it has kept none.
    why : str
        All of it in one line.
    """

    recall: float
    kind: Literal["promise", "estimate", "none"]
    threshold: float | None = None
    regressions: int = 0
    missing: int = 0
    low: float | None = None
    high: float | None = None
    seeded: bool = False
    cap: float | None = None
    floor: float | None = None
    why: str = ""


class PlannedCase(NamedTuple):
    """One case of a plan: rank 1 runs first; cost in seconds. A plan may have very many of them.

    ``selected`` is what the plan keeps: ``score`` decides, ``must_run`` overrides it. ``runs`` is
    what is to be executed: also cases left out on which a draw fell, and all of an explored
    plan. ``propensity`` is the probability of that before the draws.

    ``reasons`` are those for running it, or for leaving it out, what decides first;
    ``decision`` says why it is selected or not, None where nothing was to be left out;
    ``lead`` is what it has for standing at the front beside its probability.
    """

    case_id: str
    rank: int
    probability: float
    cost_s: float
    selected: bool
    reasons: tuple[Reason, ...] = ()
    score: float = 0.0
    propensity: float = 1.0
    must_run: bool = False
    runs: bool = True
    decision: Reason | None = None
    lead: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where the order of a plan comes from.

    Attributes
    ----------
    fallback : Reason, optional
        Why it is the original order; None where it is not.
    bundle : str
        Id of the bundle whose model has a say; empty where there is none.
    untrained : Reason, optional
        Why there is none.
    by_failures, by_closeness : bool
        Without a model, whether recent failures, and closeness to the change, order the cases.
    closeness : Reason, optional
        What weighs the closeness to the change.
    stale : tuple of Reason
        Why the history that was read is not the whole one.
    level : float
        What real runs have added to the log-odds of the bundle's probabilities.
    """

    fallback: Reason | None = None
    bundle: str = ""
    untrained: Reason | None = None
    by_failures: bool = False
    by_closeness: bool = False
    closeness: Reason | None = None
    stale: tuple[Reason, ...] = ()
    level: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Cases in the order in which they should run, and where the order comes from.

    ``promise`` is given where cases may be left out (``mode`` is then ``select``); ``trust``
    then says whether that is trusted. ``explored`` holds where the draw fell on this change, so
    that everything runs; ``shadow`` says why all cases run although the plan leaves some out.
    ``steps`` are the ranks between which cases are worth about the same.
    """

    cases: tuple[PlannedCase, ...]
    change: Change
    origin: Origin = Origin()
    promise: Promise | None = None
    mode: str = "rank"
    trust: Reason | None = None
    explored: bool = False
    shadow: tuple[Reason, ...] = ()
    steps: tuple[int, ...] = ()

    @property
    def degraded(self) -> bool:
        """Whether the order is the original one."""
        return self.origin.fallback is not None

    @property
    def calibrated(self) -> bool:
        """Whether the ``probability`` of its cases is one; else it is what orders them."""
        return bool(self.origin.bundle)

    def fields(self, case: PlannedCase) -> dict[str, Any]:
        """Return what is told of a case; without a model nothing is known of its probability."""
        return {
            "case_id": case.case_id,
            "rank": case.rank,
            "probability": case.probability if self.calibrated else None,
            "cost_s": case.cost_s,
            "selected": case.selected,
            "reason": sentence(case.reasons),
            "score": case.score,
            "propensity": case.propensity,
            "must_run": case.must_run,
            "runs": case.runs,
        }

    def to_pandas(self) -> pd.DataFrame:
        """Return a row for each case, what runs first first.

        Returns
        -------
        DataFrame, shape (n_cases, 10)
            ``case_id, rank, probability`` (NaN without a model), ``cost_s`` (seconds),
            ``selected, reason, score, propensity, must_run, runs``.

        Examples
        --------
        >>> from testopt import Plan
        >>> from testopt.schema import Change, PlannedCase
        >>> plan = Plan((PlannedCase("test_a", 1, 0.2, 1.5, selected=True),), Change())
        >>> plan.to_pandas()[["case_id", "rank", "cost_s"]]
          case_id  rank  cost_s
        0  test_a     1     1.5
        """
        import pandas as pd

        frame = pd.DataFrame(
            [self.fields(case) for case in self.cases],
            columns=[*self.fields(PlannedCase("", 0, 0.0, 0.0, selected=True))],
        )
        return frame.astype({"probability": float})


def digest(text: str) -> str:
    """Return a short stable digest (16 hex digits of BLAKE2b) of a text."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
