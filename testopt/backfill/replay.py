"""Runs the suite once in a worktree: checks out, executes, reads results, verifies imports."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING, Final

from testopt.backfill import probe
from testopt.backfill.command import PROBE, Command, CommandPaths
from testopt.backfill.processes import Limits
from testopt.backfill.worktree import remove_tree
from testopt.errors import BackfillError
from testopt.results.archives import RejectedPath, find_report_files
from testopt.results.case_resolver import CaseResolver, files_of
from testopt.results.junit_rows import read_report_file
from testopt.schema import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testopt.backfill.processes import Processes, ProcessResult
    from testopt.backfill.worktree import Worktree, WorktreeRepository

_PROBE_S: Final = 60.0
_SHOWN: Final = 600  # characters of output shown with an error
# pytest: interrupted, internal error, wrong usage, nothing collected
_PYTEST_BROKEN: Final = {2: "was interrupted", 3: "broke", 4: "was not usable", 5: "found no cases"}
_NOT_PROBED: Final = frozenset({"setup", "noxfile", "conftest"}) | sys.stdlib_module_names


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What a run gave: results, or why there are none; and the end of the output."""

    results: tuple[Result, ...]
    seconds: float
    failure: str = ""
    output: str = ""


@dataclass(frozen=True, slots=True)
class Measurement:
    """Files of coverage data, the folder that was measured, its files; or why there is none."""

    files: tuple[Path, ...]
    tree: Path
    resolver: CaseResolver
    failure: str = ""


