"""What a plan asks of a test runner: the cases that run, and the test files that run whole.

A filter of known names leaves out what nobody knows yet. So nothing is filtered where everything
runs, and otherwise a test file that is changed or new runs whole.
"""

from __future__ import annotations

import os
import posixpath
from typing import TYPE_CHECKING

from testopt.code.paths import path_bytes
from testopt.errors import TestoptError
from testopt.git.process import resolve, run_git
from testopt.runners.protocol import Request
from testopt.store.run_summary import read_run_summary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from testopt.plan.inputs import PlanInputs
    from testopt.runners.protocol import Runner
    from testopt.schema import Plan, PlannedCase


def runner_request(
    runner: Runner,
    inputs: PlanInputs,
    plan: Plan,
    running: Sequence[PlannedCase],
    *,
    named: bool,
    in_part: Callable[[str], bool] | None = None,
) -> Request:
    """Return what a plan asks of a runner that is started at the top of the repository.

    Parameters
    ----------
    runner : Runner
    inputs : PlanInputs
        What the plan was made from.
    plan : Plan
    running : sequence of PlannedCase
        The cases that run, in order; of a part of the plan, those of the part.
    named : bool
        Whether the user named the cases: these and no others run then.
    in_part : callable, optional
        Where other machines run other parts: whether a group is of this one.
    """
    ordered = plan.mode == "rank" and runner.obeys_order
    all_run = all(case.runs or not runner.fits(case.case_id) for case in plan.cases)
    everything = not (named or in_part or ordered) and all_run
    known = [case.case_id for case in plan.cases]
    if everything or named:
        whole = []
    else:
        # of a part, a file that stands for all its cases; other machines may know more of them
        kept = _undivided_groups(runner, known) if in_part and all_run else []
        whole = list(dict.fromkeys([*kept, *whole_groups(runner, inputs, known)]))
    return Request(
        cases=[case.case_id for case in running],
        known=known,
        whole=list(filter(in_part, whole)),
        everything=everything,
        exact=named,
        root=inputs.run.repo,
    )


def _undivided_groups(runner: Runner, known: Iterable[str]) -> list[str]:
    """Return the groups that are never divided between machines."""
    groups = ((runner.group(case), runner.undivided(case)) for case in known)
    return [group for group, undivided in groups if group and group == undivided]


def whole_groups(runner: Runner, inputs: PlanInputs, known: Iterable[str]) -> list[str]:
    """Return the groups of the test files that are changed, or that no run has seen yet.

    A file that was there in the last run without a case is none that the project runs (data of
    tests, another platform), and stays out though it is edited; so does a new one in a folder
    whose other test files have no case. Where no run has told any cases, it is every test file.
    """
    repo = inputs.run.repo
    if inputs.files:  # a file may hold more tests than its source shows
        files = filter(runner.is_test_file, inputs.files)
        names = dict.fromkeys(runner.group_of_file(path, repo) for path in files)
        return list(filter(None, names))
    groups = {runner.group(case) for case in known}
    nameless = groups == {""}  # no id tells its file, so each file may be one of theirs
    found: dict[str, None] = {}
    edited = (_fs_path(f.path) for f in inputs.run.change.files if f.status != "D")
    for path in sorted(edited):
        if runner.is_test_file(path) or path in groups:
            group = runner.group_of_file(path, repo)
            if group in groups or nameless:
                found[group] = None
    new = set(filter(runner.is_test_file, _new_files(inputs)))
    for path in sorted(new):
        group = runner.group_of_file(path, repo)
        beside = [runner.group_of_file(p, repo) for p in _beside(runner, path, repo) - new]
        near = nameless or not beside or any(g in groups for g in beside)
        if group not in groups and near:
            found[group] = None
    found.pop("", None)
    return list(found)


def unseen_files(
    runner: Runner, inputs: PlanInputs, request: Request, in_part: Callable[[str], bool]
) -> list[str]:
    """Return the test files of a part that no known case is of, and that do not run whole.

    They stand beside files with cases, or are a package. Where the store has the results of some
    parts only, others have run them.
    """
    repo = inputs.run.repo
    held = {*map(runner.group, request.known), *request.whole}
    try:
        files = _tree(repo, resolve(repo, inputs.run.change.head or "HEAD")) if repo else set()
    except TestoptError:
        return []
    gone = {_fs_path(f.path) for f in inputs.run.change.files if f.status == "D"}
    tests = set(filter(runner.is_test_file, files - gone))
    groups = {path: runner.group_of_file(path, repo) for path in tests}
    folders = {posixpath.dirname(path) for path, group in groups.items() if group in held}
    is_near = runner.group_kind == "package"
    return sorted(
        path
        for path, group in groups.items()
        if group and group not in held and in_part(group)
        if (is_near and "testdata" not in path.split("/")) or posixpath.dirname(path) in folders
    )


def _beside(runner: Runner, path: str, repo: Path | None) -> set[str]:
    """Return the test files of the folder of a file."""
    folder = posixpath.dirname(path)
    try:
        names = [entry.name for entry in (repo / folder).iterdir()] if repo is not None else []
    except OSError:
        names = []
    return set(filter(runner.is_test_file, (posixpath.join(folder, name) for name in names)))


def _new_files(inputs: PlanInputs) -> set[str]:
    """Return the files that the last run did not have; where its commit is gone, the added ones."""
    repo, change = inputs.run.repo, inputs.run.change
    added = {_fs_path(f.path) for f in change.files if f.status in {"A", "C"}}
    if repo is None or inputs.store is None:
        return added
    try:
        last = next(
            (run["commit"] for run in read_run_summary(inputs.store).last if run["commit"]), ""
        )
        before, now = (_tree(repo, resolve(repo, name)) for name in (last, change.head or "HEAD"))
    except TestoptError:
        return added
    gone = {_fs_path(f.path) for f in change.files if f.status == "D"}
    return (added | now) - before - gone


def _tree(repo: Path, commit: str) -> set[str]:
    out = run_git(repo, "ls-tree", "-r", "-z", "--name-only", "--full-tree", commit)
    return {os.fsdecode(path) for path in out.split(b"\0") if path}


def _fs_path(text: str) -> str:
    return os.fsdecode(path_bytes(text))
