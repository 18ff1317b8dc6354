"""`testopt select` on a real repository with a made-up history: what runs, why, what is said."""

from __future__ import annotations

import csv
import random
import shutil
import subprocess
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from builders import START, make_record, prediction_row

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("no_ci")]

MODULES, TESTS, RUNS = 8, 4, 70


def case_of(module: int, test: int) -> str:
    return f"tests/test_mod{module}.py::test_{test}"


CASES = [case_of(m, t) for m in range(MODULES) for t in range(TESTS)]


def source(module: int, number: int) -> str:
    return f"def fun{module}(x):\n    value{number} = x\n    return value{number}\n"


def suite_of(module: int) -> str:
    bodies = (f"def test_{t}():\n    assert fun{module}({t}) == {t}\n" for t in range(TESTS))
    return f"from src.mod{module} import fun{module}\n\n\n" + "\n\n".join(bodies)


class Project:
    """A repository of modules with tests, where changes of a module break tests of it."""

    def __init__(self, folder: Path, call) -> None:
        self.path, self._call = folder / "repo", call

    def git(self, *args: str, stdin: str | None = None) -> str:
        person = ("-c", "user.name=A", "-c", "user.email=a@example.org")
        done = subprocess.run(
            ["git", "-C", str(self.path), *person, *args],
            input=stdin, check=True, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout.strip()

    def make(self) -> None:
        """Write history and results, ingest them and train."""
        self.path.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")
        chance = random.Random(3)
        changed = [chance.randrange(MODULES) for _ in range(RUNS)]
        self.git("fast-import", "--quiet", stdin=self._stream(changed))
        self.git("reset", "-q", "--hard")
        shas = self.git("rev-list", "--reverse", "main").splitlines()
        table = self._table(changed, shas, chance)
        assert self.run("ingest", "--format", "table", table).code == 0
        assert self.run("train").code == 0

    @staticmethod
    def _stream(changed: list[int]) -> str:
        files = {".gitignore": ".testopt/\n", "uv.lock": "", "tests/data/rows.json": "[]\n"}
        files |= {f"tests/test_mod{m}.py": suite_of(m) for m in range(MODULES)}
        files |= {f"src/mod{m}.py": source(m, 0) for m in range(MODULES)}
        parts = []
        for i, module in enumerate(changed):
            when = f"A <a@example.org> {int((START + timedelta(hours=i)).timestamp())} +0000"
            parts.append(f"commit refs/heads/main\ncommitter {when}\ndata 6\nchange\n")
            new = {f"src/mod{module}.py": source(module, i)}
            for name, text in (files | new if i == 0 else new).items():
                parts.append(f"M 100644 inline {name}\ndata {len(text)}\n{text}\n")
        return "".join(parts)

    def _table(self, changed: list[int], shas: list[str], chance: random.Random) -> Path:
        path = self.path.parent / "runs.csv"
        with path.open("w", encoding="utf-8", newline="") as stream:
            rows = csv.writer(stream)
            rows.writerow(
                ("run_id", "time", "case_id", "outcome", "duration_s", "commit", "base", "branch")
            )
            for i, module in enumerate(changed):
                when = (START + timedelta(hours=i)).isoformat()
                broken = case_of(module, chance.randrange(TESTS)) if i % 3 and i < RUNS - 1 else ""
                for n, case in enumerate(CASES):
                    outcome = "failed" if case == broken else "passed"
                    seconds = 1.0 + n % TESTS
                    base = shas[i - 1] if i else ""
                    rows.writerow((f"r{i}", when, case, outcome, seconds, shas[i], base, "main"))
        return path

    def run(self, *args):
        return self._call("--repo", self.path, *args)

    def select(self, *args, code: int = 0):
        done = self.run("select", *args, "--json")
        assert done.code == code, done.err
        return done.document

    def change(self, **files: str) -> None:
        """Commit files; the names are written with __ for a slash and an ending of _py."""
        for name, text in files.items():
            path = self.path / name.replace("__", "/").replace("_py", ".py").replace("_js", ".js")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "another change")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, testopt) -> Project:
    project = Project(tmp_path_factory.mktemp("select"), testopt)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TESTOPT_KEY", "a key for tests only")
        project.make()
    return project