class WorktreeRunner:
    """One worktree and the runs in it, one after the other.

    Parameters
    ----------
    stage : WorktreeRepository
        Where the worktree is made.
    index : int
        Number of the slot.
    command : Command
        What runs.
    processes : Processes
        Starts it, and stops it when all must stop.
    """

    def __init__(
        self, repository: WorktreeRepository, index: int, *, command: Command, processes: Processes
    ) -> None:
        self._repository, self._index = repository, index
        self._command, self._processes = command, processes
        self._tree: Worktree | None = None

    def run(self, commit: str, *, sources: Sequence[str], limits: Limits) -> ReplayResult:
        """Run the suite at a commit.

        Parameters
        ----------
        commit : str
            Full hash.
        sources : sequence of str
            Python files whose packages must come from the worktree.
        limits : Limits
            Time and memory.

        Raises
        ------
        BackfillError
            When the command or the set-up cannot be started or the set-up fails, or when the
            packages under test come from elsewhere.
        RepositoryError
            When the commit cannot be checked out.
        """
        tree = self._checked_out(commit, limits)
        paths = self._make_folders(tree)
        roots, names = tree.import_roots(list(sources))
        names = [name for name in names if name not in _NOT_PROBED]
        env = self._command.environment(paths, roots=roots, names=names)
        process = self._start(self._command.arguments(paths), env, limits)
        failure = self._failure(process, limits)
        results: list[Result] = []
        if not failure:
            resolver = CaseResolver(files_of(self._repository.git, commit=commit))
            results, failure = _read(paths.results, resolver, paths.scratch / "rows")
        if not failure and names:
            self._check_origins(paths, env)
        return ReplayResult(
            tuple(results), process.seconds, failure, "" if results else process.output
        )

    def measure(self, commit: str, *, sources: Sequence[str], limits: Limits) -> Measurement:
        """Run the suite at a commit to see which case runs which lines.

        It takes longer than it should, so neither outcomes nor durations count. The files are
        there until the next run. Parameters and errors as of `run`.
        """
        tree = self._checked_out(commit, limits)
        paths = self._make_folders(tree)
        paths.coverage.mkdir()
        roots, _ = tree.import_roots(list(sources))
        env = self._command.environment(paths, roots=roots, names=[])
        env |= self._command.measuring(paths)
        process = self._start(self._command.arguments(paths), env, limits)
        why_not = paths.coverage / probe.WHY_NOT
        if why_not.is_file():
            failure = why_not.read_text("utf-8", "replace")[:_SHOWN]
        else:
            failure = self._failure(process, limits)
        files = tuple(sorted(paths.coverage.glob("coverage*")))
        if not failure and not files:
            failure = "wrote no coverage"
        resolver = CaseResolver(files_of(self._repository.git, commit=commit))
        return Measurement(files, tree.path, resolver, failure)

    def stop(self) -> None:
        """Kill what runs, here and in the other slots."""
        self._processes.stop()

    def _checked_out(self, commit: str, limits: Limits) -> Worktree:
        if self._tree is not None:
            self._tree.checkout(commit)
            return self._tree
        tree = self._repository.worktree(self._index, commit)
        self._tree = tree
        if self._command.setup:
            paths = self._make_folders(tree)
            env = self._command.environment(paths, roots=[], names=[])
            env["PYTHONPATH"] = os.environ.get("PYTHONPATH", "")
            process = self._start(self._command.setup, env, limits)
            if process.code != 0:
                self._tree = None
                outcome = f"took more than {limits.seconds:g} s" if process.timed_out else "failed"
                raise BackfillError(
                    f"the set-up {outcome} at {commit[:12]}: {process.output[-_SHOWN:].strip()}",
                    "run it by hand in a fresh worktree of that commit",
                )
            tree.keep()
        return tree

    def _make_folders(self, tree: Worktree) -> CommandPaths:
        parent = tree.path.parent
        paths = CommandPaths(
            tree.path, parent / "results", parent / "tmp", self._repository.folder / "probe"
        )
        for folder in (paths.results, paths.scratch):
            remove_tree(folder)
            folder.mkdir(exist_ok=True)
        if not paths.probe.is_dir():
            paths.probe.mkdir(exist_ok=True)
            copyfile(probe.__file__, paths.probe / f"{PROBE}.py")
        return paths

    def _start(self, words: Sequence[str], env: dict[str, str], limits: Limits) -> ProcessResult:
        cwd = self._tree.path if self._tree is not None else self._repository.folder
        try:
            process = self._processes.run(words, cwd=cwd, env=env, limits=limits)
        except OSError as error:
            raise BackfillError(
                f"cannot start {words[0]!r}: {error.strerror or error}",
                "name the test command behind --, as in: testopt backfill -- python -m pytest",
            ) from error
        if self._processes.stopped:
            raise BackfillError("stopped")
        return process

    def _failure(self, process: ProcessResult, limits: Limits) -> str:
        """Return why the results of a command are not to be trusted, empty where they are."""
        if process.timed_out:
            return f"took more than {limits.seconds:.0f} s"
        code = process.code or 0
        if code < 0:
            return f"was killed by signal {-code}"
        if self._command.is_pytest and code in _PYTEST_BROKEN:
            return f"pytest {_PYTEST_BROKEN[code]} (exit code {code})"
        return ""

    def _check_origins(self, paths: CommandPaths, env: dict[str, str]) -> None:
        """Stop where a package under test was imported from outside the worktree."""
        if not paths.origins.is_file():
            python = self._command.interpreter()
            if python is None:
                return
            script = str(paths.probe / f"{PROBE}.py")
            self._start([python, script], env, Limits(_PROBE_S))
        lines = paths.origins.read_text("utf-8").splitlines() if paths.origins.is_file() else []
        inside = os.path.realpath(paths.tree) + os.sep
        for line in lines:
            for name, origin in json.loads(line).items():
                if not origin.startswith(inside):
                    raise BackfillError(_foreign_origin(name, origin), _OUTSIDE_HINT)


_OUTSIDE_HINT: Final = (
    "the command must honour PYTHONPATH: no `python -I` or `-E`, no tool that runs the tests in an "
    "environment of its own; uninstall the package there, or install it from the worktree "
    "with --setup"
)


def _foreign_origin(name: str, origin: str) -> str:
    where = f"comes from {origin}" if origin else "cannot be imported"
    return f"the tests would not run the past commit: {name!r} {where}, not from the worktree"


def _read(folder: Path, resolver: CaseResolver, spill: Path) -> tuple[list[Result], str]:
    """Return the results in a folder of reports, or why there are none."""
    results: list[Result] = []
    attempts: Counter[str] = Counter()
    for file in find_report_files([str(folder)], workdir=spill.parent):
        if isinstance(file, RejectedPath):
            return [], "wrote no test report"
        report = read_report_file(file, resolver, spill=spill, native=True)
        if report.rejected is not None and (report.ignored or not report.complete):
            return [], f"wrote {Path(file.name).name} that cannot be read: {report.rejected}"
        for batch in report.batches():
            for row in batch.to_pylist():
                attempts[row["case_id"]] += 1
                results.append(Result(attempt=attempts[row["case_id"]], **row))
    return results, "" if results else "wrote a test report without cases"
