"""Replays one past commit: its clean runs, then its variants, in one worktree."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from testopt.backfill.ledger import regressed
from testopt.backfill.options import UnusableRun
from testopt.backfill.processes import Limits
from testopt.backfill.variant_commits import commit_variant, keep_variant
from testopt.backfill.variants import Variant, seeded_sources, variants_of
from testopt.errors import RepositoryError
from testopt.git.change import find_change
from testopt.impact.coverage_rows import CoverageLinks
from testopt.schema import Run, RunRecord, digest

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from testopt.backfill.history import PastCommit
    from testopt.backfill.ledger import Ledger
    from testopt.backfill.options import BackfillOptions
    from testopt.backfill.replay import ReplayResult, WorktreeRunner
    from testopt.schema import Change

# A fault may loop for ever or eat all memory: less is allowed than to the commit itself.
_TIMEOUT: Final = 5.0
_TIMEOUT_S: Final = 20.0
_MIN_MEMORY: Final = 2 << 30
_STEP: Final = timedelta(milliseconds=1)  # keeps the runs of a commit in order, before the next


@dataclass(frozen=True, slots=True)
class ReplayContext:
    """What all commits of a backfill share."""

    repo: Path
    options: BackfillOptions
    ledger: Ledger
    branch: str | None
    command: str  # digest
    measured: frozenset[str] = frozenset()  # commits at which coverage is measured


class CommitReplay:
    """Replays one commit.

    Parameters
    ----------
    commit : PastCommit
        The commit.
    slot : WorktreeRunner
        The worktree to use.
    shared : ReplayContext
        What all commits share.
    """

    def __init__(self, commit: PastCommit, runner: WorktreeRunner, context: ReplayContext) -> None:
        self._commit, self._runner, self._context = commit, runner, context
        self._change = _change(context.repo, commit.parent, commit.sha)
        self._sources = [p for p in seeded_sources(self._change) if p.endswith(".py")]
        self._slowest = 0.0

    def run(self) -> None:
        """Run what is not in the store yet, and count what came of it."""
        ledger, options = self._context.ledger, self._context.options
        clean = [
            outcomes for outcomes in map(self._clean, range(options.repeat)) if outcomes is not None
        ]
        if not clean:
            ledger.count(left_out=options.runs_per_commit - options.repeat)
            return
        self._measure()
        flaky = {c for run in clean for c in run if run[c] != clean[0].get(c, run[c])}
        outcomes_before = {case: outcome for case, outcome in clean[0].items() if case not in flaky}
        variants = variants_of(
            self._context.repo, self._commit, self._change,
            reverse=options.reverse, mutants=options.mutants, seed=options.seed,
        )  # fmt: skip
        ledger.count(flaky=flaky, left_out=options.runs_per_commit - options.repeat - len(variants))
        for number, variant in enumerate(variants):
            outcomes = self._variant(variant, number)
            if outcomes is not None and regressed(outcomes_before, outcomes):
                ledger.count(regressions=1)

    def _run_id(self, kind: str, edit: str) -> str:
        return digest(f"{self._commit.sha}\0{kind}\0{edit}\0{self._context.command}")

    def _clean(self, number: int) -> dict[str, str] | None:
        """Run the commit as it was; return the outcomes, or None where there are none."""
        run = Run(
            run_id=self._run_id("clean", str(number) if number else ""),
            time=self._commit.time + number * _STEP,
            job=self._context.options.job,
            commit=self._commit.sha,
            base=self._commit.parent,
            branch=self._context.branch,
            kind="clean",
            parent_run=self._run_id("clean", "") if number else None,
            source="backfill",
        )
        known = self._known(run.run_id)
        if known is not None or self._context.ledger.given_up(run.run_id):
            return known
        limits = Limits(self._context.options.timeout)
        result = self._execute(run.run_id, self._commit.sha, "clean", limits)
        if result is None:
            return None
        self._slowest = max(self._slowest, result.seconds)
        return self._context.ledger.append(_record(run, result, self._change))

    def _measure(self) -> None:
        """Note which case runs which lines; what cannot be measured once is not tried again."""
        context, sha = self._context, self._commit.sha
        key = digest(f"coverage\0{context.command}")
        if sha not in context.measured or not context.ledger.may_measure(sha, key):
            return
        limits = Limits(context.options.timeout)
        try:
            found = self._runner.measure(sha, sources=self._sources, limits=limits)
        except RepositoryError as error:
            why = f"could not be checked out: {error.message}"
        else:
            links = CoverageLinks(found.resolver, found.tree, sha, self._commit.time)
            why = found.failure or context.ledger.append_links(links, found.files, sha)
        if why:
            context.ledger.give_up(key, UnusableRun(sha, "coverage", why))

    def _variant(self, variant: Variant, number: int) -> dict[str, str] | None:
        """Run a variant; return the outcomes, or None where there are none."""
        repo, options = self._context.repo, self._context.options
        run_id = self._run_id(variant.kind, variant.edit)
        known = self._known(run_id)
        if known is not None or self._context.ledger.given_up(run_id):
            return known
        time = self._commit.time + (options.repeat + number) * _STEP
        try:
            sha = commit_variant(repo, self._commit.sha, variant.entries, when=time)
        except RepositoryError as error:
            self._context.ledger.give_up(
                run_id, UnusableRun(self._commit.sha, variant.kind, error.message)
            )
            return None
        result = self._execute(run_id, sha, variant.kind, self._variant_limits(variant))
        if result is None:
            return None
        keep_variant(repo, run_id, sha)
        run = self._variant_run(run_id, variant, sha=sha, time=time)
        change = _change(repo, self._commit.sha, sha)
        return self._context.ledger.append(_record(run, result, change))

    def _variant_run(self, run_id: str, variant: Variant, *, sha: str, time: datetime) -> Run:
        return Run(
            run_id=run_id,
            time=time,
            job=self._context.options.job,
            commit=sha,
            base=self._commit.sha,
            branch=f"testopt/{run_id}",
            kind=variant.kind,
            parent_run=self._run_id("clean", ""),
            source="backfill",
        )

    def _known(self, run_id: str) -> dict[str, str] | None:
        ledger = self._context.ledger
        return ledger.results_of(run_id) if ledger.holds(run_id) else None

    def _variant_limits(self, variant: Variant) -> Limits:
        seconds = self._context.options.timeout
        if self._slowest:
            seconds = min(seconds, _TIMEOUT_S + _TIMEOUT * self._slowest)
        return Limits(seconds, self._memory() if variant.kind == "mutant" else None)

    def _memory(self) -> int:
        """Return the memory that one process of a mutant may take."""
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return max(_MIN_MEMORY, total // (self._context.options.jobs + 1))

    def _execute(self, run_id: str, sha: str, kind: str, limits: Limits) -> ReplayResult | None:
        """Run in the worktree; note a run without results and return None for it."""
        failure = output = ""
        try:
            result = self._runner.run(sha, sources=self._sources, limits=limits)
            failure, output = result.failure, result.output
            if (
                not failure
                and kind == "clean"
                and all(r.outcome != "passed" for r in result.results)
            ):
                failure = "passed no case"
        except RepositoryError as error:
            failure = f"could not be checked out: {error.message}"
        if not failure:
            return result
        unusable = UnusableRun(self._commit.sha, kind, failure, output)
        self._context.ledger.give_up(run_id, unusable)
        return None


def _change(repo: Path, base: str, head: str) -> Change:
    """Find a change; on a busy machine the time limit of a plan may need a second try."""
    change = find_change(repo, base=base, head=head)
    return change if change.known else find_change(repo, base=base, head=head)


def _record(run: Run, result: ReplayResult, change: Change) -> RunRecord:
    return RunRecord(replace(run, duration_s=result.seconds), result.results, change)