@pytest.fixture
def project(finished, tmp_path, testopt, monkeypatch) -> Project:
    """Return a copy whose last change is one of the second module; nothing is drawn."""
    shutil.copytree(finished.path, tmp_path / "repo")
    monkeypatch.setenv("TESTOPT_KEY", "a key for tests only")
    monkeypatch.setenv("TESTOPT_EXPLORE", "0.000001")
    monkeypatch.setenv("TESTOPT_REFRESH", "0")
    copy = Project(tmp_path, testopt)
    copy.change(src__mod1_py=source(1, 9999))
    return copy


def names(document, what: str = "selected") -> list[str]:
    return sorted(case["case_id"] for case in document["cases"] if case[what])


def test_a_promise_leaves_out_what_the_change_does_not_reach(project):
    plan = project.select("--recall", "0.9")
    assert plan["mode"] == "select"
    promise = plan["promise"]
    assert promise["kind"] == "promise"
    assert promise["regressions"] >= 19
    assert promise["low"] < 0.9 < promise["high"]
    kept = names(plan)
    assert {case_of(1, t) for t in range(TESTS)} <= set(kept)
    assert len(kept) < len(CASES) / 2
    assert kept == names(plan, "runs")
    by_id = {case["case_id"]: case for case in plan["cases"]}
    assert all(
        (case["score"] >= promise["threshold"] or case["must_run"]) == case["selected"]
        for case in by_id.values()
    )
    assert {case["propensity"] for case in by_id.values()} <= {1.0, 0.000001}


def test_higher_recalls_keep_more_and_what_cannot_be_promised_runs_everything(project):
    kept = [set(names(project.select("--recall", r))) for r in ("0.8", "0.9", "0.95")]
    assert kept[0] <= kept[1] <= kept[2]
    plan = project.select("--recall", "0.999")
    assert len(names(plan)) == len(CASES)
    assert plan["promise"]["kind"] == "none"


def test_the_text_says_what_runs_what_is_promised_and_why(project):
    done = project.run("select", "--recall", "0.9")
    assert done.code == 0
    first, promise, *rest = done.out.splitlines()
    assert " of 32 cases run: " in first
    assert first.endswith("%)")
    assert promise.startswith("promise: recall of 0.9 promised by ")
    assert "run:" in rest
    assert "left out:" in rest


def test_without_a_bundle_everything_runs_and_it_is_said(project):
    shutil.rmtree(project.path / ".testopt" / "models")
    assert "       32  everything runs" in project.run("select").out
    plan = project.select()
    assert len(names(plan)) == len(CASES)
    assert "needs 19 past regressions, and there are 0 (19 missing)" in plan["promise"]["why"]


def test_a_budget_is_kept_and_estimated(project):
    plan = project.select("--budget", "10s")
    assert sum(c["cost_s"] for c in plan["cases"] if c["runs"]) <= 10.0
    assert plan["promise"]["kind"] == "estimate"
    assert plan["promise"]["why"].startswith("within 10 s, ")
    fraction = project.select("--fraction", "0.125", "--recall", "0.95")
    assert names(fraction) == names(plan)
    assert fraction["promise"]["recall"] == 0.95


