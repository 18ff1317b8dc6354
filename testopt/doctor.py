"""What is missing for a good prediction, and how to get it."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from testopt.code.grammars import languages, supported
from testopt.code.paths import language_of
from testopt.errors import BundleError, RepositoryError, StoreError, TestoptError
from testopt.git.blobs import read_tree
from testopt.git.process import is_shallow, missing_commits, resolve
from testopt.schema import VARIANT_KINDS
from testopt.selection import OLD_RUNS, PLAN_LOG
from testopt.selection.bundle_registry import current_bundle, current_manifest, last_trained
from testopt.selection.policy import Policy
from testopt.selection.standing import read_standing
from testopt.selection.threshold import recall_threshold
from testopt.store.run_summary import RunCounts, count_runs, read_run_summary, real_runs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from testopt.selection.bundle import Bundle
    from testopt.store import Store

PLANS: Final = 50  # the last ones are looked at
RECENT: Final = 20  # runs whose cases are looked at
COMMITS: Final = 200  # runs whose commits are looked at
SHARE: Final = 0.1  # of plans or commits: what is rarer is worth a note, not a warning
STRANGE: Final = 0.2  # of case ids: as many are new or gone where they are named in another way
LOST: Final = 0.05  # of cases without a source: of fewer nobody needs to hear
MOST_PLACED: Final = 20_000  # cases whose sources are looked for
MIN_GUESSED: Final = 10  # files whose functions are guessed; of fewer nobody needs to hear
AHEAD: Final = timedelta(days=1)  # results without a time zone may be hours in the future
_PLANNED_RUNS: Final = 4 * PLANS
_EARLY: Final = frozenset({"no-results", "no-bundle", "no-regressions"})
_FETCH: Final = "fetch the whole history: git fetch --unshallow (in CI: fetch-depth: 0)"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that makes predictions worse: stable name, what it is, what to do about it.

    ``warns`` is false for what comes and goes in a healthy project.
    """

    slug: str
    message: str
    fix: str
    warns: bool = True


@dataclass(frozen=True, slots=True)
class Health:
    """What was found, and the numbers behind it.

    Attributes
    ----------
    findings : tuple of Finding
        The most fundamental first.
    runs : int
        Runs that really happened.
    counts : RunCounts
        These and the others, where all of the store was read.
    plans : int
        Plans looked at, at most the last ``PLANS``.
    fallbacks : tuple of (str, int)
        Why plans fell back to the original order, and how many of those looked at did.
    """

    findings: tuple[Finding, ...]
    runs: int = 0
    plans: int = 0
    fallbacks: tuple[tuple[str, int], ...] = ()
    counts: RunCounts = field(default_factory=RunCounts)

    @property
    def degraded(self) -> bool:
        """Whether anything needs attention."""
        return any(f.warns for f in self.findings)

    @property
    def line(self) -> str:
        """The first warning in a few words, for the end of a plan's own line; empty without one.

        What every project lacks at first is none there: the plan says what it is made of.
        """
        slugs = [
            f.slug.replace("-", " ") for f in self.findings if f.warns and f.slug not in _EARLY
        ]
        more = f" and {len(slugs) - 1} more" if len(slugs) > 1 else ""
        return f"testopt doctor: {slugs[0]}{more}" if slugs else ""

    @property
    def messages(self) -> list[str]:
        """The warnings, a line each, with what to do about them."""
        return [f"{f.slug}: {f.message} ({f.fix})" for f in self.findings if f.warns]


def check_health(
    *,
    repo: Path | None,
    store: Store | None,
    no_repo: str = "",
    trouble: str = "",
    most_rows: int | None = None,
    recall: float = 0.95,
    now: datetime | None = None,
) -> Health:
    """Look for what makes predictions worse.

    Parameters
    ----------
    repo : Path, optional
        Top folder of the repository; None where there is none.
    store : Store, optional
        None where there is none.
    no_repo : str
        Why there is no repository.
    trouble : str
        Why the store cannot be opened.
    most_rows : int, optional
        Leave out what reads the rows of results and predictions where the store holds more
        results than this: the line of a plan must not take long.
    recall : float
        What a selection is to promise.
    now : datetime, optional
        The present.

    Returns
    -------
    Health
    """
    findings = list(_clone(repo, no_repo))
    if most_rows is None and repo is not None:
        findings += _grammars(repo)
    if trouble:
        fix = "look closer: testopt store check"
        return Health((*findings, Finding("damaged-store", trouble, fix)))
    if store is None:
        fix = "record a run (pytest --testopt=record), or read results: testopt ingest PATH"
        return Health((*findings, Finding("no-results", "there is no store yet", fix)))
    try:
        return _HealthCheck(repo, store, findings, now or datetime.now(UTC)).report(
            most_rows, recall
        )
    except StoreError as error:
        fix = error.hint or "look closer: testopt store check"
        return Health((*findings, Finding("damaged-store", error.message, fix)))


