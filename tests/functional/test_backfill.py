"""Backfill on small real repositories, through the command line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING

import pytest

from testopt.backfill.worktree import PREFIX
from testopt.cli import main
from testopt.store import Store

pytestmark = pytest.mark.integration

if TYPE_CHECKING:
    from pathlib import Path

CALC = """\
def clamp(value, low, high):
    if value < low:
        return low
    {rule}
    return value
"""
# What a runner of any language may look like: it writes JUnit XML where it is told.
RUNNER = """\
import os, sys
import calc
cases = {"low": calc.clamp(1, 2, 5) == 2, "mid": calc.clamp(3, 2, 5) == 3}
if "high" in open("tests/test_calc.txt").read():
    cases["high"] = calc.clamp(9, 2, 5) == 5
if os.path.exists("flaky"):
    count = os.path.join(sys.argv[2], "count")
    open(count, "a").write("x")
    cases["wavers"] = os.path.getsize(count) % 2 == 0
body = "".join(
    f'<testcase classname="suite" name="{n}" time="0.1">{"" if ok else "<failure/>"}</testcase>'
    for n, ok in cases.items()
)
open(sys.argv[1], "w").write(f'<testsuite name="s">{body}</testsuite>')
"""


@pytest.fixture
def calc(make_repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A repository of four commits, of which two touch source, and a runner beside it."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)
    (tmp_path / "runner.py").write_text(RUNNER)
    repo = make_repo()
    first = {"calc.py": CALC.format(rule="# no upper bound"), "tests/test_calc.txt": "low"}
    repo.commit("begin", {"README.md": "calc"})
    repo.commit("lower bound", first)
    repo.commit("words", {"README.md": "calculates"})
    rule = "if value > high:\n        return high"
    repo.commit("upper bound", {"calc.py": CALC.format(rule=rule), "tests/test_calc.txt": "high"})
    return repo


@pytest.fixture
def backfill(calc, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch):
    """Return a function that runs the command on the repository, in this process."""

    def run(*args: str, code: int = 0, repo: Path | None = None, env=None) -> dict:
        for name, value in (env or {}).items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as left:
            main([*_command(repo or calc.path, tmp_path)[3:], "--json", *args])
        assert left.value.code == code, capsys.readouterr().err
        for name in env or {}:
            monkeypatch.delenv(name)
        done = capsys.readouterr()
        return json.loads(done.out) if code == 0 else {"stderr": done.err}

    return run


def _command(repo: Path, tmp_path: Path) -> list[str]:
    store = ["--store", str(tmp_path / "store")]
    return [sys.executable, "-m", "testopt", "--repo", str(repo), *store, "backfill"]


@pytest.fixture
def runner(tmp_path: Path) -> list[str]:
    script = str(tmp_path / "runner.py")
    return ["--", sys.executable, "-S", script, "{junit}", str(tmp_path)]


def _runs(tmp_path: Path) -> list[dict]:
    rows = Store.open(str(tmp_path / "store")).read("runs").to_pylist()
    return sorted(rows, key=lambda row: row["time"])


def _state(repo) -> list[str]:
    """Everything of a repository that a backfill must not touch."""
    return [
        repo.git("status", "--porcelain", "--ignored"),
        repo.git("for-each-ref", "refs/heads", "refs/tags", "refs/stash"),
        repo.git("worktree", "list"),
        repo.git("rev-parse", "HEAD"),
        (repo.path / ".git" / "config").read_text(),
        repo.git("diff"),
        repo.git("diff", "--cached"),
    ]


def test_kinds_of_run(calc, backfill, runner, tmp_path: Path) -> None:
    report = backfill("--mutants", "3", *runner)
    assert report["commits"] == 2
    assert report["runs"] == {"clean": 2, "mutant": 6, "reverse": 1}
    assert report["regressions"] >= 3
    # without the file that a commit added, this runner writes nothing
    assert [(u["kind"], u["why"]) for u in report["unusable"]] == [
        ("reverse", "wrote no test report")
    ]
    runs = _runs(tmp_path)
    head = calc.git("rev-parse", "HEAD")
    clean = next(r for r in runs if r["kind"] == "clean" and r["commit"] == head)
    assert (clean["base"], clean["branch"]) == (calc.git("rev-parse", "HEAD^"), "main")
    assert (clean["cases"], clean["failed"], clean["source"]) == (3, 0, "backfill")
    reverse = next(r for r in runs if r["kind"] == "reverse" and r["base"] == head)
    assert reverse["failed"] == 1
    assert reverse["parent_run"] == clean["run_id"]
    assert reverse["branch"] == f"testopt/{reverse['run_id']}"
    assert reverse["time"] > clean["time"]


def test_variants_are_commits_that_tell_nothing(calc, backfill, runner, tmp_path: Path) -> None:
    backfill("--commits", "1", "--mutants", "1", *runner)
    head = calc.git("rev-parse", "HEAD")
    parent = calc.git("log", "-1", "--format=%an|%ae|%s", "HEAD^")
    for run in (r for r in _runs(tmp_path) if r["kind"] != "clean"):
        assert calc.git("rev-parse", f"refs/testopt/backfill/{run['run_id']}") == run["commit"]
        assert calc.git("rev-parse", f"{run['commit']}^") == head
        assert calc.git("log", "-1", "--format=%an|%ae|%s", run["commit"]) == parent
        assert calc.git("diff", "--name-only", head, run["commit"]) == "calc.py"
    reverse = next(r for r in _runs(tmp_path) if r["kind"] == "reverse")
    content = calc.git("show", f"{reverse['commit']}:calc.py")
    assert content == CALC.format(rule="# no upper bound").strip()
    assert "high" in calc.git("show", f"{reverse['commit']}:tests/test_calc.txt")


def test_changes_carry_identifiers(calc, backfill, runner, tmp_path: Path) -> None:
    backfill("--commits", "1", "--mutants", "0", *runner)
    store = Store.open(str(tmp_path / "store"))
    by_kind = {r["run_id"]: r["kind"] for r in _runs(tmp_path)}
    changes = store.read("run_changes").to_pylist()
    found = {(by_kind[c["run_id"]], c["path"], c["added"], c["deleted"]) for c in changes}
    assert found == {
        ("clean", "calc.py", 2, 1),
        ("clean", "tests/test_calc.txt", 1, 1),
        ("reverse", "calc.py", 1, 2),
    }
    assert all("high" in c["tokens"].split() for c in changes if c["path"] == "calc.py")


def test_second_call_runs_nothing(backfill, runner, tmp_path: Path) -> None:
    first = backfill(*runner)
    ids = {r["run_id"] for r in _runs(tmp_path)}
    second = backfill(*runner)
    assert second["runs"] == {}
    assert second["known"] == len(ids)
    assert second["regressions"] == first["regressions"]
    assert {r["run_id"] for r in _runs(tmp_path)} == ids


def test_user_files_are_not_touched(calc, backfill, runner, tmp_path: Path) -> None:
    hooks = calc.path / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("post-checkout", "reference-transaction", "post-commit"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/hooked\n")
        if name != "reference-transaction":  # refs/testopt/ are refs
            (hooks / name).chmod(0o755)
    calc.write("calc.py", "syntax error(")
    calc.write("new.txt", "untracked")
    calc.write("README.md", "staged")
    calc.git("add", "README.md")
    before = _state(calc)
    report = backfill("--commits", "2", "--mutants", "1", "--jobs", "2", *runner)
    assert report["runs"]["clean"] == 2
    assert _state(calc) == before
    assert not (tmp_path / "hooked").exists()
    assert list((tmp_path / "temporary").iterdir()) == []


def test_called_by_a_git_hook(calc, backfill, runner) -> None:
    before = _state(calc)
    here = {
        "GIT_DIR": str(calc.path / ".git"),
        "GIT_INDEX_FILE": str(calc.path / ".git" / "index"),
        "GIT_WORK_TREE": str(calc.path),
    }
    report = backfill("--commits", "1", "--mutants", "1", *runner, env=here)
    assert report["runs"] == {"clean": 1, "mutant": 1, "reverse": 1}
    assert _state(calc) == before


def test_suite_that_uses_git_reaches_no_branch(calc, backfill, runner, tmp_path: Path) -> None:
    script = tmp_path / "runner.py"
    script.write_text(
        "import subprocess\n"
        "for words in ('config user.name x', 'branch mine', 'tag mine', 'stash', 'gc -q'):\n"
        "    subprocess.run(['git', *words.split()])\n" + RUNNER
    )
    before = _state(calc)
    backfill("--commits", "1", "--mutants", "0", *runner)
    assert _state(calc) == before


def test_repeats_show_flaky_cases(calc, backfill, runner, tmp_path: Path) -> None:
    calc.commit("flaky", {"flaky": "", "calc.py": CALC.format(rule="assert high")})
    args = ("--commits", "1", "--repeat", "2", "--mutants", "0", "--no-reverse")
    report = backfill(*args, *runner)
    assert report["runs"] == {"clean": 2}
    assert report["flaky"] == 1


def test_interrupted_and_resumed(calc, backfill, runner, tmp_path: Path) -> None:
    """A killed process leaves a folder that the next call removes, and what it did counts."""
    slow = tmp_path / "slow"
    (tmp_path / "runner.py").write_text(
        f"import os, time\ntime.sleep(60 if os.path.exists({str(slow)!r}) else 0)\n" + RUNNER
    )
    backfill("--commits", "1", "--mutants", "0", "--no-reverse", *runner)
    slow.touch()
    process = subprocess.Popen([*_command(calc.path, tmp_path), *runner], stderr=subprocess.DEVNULL)
    temporary = tmp_path / "temporary"
    _wait_for(lambda: list(temporary.glob(PREFIX + "*/*/results")))
    process.kill()
    process.wait()
    assert list(temporary.glob(PREFIX + "*"))
    slow.unlink()
    report = backfill("--mutants", "0", *runner)
    assert (report["known"], report["runs"]) == (1, {"clean": 1, "reverse": 1})
    assert not list(temporary.glob(PREFIX + "*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_cleans_up(calc, runner, tmp_path: Path, number: int) -> None:
    pid = tmp_path / "pid"
    (tmp_path / "runner.py").write_text(
        f"import os, time\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)\n"
    )
    # in the background SIGINT may be ignored, and a program inherits that
    before = signal.signal(number, signal.default_int_handler)
    try:
        command = [*_command(calc.path, tmp_path), *runner]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    finally:
        signal.signal(number, before)
    _wait_for(lambda: pid.exists() and pid.read_text())
    process.send_signal(number)
    assert process.wait(30) != 0
    assert list((tmp_path / "temporary").iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_timeout_is_unusable_and_not_tried_again(calc, backfill, runner, tmp_path: Path) -> None:
    """A variant that hangs is noted with its reason; --retry forgets the note."""
    hang = "import time\ntime.sleep(60 * (calc.clamp(9, 2, 5) != 5))\ncases = "
    (tmp_path / "runner.py").write_text(RUNNER.replace("cases = ", hang, 1))
    args = ("--commits", "1", "--mutants", "0", "--timeout", "6", *runner)
    report = backfill(*args)
    assert report["runs"] == {"clean": 1}
    assert [(u["kind"], u["why"]) for u in report["unusable"]] == [
        ("reverse", "took more than 6 s")
    ]
    assert {r["kind"] for r in _runs(tmp_path)} == {"clean"}
    again = backfill(*args)
    assert (again["unusable"], again["unusable_before"]) == ([], 1)
    (tmp_path / "runner.py").write_text(RUNNER)
    assert backfill("--retry", *args)["runs"] == {"reverse": 1}


def test_set_up_once_for_each_worktree_is_kept(calc, backfill, runner, tmp_path: Path) -> None:
    (tmp_path / "runner.py").write_text("assert open('made/it').read() == 'x\\n'\n" + RUNNER)
    setup = "sh -c 'mkdir made && echo x >> made/it'"
    report = backfill("--mutants", "0", "--setup", setup, *runner)
    assert report["runs"] == {"clean": 2, "reverse": 1}


def test_bare_and_shallow_repositories(calc, backfill, runner, tmp_path: Path) -> None:
    bare, shallow = tmp_path / "bare.git", tmp_path / "shallow"
    calc.git("clone", "-q", "--bare", str(calc.path), str(bare))
    assert backfill("--mutants", "1", *runner, repo=bare)["runs"]["clean"] == 2
    calc.git("clone", "-q", "--depth", "2", f"file://{calc.path}", str(shallow))
    report = backfill("--job", "shallow", "--retry", *runner, repo=shallow)
    assert report["shallow"]
    assert report["commits"] == 1


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["no-such-program"], "cannot start 'no-such-program'"),
        ([sys.executable, "-S", "-c", "print('nothing to see')"], "wrote no test report"),
        (["sh", "-c", "printf '<testsuite' > {junit}"], "cannot be read"),
    ],
)  # fmt: skip
def test_command_that_gives_nothing(backfill, command: list[str], words: str) -> None:
    found = backfill("--commits", "1", "--", *command, code=3)
    assert words in found["stderr"]


def test_last_words_of_a_failing_command_are_shown(backfill) -> None:
    found = backfill("--", sys.executable, "-S", "-c", "print('no\\x1b[2J luck')", code=3)
    assert "its last words: no\\x1b[2J luck" in found["stderr"]


def test_failing_set_up(backfill, runner) -> None:
    found = backfill("--setup", "sh -c 'echo broken; exit 1'", *runner, code=3)
    assert "the set-up failed" in found["stderr"]
    assert "broken" in found["stderr"]


PYTEST_CASES = """\
import calc, pytest

