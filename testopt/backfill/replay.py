"""One run in a worktree: check out, execute, read the results, prove what was tested."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from dataclasses import dataclass
from shutil import copyfile
from typing import TYPE_CHECKING, Final

from testopt.backfill import probe
from testopt.backfill.command import PROBE, Command, CommandPaths
from testopt.backfill.processes import Limits
from testopt.backfill.worktree import remove_tree
from testopt.errors import BackfillError
from testopt.results.archives import Source
from testopt.results.case_resolver import CaseResolver, files_of
from testopt.results.junit_rows import read_source
from testopt.schema import Result

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from testopt.backfill.processes import Processes, ProcessResult
    from testopt.backfill.worktree import Stage, Worktree

_PROBE_S: Final = 60.0
_SHOWN: Final = 600  # characters of output shown with an error
# pytest: interrupted, internal error, wrong usage, nothing collected
_PYTEST_BROKEN: Final = {2: "was interrupted", 3: "broke", 4: "was not usable", 5: "found no cases"}
_NOT_PROBED: Final = frozenset({"setup", "noxfile", "conftest"}) | sys.stdlib_module_names


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a run gave: results, or why there are none; and the end of the output."""

    results: tuple[Result, ...]
    seconds: float
    why_not: str = ""
    output: str = ""


class Slot:
    """One worktree and the runs in it, one after the other.

    Parameters
    ----------
    stage : Stage
        Where the worktree is made.
    index : int
        Number of the slot.
    command : Command
        What runs.
    processes : Processes
        Starts it, and stops it when all must stop.
    """

    def __init__(self, stage: Stage, index: int, *, command: Command, processes: Processes) -> None:
        self._stage, self._index = stage, index
        self._command, self._processes = command, processes
        self._tree: Worktree | None = None

    def run(self, commit: str, *, sources: Sequence[str], limits: Limits) -> Replayed:
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
        tree = self._ready(commit, limits)
        places = self._places(tree)
        roots, names = tree.import_roots(list(sources))
        names = [name for name in names if name not in _NOT_PROBED]
        env = self._command.environment(places, roots=roots, names=names)
        done = self._start(self._command.arguments(places), env, limits)
        why = self._failure(done, limits)
        results: list[Result] = []
        if not why:
            resolver = CaseResolver(files_of(self._stage.git, commit=commit))
            results, why = _read(places.results, resolver, places.scratch / "rows")
        if not why and names:
            self._prove(places, env)
        return Replayed(tuple(results), done.seconds, why, "" if results else done.output)

    def stop(self) -> None:
        """Kill what runs, here and in the other slots."""
        self._processes.stop()

    def _ready(self, commit: str, limits: Limits) -> Worktree:
        if self._tree is not None:
            self._tree.checkout(commit)
            return self._tree
        tree = self._stage.worktree(self._index, commit)
        self._tree = tree
        if self._command.setup:
            places = self._places(tree)
            env = self._command.environment(places, roots=[], names=[])
            env["PYTHONPATH"] = os.environ.get("PYTHONPATH", "")
            done = self._start(self._command.setup, env, limits)
            if done.code != 0:
                self._tree = None
                how = f"took more than {limits.seconds:g} s" if done.timed_out else "failed"
                raise BackfillError(
                    f"the set-up {how} at {commit[:12]}: {done.output[-_SHOWN:].strip()}",
                    "run it by hand in a fresh worktree of that commit",
                )
            tree.keep()
        return tree

    def _places(self, tree: Worktree) -> CommandPaths:
        slot = tree.path.parent
        places = CommandPaths(
            tree.path, slot / "results", slot / "tmp", self._stage.folder / "probe"
        )
        for folder in (places.results, places.scratch):
            remove_tree(folder)
            folder.mkdir(exist_ok=True)
        if not places.probe.is_dir():
            places.probe.mkdir(exist_ok=True)
            copyfile(probe.__file__, places.probe / f"{PROBE}.py")
        return places

    def _start(self, words: Sequence[str], env: dict[str, str], limits: Limits) -> ProcessResult:
        cwd = self._tree.path if self._tree is not None else self._stage.folder
        try:
            done = self._processes.run(words, cwd=cwd, env=env, limits=limits)
        except OSError as error:
            raise BackfillError(
                f"cannot start {words[0]!r}: {error.strerror or error}",
                "name the test command behind --, as in: testopt backfill -- python -m pytest",
            ) from error
        if self._processes.stopped:
            raise BackfillError("stopped")
        return done

    def _failure(self, done: ProcessResult, limits: Limits) -> str:
        """Return why the results of a command are not to be trusted, empty where they are."""
        if done.timed_out:
            return f"took more than {limits.seconds:.0f} s"
        code = done.code or 0
        if code < 0:
            return f"was killed by signal {-code}"
        if self._command.is_pytest and code in _PYTEST_BROKEN:
            return f"pytest {_PYTEST_BROKEN[code]} (exit code {code})"
        return ""

    def _prove(self, places: CommandPaths, env: dict[str, str]) -> None:
        """Stop where a package under test was imported from outside the worktree."""
        if not places.origins.is_file():
            python = self._command.interpreter()
            if python is None:
                return
            script = str(places.probe / f"{PROBE}.py")
            self._start([python, script], env, Limits(_PROBE_S))
        lines = places.origins.read_text("utf-8").splitlines() if places.origins.is_file() else []
        inside = os.path.realpath(places.tree) + os.sep
        for line in lines:
            for name, origin in json.loads(line).items():
                if not origin.startswith(inside):
                    raise BackfillError(_outside(name, origin), _OUTSIDE_HINT)


_OUTSIDE_HINT: Final = (
    "the command must honour PYTHONPATH: no `python -I` or `-E`, no tool that runs the tests in an "
    "environment of its own; uninstall the package there, or install it from the worktree "
    "with --setup"
)


def _outside(name: str, origin: str) -> str:
    where = f"comes from {origin}" if origin else "cannot be imported"
    return f"the cases would not test the past commit: {name!r} {where}, not from the worktree"


def _read(folder: Path, resolver: CaseResolver, spill: Path) -> tuple[list[Result], str]:
    """Return the results in a folder of JUnit XML, or why there are none."""
    results: list[Result] = []
    attempts: Counter[str] = Counter()
    paths = sorted(folder.rglob("*.xml"))
    if not paths:
        return [], "wrote no JUnit XML"
    for path in paths:
        found = read_source(Source(path.name, path), resolver, spill=spill)
        if found.rejected is not None and (found.ignored or not found.complete):
            return [], f"wrote {path.name} that cannot be read: {found.rejected}"
        for batch in found.batches():
            for row in batch.to_pylist():
                attempts[row["case_id"]] += 1
                results.append(Result(attempt=attempts[row["case_id"]], **row))
    return results, "" if results else "wrote JUnit XML without cases"