def _clone(repo: Path | None, no_repo: str) -> Iterator[Finding]:
    if repo is None:
        yield Finding(
            "no-repository",
            f"nothing tells what changed: {no_repo or 'there is no git repository'}",
            "work inside a git repository with git on the PATH, or name one with --repo",
        )
        return
    try:
        if is_shallow(repo):
            yield Finding(
                "shallow-clone", "the clone is shallow, so bases may be out of reach", _FETCH
            )
    except RepositoryError as error:
        yield Finding("git", error.message, error.hint or "see that `git status` works here")


def _grammars(repo: Path) -> Iterator[Finding]:
    """Say which files would be read better by grammars that are not installed."""
    try:
        tree = read_tree(repo, resolve(repo, "HEAD"))
    except TestoptError:
        return  # no commit yet, or told above
    counts = Counter(map(language_of, tree))
    without = {n: c for n, c in counts.items() if supported(n) and n not in languages()}
    if sum(without.values()) >= MIN_GUESSED:
        named = ", ".join(f"{n} ({c} files)" for n, c in sorted(without.items()))
        yield Finding(
            "no-grammars",
            f"functions are found by their indentation in {named}",
            "read them exactly: pip install 'testopt[languages]'",
            warns=False,
        )


class _HealthCheck:
    """One look at a store; the runs are read once."""

    def __init__(
        self, repo: Path | None, store: Store, findings: list[Finding], now: datetime
    ) -> None:
        self._repo, self._store, self._findings, self._now = repo, store, findings, now
        self._runs: list[dict[str, Any]] = []  # the last one first

    def report(self, most_rows: int | None, recall: float) -> Health:
        """Return what is found, the last run first in every list."""
        known = None if most_rows is None else read_run_summary(self._store)
        if known is not None and most_rows is not None and known.results <= most_rows:
            known = None  # all of it can be read
        self._runs = real_runs(self._store) if known is None else known.last
        if not self._runs:
            fix = "record a run (pytest --testopt=record), or read results: testopt ingest PATH"
            self._add("no-results", "the store holds no runs", fix)
            return Health(tuple(self._findings), counts=count_runs(self._store))
        self._clock()
        self._locks()
        self._commits()
        bundle = self._bundle(whole=known is None)
        self._selection()
        if known is not None:
            return Health(tuple(self._findings), known.runs)
        self._cases()
        self._regressions()
        self._promise(bundle, recall)
        plans, fallbacks = self._plans()
        self._unanswered()
        counts = count_runs(self._store)
        return Health(tuple(self._findings), counts.runs, plans, fallbacks, counts)

    def _add(self, slug: str, message: str, fix: str, *, warns: bool = True) -> None:
        self._findings.append(Finding(slug, message, fix, warns))

    def _locks(self) -> None:
        if not self._store.has_locks():
            self._add(
                "no-locks",
                f"{self._store.url} is on a file system without locks: nothing keeps a repair or "
                "a compaction from writers",
                "put the store on a local disk, or on object storage",
            )

    def _clock(self) -> None:
        ahead = self._runs[0]["time"] - self._now
        if ahead > AHEAD:
            self._add(
                "clock",
                f"the last run is {ahead.total_seconds() / 86400:.0f} days ahead of the clock",
                "set the clock of this machine, or ingest the results again with --time",
            )

    def _commits(self) -> None:
        if self._repo is None or any(f.slug == "git" for f in self._findings):
            return
        recent = [run["commit"] for run in self._runs[:COMMITS]]
        lost = missing_commits(self._repo, {c for c in recent if c})
        unknown = sum(not commit or commit in lost for commit in recent)
        if unknown:
            self._add(
                "unknown-commits",
                f"{unknown} of the last {len(recent)} runs are of commits that are not known here",
                f"{_FETCH}; name the commit of results that you read: testopt ingest --commit",
                warns=unknown >= SHARE * len(recent),
            )

    def _bundle(self, *, whole: bool) -> Bundle | None:
        """Look at the current bundle, or at its manifest alone: a plan has read the rest."""
        fix = "train a new one: testopt train"
        bundle = None
        try:
            if whole:
                bundle = current_bundle(self._store)
                manifest = None if bundle is None else bundle.manifest
            else:
                manifest = current_manifest(self._store)
        except BundleError as error:
            self._add("damaged-bundle", error.message, error.hint or fix)
            return None
        if manifest is None:
            self._add("no-bundle", "no model has been trained on this project yet", "testopt train")
            return None
        trained = last_trained(self._store, read_standing(self._store))
        last = trained[0] if trained else datetime.fromisoformat(manifest["window"]["last"])
        since = sum(run["time"] > last for run in self._runs)
        if since > OLD_RUNS:
            message = f"{since} runs have come since the last training ({last:%Y-%m-%d})"
            self._add("stale-bundle", message, "train when it is needed: testopt retrain")
        return bundle

    def _promise(self, bundle: Bundle | None, recall: float) -> None:
        if bundle is None:
            return
        promise = recall_threshold(bundle.evidence, recall)
        if promise.kind == "none":
            self._add(
                "no-promise",
                f"select leaves nothing out: {promise.why}",
                "go on recording runs and train again; testopt backfill makes evidence on seeded "
                "faults; a lower --recall needs less",
                warns=False,
            )

    def _selection(self) -> None:
        if self._store.read_blob(PLAN_LOG) is None:
            return
        from testopt.selection.plan_log import broken_promise
        from testopt.selection.plan_log_file import load

        kept = load(self._store)
        trouble = broken_promise(kept) or kept.drift
        if trouble:
            self._add("selection", trouble, "see which, and what to do: testopt monitor")

    def _cases(self) -> None:
        """Compare the ids of the last run with those before; count those that are ambiguous."""
        ids = _ids(self._store, self._runs[:1])
        before = _ids(self._store, self._runs[1 : RECENT + 1])
        strange, gone = ids - before, before - ids
        # A part of a suite, or a few new cases, is no other way of naming.
        many = len(strange) > STRANGE * len(ids) and len(gone) > STRANGE * len(before) > 0
        if many and _same_cases(strange, gone) and not self._all_files(strange, gone):
            self._add(
                "unmatched-cases",
                f"{len(gone)} of {len(before)} case ids of earlier runs match nothing in the last "
                f"run, and {len(strange)} of its {len(ids)} are new",
                "let one source name the cases: pytest --testopt=record, or JUnit XML of one kind",
            )
        ambiguous = _ambiguous(self._repo, ids | before)
        if ambiguous:
            self._add(
                "ambiguous-ids",
                f"{len(ambiguous)} case ids name no single file, such as {min(ambiguous)}",
                "write the file into the XML (pytest: -o junit_family=xunit1), or record with "
                "pytest --testopt=record",
            )
        lost = _without_source(self._repo, sorted(ids)[:MOST_PLACED])
        if len(lost) > LOST * min(len(ids), MOST_PLACED):
            self._add(
                "no-source",
                f"the sources of {len(lost)} of {len(ids)} cases are not found, such as {lost[0]}",
                "have the reporter write the file of each case (jest-junit: classname {filepath})",
                warns=False,
            )

    def _all_files(self, strange: set[str], gone: set[str]) -> bool:
        """Tell whether ids name files of the repository, those that are gone files that it had.

        Several packages, each with a run of its own, have nothing in common.
        """
        if self._repo is None:
            return False
        where = [("run_id", "in", [run["run_id"] for run in self._runs[: RECENT + 1]])]
        rows = self._store.read("run_changes", columns=["path", "old_path"], where=where)
        had = {path for column in rows.columns for path in column.to_pylist()}
        files = {i.partition("::")[0] for i in strange}
        files |= {i.partition("::")[0] for i in gone} - had
        return all(_is_file(self._repo / file) for file in files)

    def _regressions(self) -> None:
        made = [("kind", "in", sorted(VARIANT_KINDS))]
        if self._store.read("runs", columns=["run_id"], where=made).num_rows:
            return  # there is something to learn from
        from testopt.selection.regressed_runs import count_regressed_runs

        if not count_regressed_runs(self._store, self._runs):
            self._add(
                "no-regressions",
                "no case has failed yet that had passed before, so there is little to learn from",
                "make history from past commits: testopt backfill",
            )

    def _plans(self) -> tuple[int, tuple[tuple[str, int], ...]]:
        policies = [Policy.parse(text) for text in _last_policies(self._store, self._runs)]
        fell = Counter(policy.fell_back for policy in policies if policy.fell_back)
        total = sum(fell.values())
        if total:
            why, count = fell.most_common(1)[0]
            self._add(
                "fallbacks",
                f"{total} of the last {len(policies)} plans fell back to the original order, "
                f"{count} of them because: {why}",
                "see docs/troubleshooting.md",
                warns=total >= SHARE * PLANS,
            )
        whole = sum(policy.mode == "select" and policy.kind == "none" for policy in policies)
        if whole:
            self._add(
                "nothing-left-out",
                f"{whole} of the last {len(policies)} plans were to leave cases out and ran all",
                "see why: testopt select",
                warns=False,
            )
        return len(policies), tuple(fell.most_common())

    def _unanswered(self) -> None:
        """Look for planned cases that have no result, and for jobs that are named in two ways."""
        from testopt.selection.job_history import strange_jobs
        from testopt.selection.kept_plans import past_plans, waiting_line

        kept = past_plans(self._store, now=self._now, repo=self._repo)
        fix = "run them and read their results under the same --run-id: testopt ingest PATH"
        if kept.trouble:
            self._add("missing-results", kept.trouble, fix)
        if kept.open:
            self._add("plans-without-results", waiting_line(kept.open), fix, warns=False)
        planned = [run["run_id"] for run in self._runs[:_PLANNED_RUNS]]
        for job in strange_jobs(self._store, planned):
            self._add("strange-job", job.words, "name one job in one way: --job, in all commands")