def test_cases_whose_surroundings_changed_must_run(project):
    new = suite_of(2).replace("fun2(0) == 0", "fun2(0) is 0") + "\n\ndef test_9():\n    pass\n"
    project.change(tests__test_mod2_py=new)
    ids = project.path.parent / "ids"
    ids.write_text("\n".join([*CASES, "tests/test_mod2.py::test_9"]))
    by_id = {c["case_id"]: c for c in project.select("--fraction", "0.01", "--cases", ids)["cases"]}
    assert by_id["tests/test_mod2.py::test_9"]["must_run"]
    assert by_id[case_of(2, 0)]["reason"].startswith("the test itself was changed")
    assert not by_id[case_of(2, 1)]["must_run"]
    project.change(tests__conftest_py="x = 1\n")
    conftest = project.select("--fraction", "0.01", "--head", "HEAD")
    assert len(names(conftest)) == len(CASES)
    assert {c["reason"].partition("; ")[0] for c in conftest["cases"]} == {
        "tests/conftest.py, which it may use, changed"
    }
    assert conftest["promise"]["why"].endswith("the cases that must run alone take longer")


def test_what_failed_before_and_what_the_project_names_must_run(project, monkeypatch):
    monkeypatch.setenv("TESTOPT_MUST_RUN", "tests/test_mod5.py, *::test_3")
    head = project.git("rev-parse", "HEAD^")
    (project.path.parent / "more.csv").write_text(
        "run_id,time,case_id,outcome,duration_s,commit,branch\n"
        + "".join(
            f"last,2026-02-01T00:00:00,{case},{'failed' if case == case_of(7, 0) else 'passed'},"
            f"1,{head},main\n"
            for case in CASES
        )
    )
    assert project.run("ingest", "--format", "table", project.path.parent / "more.csv").code == 0
    plan = project.select("--fraction", "0.01")
    led = [c["must_run"] for c in plan["cases"]]
    assert led[:2] == [True, True]  # and more of them as far as they fit into a tenth of the time
    must = {c["case_id"]: c["reason"].partition("; ")[0] for c in plan["cases"] if c["must_run"]}
    assert must.pop(case_of(7, 0)) == "failed in the previous run"
    assert set(must) == {c for c in CASES if "mod5" in c or c.endswith("test_3")}
    assert "always runs (tests/test_mod5.py)" in must.values()


@pytest.mark.parametrize(
    ("name", "why"), [("uv.lock", "uv.lock changed"), ("web/package.json", "web/package.json")]
)
def test_a_trigger_file_makes_everything_run(project, monkeypatch, name, why):
    (project.path / "web").mkdir()
    (project.path / name).write_text("1")
    project.change()
    plan = project.select("--recall", "0.8", "--budget", "1s")
    assert len(names(plan)) == len(CASES)
    assert plan["promise"]["why"].startswith(f"everything runs: {why}")
    monkeypatch.setenv("TESTOPT_RUN_ALL_ON", f"!{name}")
    assert len(names(project.select("--fraction", "0.1"))) < len(CASES)


def test_everything_runs_where_somebody_asks_for_it(project, monkeypatch):
    project.git("commit", "-q", "--allow-empty", "-m", "Big change\n\nmore [TestOpt: Run All] here")
    asked = project.select("--fraction", "0.1")
    commit = project.git("rev-parse", "--short", "HEAD")
    assert asked["promise"]["why"] == f"everything runs: commit {commit} asks for it"
    project.change(src__mod1_py=source(1, 7))
    merged = project.select("--fraction", "0.1", "--base", "HEAD~2", "--head", "HEAD")
    assert len(names(merged)) == len(CASES)
    plain = project.select("--fraction", "0.1", "--base", "HEAD~1", "--head", "HEAD")
    assert len(names(plain)) < len(CASES)
    monkeypatch.setenv("TESTOPT_RUN_ALL", "1")
    told = project.select("--fraction", "0.1")
    assert told["promise"]["why"] == "everything runs: TESTOPT_RUN_ALL asks for it"


def test_a_change_that_is_not_understood_runs_everything(project):
    ids = project.path.parent / "ids"
    ids.write_text("\n".join(CASES))
    at = ("--store", str(project.path / ".testopt"), "--repo", str(project.path.parent))
    done = project._call(*at, "select", "--fraction", "0.1", "--cases", ids, "--json")
    assert done.code == 0
    assert len(names(done.document)) == len(CASES)
    assert "the change is unknown" in done.document["promise"]["why"]


