"""A selection's life: shadow, promotion, two misses, their discovery, and the way back."""

from __future__ import annotations

import shutil
import time
from datetime import UTC, datetime, timedelta

import pytest
from builders import make_record, prediction_row

from testopt.selection import plan_log
from testopt.selection.decisions import Decision, read_decisions
from testopt.selection.plan_log_file import load
from testopt.selection.policy import Policy
from testopt.store import Store

pytestmark = pytest.mark.integration

FILES = ("a", "b", "c")
CASES = tuple(f"tests/test_{m}.py::test_{n}" for m in FILES for n in range(5))
# The cases fail by what a file says in words that do not name them.
TEST = """
import importlib

def test_{n}():
    assert {key} * {key} not in importlib.import_module("fla" + "gs").BROKEN
"""
RULES = {
    "TESTOPT_PROMOTE": "auto",
    "TESTOPT_RECALL": "0.8",
    "TESTOPT_SHADOW_REGRESSIONS": "21",
    "TESTOPT_ROLLBACK_LEVEL": "0.2",
    "TESTOPT_EXPLORE": "0.000001",
    "TESTOPT_REFRESH": "0",
}
SHADOW = Policy(mode="shadow", bundle="b", kind="promise", recall=0.8, threshold=0.9)


def past(days: int = 20):
    """Yield 20 regressions in shadow, one a day, each caught: the run before it passes."""
    start = datetime.now(UTC) - timedelta(days=days)
    for hour in range(40):
        bad = CASES[hour % len(CASES)] if hour % 2 else ""
        rows = [
            prediction_row(
                case, rank, probability=0.5 if case == bad else 0.01, selected=case == bad,
                executed=True, reason="", propensity=1.0, score=0.95 if case == bad else 0.1,
                policy=SHADOW.dump(),
            )
            for rank, case in enumerate(CASES, 1)
        ]  # fmt: skip
        run = {"time": start + timedelta(hours=11 * hour), "branch": "main"}
        yield make_record(f"past {hour}", CASES, [bad], seconds=0.01, predictions=rows, **run)


def key(case: str) -> int:
    """Return a number of two digits for a case."""
    return 21 + CASES.index(case)


class Life:
    """A project whose history says that everything was caught so far."""

    def __init__(self, real, trained, git_here) -> None:
        self.real, self._commit = real, git_here
        (real.path / "test_it.py").unlink()
        (real.path / "tests").mkdir()
        (real.path / "conftest.py").write_text("")
        for m in FILES:
            text = "".join(
                TEST.format(n=n, key=key(f"tests/test_{m}.py::test_{n}")) for n in range(5)
            )
            (real.path / "tests" / f"test_{m}.py").write_text(text)
        self.change()
        shutil.copytree(trained / "store", real.path / ".testopt")
        self.store = Store.open(str(real.path / ".testopt"))
        self.store.append_runs(past())
        plan_log.update_log(self.store)

    def change(self, *broken: str) -> str:
        """Commit that these cases are broken."""
        marks = [key(case) ** 2 for case in broken]
        (self.real.path / "flags.py").write_text(f"BROKEN = {marks!r}\n")
        return self._commit(self.real.path)

    def pytest(self, mode: str, *, fails: bool = False) -> str:
        done = self.real.run(f"--testopt={mode}", **RULES)
        assert done.returncode == int(fails), done.stdout + done.stderr
        self._wait()
        return done.stdout

    def _wait(self) -> None:
        """Wait for the engine, which judges the run when pytest has ended."""
        for _ in range(200):
            if {run_id for run_id, _ in load(self.store).seen} >= self.store.run_ids():
                return
            time.sleep(0.05)
        pytest.fail("the run was not judged")

    def decisions(self, count: int) -> list[Decision]:
        """Return what was decided on the selection, when so many decisions are logged."""
        found = []
        for _ in range(200):
            found = [d for d in read_decisions(self.store) if d.kind.startswith("selection")]
            if len(found) >= count:
                break
            time.sleep(0.05)
        return found

    def last_plan(self) -> dict[str, dict]:
        """Return the rows of the last plan by case."""
        rows = self.store.read("predictions").to_pylist()
        when = dict(zip(*self.store.read("runs", columns=["run_id", "time"]).to_pydict().values(),
                        strict=True))  # fmt: skip
        last = max(when[row["run_id"]] for row in rows)
        return {row["case_id"]: row for row in rows if when[row["run_id"]] == last}