def _ids(store: Store, runs: Sequence[dict[str, Any]]) -> set[str]:
    where = [("run_id", "in", [run["run_id"] for run in runs])]
    rows = store.read("results", columns=["case_id"], where=where, dictionary=["case_id"])
    return set(rows["case_id"].unique().to_pylist())


def _same_cases(strange: set[str], gone: set[str]) -> bool:
    """Tell whether ids may name the same cases in two ways: their functions have much in common."""
    names, others = ({_last_name(i) for i in ids} for ids in (strange, gone))
    return len(names & others) > STRANGE * min(len(names), len(others))


def _last_name(case_id: str) -> str:
    head = case_id.partition("[")[0]
    return re.split(r"::|[.#/]", head)[-1]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _ambiguous(repo: Path | None, ids: set[str]) -> set[str]:
    """Return the ids that begin with the dotted name of several files."""
    from testopt.results.case_resolver import CaseResolver, files_of
    from testopt.results.junit import Suite

    if repo is None:
        return set()
    try:
        resolver = CaseResolver(files_of(repo))
    except RepositoryError:
        return set()
    found = set()
    for case_id in ids:
        name, mark, rest = case_id.partition("::")
        if not mark or "/" in name or name.endswith(".py"):
            continue
        known = resolver.ambiguous
        resolver.resolve({"classname": name, "name": rest}, Suite())
        if resolver.ambiguous > known:
            found.add(name)
    return {i for i in ids if i.partition("::")[0] in found}


def _without_source(repo: Path | None, cases: Sequence[str]) -> list[str]:
    """Return the cases whose sources are not found in the repository."""
    from testopt.similarity.case_places import without_source

    if repo is None:
        return []
    try:
        return without_source(repo, cases)
    except TestoptError:
        return []  # no commit yet


def _last_policies(store: Store, runs: Sequence[dict[str, Any]]) -> list[str]:
    """Return what decided in the last plans that were recorded, the last one first."""
    planned = [run["run_id"] for run in runs][:_PLANNED_RUNS]
    found: list[str] = []
    for start in range(0, len(planned), PLANS):
        ids = planned[start : start + PLANS]
        where = [("run_id", "in", ids), ("rank", "==", 1)]
        rows = store.read("predictions", columns=["run_id", "policy"], where=where)
        by_run = dict(zip(*rows.to_pydict().values(), strict=True))
        found += [by_run[run_id] for run_id in ids if run_id in by_run]
        if len(found) >= PLANS:
            break
    return found[:PLANS]
