"""What real runners run is what was planned: hostile names, new files, everything, nothing.

Runners that are not installed are passed over (`sh scripts/install_runners`); under continuous
integration that fails.
"""

from __future__ import annotations

import json
import random

import pytest
from builders import printed
from real_runners import IN_CI, REAL

from testopt.runners.registry import RUNNERS

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("no_ci")]


class Project:
    """A project in which everything was run once, by what is printed for everything."""

    def __init__(self, real, root):
        self.real, self.root, self.runner = real, root, RUNNERS[real.form]
        self._ran = {}
        real.make(root)
        ran = self.run(everything=True)
        assert ran.code == 0, ran.words
        self.known = ran.cases
        self.some = random.Random(7).sample(self.known, len(self.known) // 2)

    def run(self, *cases, **request):
        """Run cases by the arguments that are printed for them."""
        return self.run_lines(printed(self.real.form, *cases, root=self.root, **request))

    def run_lines(self, lines):
        """Run by some arguments; what ran before by the same ones is not run again."""
        self.lines = tuple(lines)
        key = (self.lines, self.has_new)
        if key not in self._ran:
            self._ran[key] = self.real.run(self.root, self.lines)
        return self._ran[key]

    @property
    def has_new(self):
        """Whether the files are there that come later."""
        return any((self.root / path).exists() for path in self.real.new)

    def together(self, cases):
        """Return all known cases that the runner, or a pattern of names, cannot tell from some."""
        names = {self._name(case) for case in cases}
        return {case for case in self.known if self._name(case) in names or "0x…" in case}

    def _name(self, case):
        unit = self.runner.unit(case)
        return unit.partition("::")[2] if self.real.form in {"jest", "vitest", "mocha"} else unit


@pytest.fixture(
    scope="session",
    params=[
        # one worker makes the project of a runner, which takes Surefire 15 s
        pytest.param(
            real,
            id=real.title,
            marks=[pytest.mark.xdist_group(real.title), *([pytest.mark.slow] * real.is_slow)],
        )
        for real in REAL
    ],
)
def project(request, tmp_path_factory):
    """Return the project of a runner, where that is installed."""
    real = request.param
    if not real.is_there:
        why = f"{real.title} is not installed, {real.tool} is missing: sh scripts/install_runners"
        (pytest.fail if IN_CI else pytest.skip)(why)
    return Project(real, tmp_path_factory.mktemp("real") / "project")


def check(project, planned, ran):
    assert ran.code == 0, f"{project.lines}\n{ran.words}"
    missed, more = set(planned) - set(ran.cases), set(ran.cases) - project.together(planned)
    assert not missed, project.lines
    assert not more, project.lines


def test_hostile_names_are_known(project):
    assert len(project.known) >= 6
    assert all(map(project.runner.fits, project.known))


def test_what_is_left_out_does_not_run(project):
    check(project, project.some, project.run(*project.some, known=project.known))


def test_the_cases_that_are_named_run(project, testopt, tmp_path, monkeypatch):
    listed = tmp_path / "cases.json"
    listed.write_text(json.dumps(project.some))
    monkeypatch.chdir(project.root)
    plan = testopt("-q", "rank", "--cases", listed, "--format", project.real.form)
    assert plan.code == 0, plan.err
    check(project, project.some, project.run_lines(plan.out.split("\n")[:-1]))


def test_a_new_file_runs_also_tests_that_are_left_out_of_others(project):
    (path,) = project.real.new
    project.real.write(project.root, project.real.new)
    try:
        group = project.runner.group_of_file(path, project.root)
        whole = [group] if group else []
        ran = project.run(*project.some, known=project.known, whole=whole)
    finally:
        (project.root / path).unlink()
    assert ran.code == 0, ran.words
    assert set(project.some) <= set(ran.cases), project.lines
    new = set(ran.cases) - set(project.known)
    assert len(new) == project.real.new_cases, project.lines


def test_nothing_runs_and_ends_well(project):
    ran = project.run(known=project.known)
    assert (ran.code, ran.cases) == (0, []), project.lines