def test_a_drawn_change_runs_everything_and_drawn_cases_run_again(project, monkeypatch):
    monkeypatch.setenv("TESTOPT_EXPLORE", "1")
    plan = project.select("--fraction", "0.1")
    assert plan["explored"]
    assert len(names(plan, "runs")) == len(CASES) > len(names(plan))
    monkeypatch.setenv("TESTOPT_EXPLORE", "0.000001")
    monkeypatch.setenv("TESTOPT_REFRESH", "0.5")
    plan = project.select("--fraction", "0.1")
    again = project.select("--fraction", "0.1")
    assert names(plan, "runs") == names(again, "runs")
    drawn = [c for c in plan["cases"] if c["runs"] and not c["selected"]]
    assert 4 < len(drawn) < len(CASES) - 8
    assert {round(c["propensity"], 3) for c in drawn} == {0.5}


@pytest.mark.parametrize("executed", [False, None])
def test_without_exploration_and_full_runs_it_refuses(project, monkeypatch, executed):
    monkeypatch.setenv("TESTOPT_EXPLORE", "0")
    assert project.select("--fraction", "0.1")["promise"]["kind"] == "estimate"
    _record_selecting_runs(project, 100, executed)
    done = project.run("select", "--fraction", "0.1")
    assert done.code == 2
    assert "nothing would show what that misses" in done.err
    assert "set explore above 0" in done.err
    monkeypatch.setenv("TESTOPT_EXPLORE", "0.000001")
    assert project.run("select", "--fraction", "0.1").code == 0


def _record_selecting_runs(project, count, executed):
    """Record runs in which a case was left out."""
    from testopt.selection.policy import Policy
    from testopt.store import Store

    policy = Policy(mode="select", kind="promise").dump()
    left = prediction_row(
        CASES[1], probability=0.1, selected=False, executed=executed, policy=policy
    )
    Store.open(str(project.path / ".testopt")).append_runs(
        make_record(f"late {n}", CASES[:1], hours=90 * 24 + n, seconds=1.0, predictions=[left])
        for n in range(count)
    )


def test_a_kept_plan_is_joined_with_the_results_of_its_run(project):
    done = project.run("select", "--fraction", "0.1", "--run-id", "build 7")
    assert "the plan is kept for the run build 7" in done.err
    assert "has a plan already" in project.run("select", "--run-id", "build 7").err
    kept = names(project.select("--fraction", "0.1", "--run-id", "build 7"))
    report = project.path.parent / "junit.xml"
    report.write_text(
        "<testsuite>"
        + "".join(
            f'<testcase file="{c.partition("::")[0]}" name="{c.rpartition("::")[2]}" time="1"'
            f' classname="{c.partition("::")[0][:-3].replace("/", ".")}"/>'
            for c in kept
        )
        + "</testsuite>"
    )
    assert project.run("ingest", report, "--run-id", "build 7").code == 0
    from testopt.selection.policy import Policy
    from testopt.store import Store

    store = Store.open(str(project.path / ".testopt"))
    rows = store.read("predictions", where=[("run_id", "=", "build 7")]).to_pylist()
    assert sorted(r["case_id"] for r in rows if r["selected"]) == kept
    assert len(rows) == len(CASES)
    assert {Policy.parse(r["policy"]).kind for r in rows} == {"estimate"}
    ran = store.read("results", where=[("run_id", "=", "build 7")])
    assert sorted(ran["case_id"].to_pylist()) == kept
    # what the last run left out is not forgotten
    assert len(project.select("--fraction", "0.1")["cases"]) == len(CASES)