@pytest.fixture
def life(real, trained, git_here):
    return Life(real, trained, git_here)


def test_a_life(life, testopt):
    # 20 of the 21 regressions that it needs: everything runs, and one more is seen
    life.change(CASES[7])
    said = life.pytest("select", fails=True)
    assert "in shadow: 20 of 21 regressions, 18 of 14 days" in said
    assert "deselected" not in said
    first = life.last_plan()
    assert {Policy.parse(row["policy"]).mode for row in first.values()} == {"shadow"}

    # now it has earned it
    life.change()
    said = life.pytest("select")
    assert "deselected" in said
    assert "selecting since 20" in said
    plan = life.last_plan()
    out = [case for case, row in plan.items() if not row["selected"]]
    out.sort(key=lambda case: plan[case]["rank"])
    assert len(out) > len(CASES) / 2
    assert Policy.parse(plan[out[0]]["policy"]).mode == "select"

    # a case that is left out breaks: green, until everything runs
    commits = []
    for broken in (out[-1], out[-2]):
        commits.append(life.change(broken))
        assert "deselected" in life.pytest("select")
        assert not life.last_plan()[broken]["selected"]
        assert f"FAILED {broken}" in life.pytest("record", fails=True)
    report = testopt("--repo", life.real.path, "monitor", "--json").document
    late = [m for m in report["misses"] if m["found_in"] != m["run_id"]]
    assert [m["cases"] for m in late] == [[out[-1]], [out[-2]]]
    assert late[1]["commit"] == commits[1]
    # the run before had left the first one out too; the second had passed in the full run
    assert [len(m["candidates"]) for m in late] == [2, 1]
    assert commits[0] in {commit for _, commit, share in late[0]["candidates"] if share > 0.3}

    # two misses are beyond the promise
    said = life.pytest("select", fails=True)
    assert "rolled back" in said
    assert "deselected" not in said
    shown = testopt("--repo", life.real.path, "doctor")
    assert "selection: " not in shown.out  # 2 of 23 in all are within 0.2
    decided = life.decisions(2)
    assert [d.kind for d in decided] == ["selection acts", "selection stopped"]
    assert decided[0].why.startswith("selecting since 20")
    assert "rolled back" in decided[1].why
    assert decided[1].details["settings"]["shadow_regressions"] == 21


def test_the_steps_out_of_shadow(life, testopt, monkeypatch):
    """Forty runs in shadow without a miss are a step up from a fifth of the cases."""
    for name, value in {"PROMOTE": "gradual", "SHADOW_REGRESSIONS": "1000"}.items():
        monkeypatch.setitem(RULES, f"TESTOPT_{name}", value)
        monkeypatch.setenv(f"TESTOPT_{name}", value)
    life.change(CASES[7])
    said = life.pytest("select", fails=True)
    assert "6 deselected" in said
    assert "at most 40% are left out" in said
    plan = life.last_plan()
    policy = Policy.parse(plan[CASES[0]]["policy"])
    assert (policy.mode, policy.cap) == ("select", 0.4)
    kept = [row["score"] for row in plan.values() if row["selected"]]
    assert max(row["score"] for row in plan.values() if not row["selected"]) < min(kept)
    shown = testopt("--repo", life.real.path, "monitor")
    assert "gradual: at most 40% of the cases are left out; 60% after" in shown.out