class TestClamp:
    @pytest.mark.parametrize("high", [5, 6])
    def test_high(self, high):
        assert calc.clamp(9, 2, high) == high

def test_low():
    assert calc.clamp(1, 2, 5) == 2
"""


def test_pytest_by_default(calc, backfill, tmp_path: Path) -> None:
    rule = "if value >= high:\n        return high"
    calc.commit("cases", {"calc.py": CALC.format(rule=rule), "tests/test_calc.py": PYTEST_CASES})
    calc.commit("undo", {"calc.py": CALC.format(rule="value = min(value, high)")})
    report = backfill("--commits", "1", "--mutants", "1", "--seed", "3")
    assert report["runs"] == {"clean": 1, "mutant": 1, "reverse": 1}
    cases = set(Store.open(str(tmp_path / "store")).read("results")["case_id"].to_pylist())
    assert cases == {
        "tests/test_calc.py::TestClamp::test_high[5]",
        "tests/test_calc.py::TestClamp::test_high[6]",
        "tests/test_calc.py::test_low",
    }
    assert report["measured"] == 1
    assert _lines(tmp_path, "calc.py") == {
        "": "1",  # at import
        "tests/test_calc.py::TestClamp::test_high[5]": "2,4-5",
        "tests/test_calc.py::TestClamp::test_high[6]": "2,4-5",
        "tests/test_calc.py::test_low": "2-3",
    }
    again = backfill("--commits", "1", "--mutants", "1", "--seed", "3")
    assert (again["runs"], again["measured"]) == ({}, 0)


def _lines(tmp_path: Path, path: str) -> dict[str, str]:
    """The lines of a file that each case ran."""
    where = [("path", "=", path)]
    rows = Store.open(str(tmp_path / "store")).read("links", where=where).to_pylist()
    return {row["case_id"]: row["lines"] for row in rows}


def test_coverage_that_cannot_be_measured_is_named_once(calc, backfill, tmp_path: Path) -> None:
    calc.commit(
        "cases",
        {
            "calc.py": "def clamp(*a): return a[0]",
            "tests/test_calc.py": "def test_a(): import calc",
        },
    )
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/coverage.py").write_text("raise ImportError")
    few = ["--commits", "1", "--mutants", "0", "--no-reverse"]
    env = {"PYTHONPATH": str(tmp_path / "elsewhere")}
    unmeasured = backfill(*few, "--no-coverage", env=env)
    assert (unmeasured["runs"], unmeasured["unusable"]) == ({"clean": 1}, [])
    report = backfill(*few, env=env)
    assert [(u["kind"], u["why"]) for u in report["unusable"]] == [
        ("coverage", "the Python that runs the tests has no package coverage")
    ]
    assert backfill(*few, env=env)["unusable"] == []


def test_package_from_elsewhere_stops(calc, backfill, tmp_path: Path) -> None:
    """As where the package is installed in the environment that the command brings along."""
    calc.commit("cases", {"calc.py": CALC.format(rule="pass"), "tests/test_calc.py": PYTEST_CASES})
    other = tmp_path / "installed"
    other.mkdir()
    (other / "calc.py").write_text(CALC.format(rule="return min(value, high)"))
    code = f"import sys; sys.path.insert(0, {str(other)!r}); import pytest; pytest.main()"
    script = f"{code[:-2]}(['-q', '--junitxml', sys.argv[1]])"
    found = backfill("--", sys.executable, "-c", script, "{junit}", code=3)
    assert f"'calc' comes from {other / 'calc.py'}, not from the worktree" in found["stderr"]
    assert not (tmp_path / "store" / "runs").exists() or not _runs(tmp_path)


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["--range", "no-such-branch"], 2),
        (["--range=--all"], 2),
        (["--range", "main..main"], 3),
        (["--commits", "0"], 2),
        (["--timeout", "0"], 2),
        (["--setup", "'"], 2),
    ],
)
def test_wrong_usage(backfill, args: list[str], code: int) -> None:
    assert backfill(*args, code=code)["stderr"]


def test_no_repository(backfill, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()
    assert "not in a git repository" in backfill(code=3, repo=nowhere)["stderr"]


def _wait_for(condition, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_user_says_when_the_store_is_compacted(backfill, runner, tmp_path: Path):
    files = {}
    for name, settings in (("usual", {}), ("often", {"TESTOPT_COMPACT_FILES": "2"})):
        backfill("--job", name, "--mutants", "0", *runner, env=settings)
        tables = Store.open(str(tmp_path / "store")).info().tables
        files[name] = next(table.files for table in tables if table.table == "results")
        shutil.rmtree(tmp_path / "store")
    assert files["often"] <= 2 < files["usual"]