def test_parts_are_disjoint_and_together_the_whole(project):
    whole = project.select("--fraction", "0.5")
    parts = [
        project.run("select", "--fraction", "0.5", "--shard", f"{i}/3", "--format", "pytest").out
        for i in (1, 2, 3)
    ]
    ids = [line for part in parts for line in part.splitlines()]
    assert sorted(ids) == names(whole, "runs")
    for i, part in enumerate(parts, 1):
        printed = project.select("--fraction", "0.5", "--shard", f"{i}/3")
        assert [case["case_id"] for case in printed["cases"]] == part.splitlines()
    assert project.run("select", "--shard", "4/3").code == 2
    ranked = project.run("rank", "--shard", "1/2", "--format", "pytest").out.splitlines()
    assert 0 < len(ranked) < len(CASES)


def test_durations_that_are_in_the_repository_divide_the_parts(project, monkeypatch):
    written = project.run("rank", "--format", "durations")
    assert written.code == 0
    (project.path / "durations.json").write_text(written.out)
    monkeypatch.setenv("TESTOPT_SHARD_DURATIONS", "durations.json")
    parts = [
        project.run("rank", "--json", "--shard", f"{i}/4").document["cases"] for i in (1, 2, 3, 4)
    ]
    assert sorted(case["case_id"] for part in parts for case in part) == sorted(CASES)
    loads = [sum(case["cost_s"] for case in part) for part in parts]
    assert max(loads) < 1.2 * sum(loads) / 4
    monkeypatch.setenv("TESTOPT_SHARD_DURATIONS", "gone.json")
    done = project.run("select", "--shard", "1/4")
    assert done.code == 2
    assert "cannot read the durations" in done.err


def test_a_runner_that_has_none_of_the_cases_is_refused(project):
    done = project.run("select", "--fraction", "0.1", "--format", "surefire")
    assert (done.code, done.out) == (2, "")
    assert "no case is one of surefire's, such as 'tests/test_mod" in done.err
    assert "pytest" in done.err


def test_parts_are_the_whole_whatever_each_machine_knows(project):
    """Each part is planned with another store, and two are kept."""
    from testopt.store import Store

    (project.path / "cases.txt").write_text("\n".join(CASES))
    stores = [project.path / ".testopt", project.path.parent / "new", project.path.parent / "none"]
    Store.open(str(stores[1]), create=True)
    ran: list[str] = []
    for i, at in enumerate(stores, 1):
        named = ("--fraction", "1", "--cases", project.path / "cases.txt", "--run-id", "r")
        args = ("select", *named, "--shard", f"{i}/3", "--format", "pytest")
        printed = project.run("--store", at, *args).out.splitlines()
        ran += printed
        if i < 3:
            rows = Store.open(str(at)).read("predictions", unfinished=True).to_pylist()
            kept = [r["case_id"] for r in rows if r["run_id"] == "r" and r["shard"] == f"{i}/3"]
            assert sorted(kept) == sorted(printed)
    assert sorted(ran) == sorted(CASES)
    empty = [i for i in range(1, 10) if not project.select("--shard", f"{i}/9")["cases"]]
    assert empty
    done = project.run("select", "--shard", f"{empty[0]}/9", "--format", "pytest")
    assert done.code == 0
    assert f"part {empty[0]} of 9 has no case that runs" in done.err


def test_nothing_to_run_is_no_error_and_is_said(project, monkeypatch):
    monkeypatch.setenv("TESTOPT_EXPLORE", "0.000001")
    done = project.run("select", "--fraction", "0.000001", "--format", "pytest")
    assert (done.code, done.out) == (0, "--collect-only\n-qq\n")
    assert "no case is selected" in done.err


@pytest.mark.parametrize(
    "args",
    [("--budget", "soon"), ("--budget", "0s"), ("--recall", "1.5"), ("--shard", "0/2"),
     ("--fraction", "-1"), ("--fraction", "0"), ("--recall", "0"), ("--budget", "10"),
     ("--diff", "x", "--base", "HEAD")],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(project, args):
    assert project.run("select", *args).code == 2


def test_settings_out_of_range_are_refused(project, monkeypatch):
    monkeypatch.setenv("TESTOPT_RECALL", "95")
    done = project.run("select")
    assert done.code == 2
    assert "'recall' in environment: Invalid share '95': did you mean 0.95?" in done.err
