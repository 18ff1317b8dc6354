"""What tests of several folders share."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import deltalake  # noqa: F401 - pytester forgets imports, and its native part has one only
import pytest
from builders import GitRepo, Suite, make_record, new_store
from click.testing import CliRunner
from hypothesis import settings

# a busy machine is slow for reasons of its own
settings.register_profile("testopt", deadline=None)
settings.load_profile("testopt")

pytest_plugins = ["pytester", "s3"]

ROOT = Path(__file__).resolve().parent.parent
ALONE = (ROOT / "tests" / "unit", ROOT / "tests" / "property")

# Stands in for the engine: orders as it is told, or misbehaves at a given request.
FAKE_ENGINE = """
import json, os, random, sys, time
how, at, log = sys.argv[1:4]
def chosen(ids):
    if at.isdigit():
        draw = random.Random(int(at))
        return [int(draw.random() < 0.5) for _ in ids]
    return [int(any(name in i for name in at.split(","))) for i in ids]
for line in sys.stdin:
    request = json.loads(line)
    with open(log, "a") as out:
        out.write(line)
    op = request["op"]
    if op == at:
        if how == "die":
            sys.stderr.write("first\\nlast \\x1b[31m words\\n")
            sys.exit(3)
        if how == "kill":
            os.kill(os.getpid(), 9)
        if how == "hang":
            time.sleep(600)
        if how == "garbage":
            print("\\x00\\xff{]", flush=True)
            continue
        if how == "flood":
            while True:
                sys.stdout.write("x" * 65536)
        if how == "deaf":
            os.close(0)
            time.sleep(600)
        if how == "fault":
            print(json.dumps({"re": op, "error": "bad \\x1b[2J\\nluck"}), flush=True)
            continue
        if how == "other":
            print(json.dumps({"re": "nothing"}), flush=True)
            continue
        if how == "list":
            print("[1, 2]", flush=True)
            continue
    if op == "plan":
        count = len(request["ids"])
        rank = list(range(count))
        if how in ("reverse", "select"):
            rank.reverse()
        if how.startswith("shuffle"):
            random.Random(int(at)).shuffle(rank)
        answer = {"rank": rank, "note": "fake order"}
        if how == "select":  # `at` names the cases that run, or is a seed that draws them
            answer["run"] = chosen(request["ids"])
            answer["lines"] = ["promise: as asked"]
        if how == "select-odd":
            answer["run"] = json.loads(at)
        if how == "shuffle-values":
            answer["probability"] = [random.Random(i).random() for i in rank]
            answer["cost"] = [1.0] * count
        answer["rank"] = {
            "short": rank[1:], "double": [0] * count, "text": "abc", "null": None,
            "floats": [r + 0.0 for r in rank], "huge": [r + 1 for r in rank],
        }.get(how, rank)
        print(json.dumps({"re": op, **answer}), flush=True)
    if op == "known":
        known = json.loads(os.environ.get("FAKE_KNOWN", "[]"))
        more = {"run": chosen(known), "lines": ["promise: as asked"]} if how == "select" else {}
        print(json.dumps({"re": op, "ids": known, "note": "fake order", **more}), flush=True)
    if op == "end":
        first = [["because of " + i[-6:], "and more"] for i in request.get("first", ())]
        print(json.dumps({"re": op, "note": "fake record", "first": first}), flush=True)
        sys.exit()
"""


CI_VARIABLES = (
    "GITHUB_",
    "GITLAB_",
    "CI_",
    "CIRCLE",
    "BUILDKITE",
    "TF_BUILD",
    "BUILD_",
    "JENKINS_",
)


@pytest.fixture(scope="session", autouse=True)
def order_of_files():
    """Keep a plugin that is installed for some tests from shuffling the suites that others run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_ADDOPTS", "-p no:randomly")
        yield


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Take over what a worker of xdist has checked."""
    if find_spec("jsonschema") is None:
        return
    from schemas import CHECKED

    CHECKED.update(getattr(node, "workeroutput", {}).get("schemas", ()))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    """Fail a run of the whole suite in which no test has looked at the JSON of some command."""
    if find_spec("jsonschema") is None:
        return
    from schemas import CHECKED, unchecked

    config, option = session.config, session.config.option
    if hasattr(config, "workeroutput"):
        config.workeroutput["schemas"] = sorted(CHECKED)
        return
    narrowed = option.keyword or option.deselect or option.ignore or option.collectonly
    whole = config.args_source == pytest.Config.ArgsSource.TESTPATHS and not narrowed
    if whole and option.markexpr == "not slow" and not session.exitstatus and unchecked():
        print("no test has looked at the JSON of:", *unchecked())  # noqa: T201
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session", autouse=True)
def every_json_fits_its_schema():
    """Check each document that a command prints in a test: what is not described is not printed."""
    if find_spec("jsonschema") is None:  # in environments that try testopt alone
        yield
        return
    from schemas import checked_text

    from testopt.cli import common

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(common, "json_text", checked_text(common.json_text))
        yield


@pytest.fixture(autouse=True)
def no_processes(request: pytest.FixtureRequest):
    """Fail a unit or property test that starts a process without the marker `integration`."""
    marked = request.node.get_closest_marker("integration")
    if marked or not any(request.path.is_relative_to(folder) for folder in ALONE):
        yield
        return
    start = subprocess.Popen.__init__

    def refuse(self, args, *rest, **options):
        if args[0] == "lscpu":  # joblib does so, once a process
            return start(self, args, *rest, **options)
        return pytest.fail(f"starts a process, and is not marked integration: {args}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", refuse)
        yield


@pytest.fixture
def no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the surrounding CI job, and settings of testopt, from what is under test."""
    for name in list(os.environ):
        if name.startswith((*CI_VARIABLES, "TESTOPT_")):
            monkeypatch.delenv(name)


@pytest.fixture
def with_plugin(monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Arguments that load the plugin and xdist, and nothing else that happens to be installed.

    Nothing of the surrounding run or CI job shows in the runs under test.
    """
    for name in list(os.environ):
        if name.startswith(("TESTOPT_", "GITHUB_", "GITLAB_", "CI_", "BUILDKITE", "CIRCLE")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    xdist = ("-p", "xdist.plugin") if find_spec("xdist") else ()
    return (*xdist, "-p", "testopt.pytest_plugin")


@pytest.fixture
def fake_engine(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch):
    """Return a function that puts a fake engine in place; it returns the log of its requests."""
    folder = tmp_path_factory.mktemp("engine")
    script = folder / "engine.py"
    script.write_text(FAKE_ENGINE, encoding="utf-8")

    def use(how: str, at: str = "") -> Path:
        log = folder / "requests.jsonl"
        log.write_text("")
        command = [sys.executable, "-S", str(script), how, at or "-", str(log)]
        monkeypatch.setenv("TESTOPT_COMMAND", shlex.join(command))
        return log

    return use


@pytest.fixture
def git_here():
    """Return a function that makes a folder a git repository with one commit of all files."""

    def commit(folder: Path, message: str = "all") -> str:
        def git(*args: str) -> str:
            identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
            done = subprocess.run(
                ["git", "-C", str(folder), *identity, *args],
                check=True,
                capture_output=True,
                text=True,
            )
            return done.stdout.strip()

        git("init", "-q", "-b", "main")
        git("add", "-A")
        git("commit", "-q", "--allow-empty", "-m", message)
        return git("rev-parse", "HEAD")

    return commit


@pytest.fixture
def make_repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that makes an empty repository; no user's git configuration applies."""
    for scope in ("GLOBAL", "SYSTEM"):
        monkeypatch.setenv(f"GIT_CONFIG_{scope}", os.devnull)
    monkeypatch.setenv("TESTOPT_KEY", "a key for tests only")
    return lambda name="repo": GitRepo(tmp_path / name)


class Done(NamedTuple):
    """What a command did: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict:
        """The JSON document on standard output."""
        return json.loads(self.out)


def call_testopt(*args: str | os.PathLike[str], stdin: bytes | None = None) -> Done:
    """Call the command line in this process; an unexpected exception is the test's failure."""
    from testopt.cli import main

    with CliRunner().isolation(input=stdin) as (out, err, _):
        code: int | str | None = 0
        try:
            main([os.fspath(a) for a in args])
        except SystemExit as end:
            code = end.code
        sys.stdout.flush()
        sys.stderr.flush()
        return Done(int(code or 0), out.getvalue().decode(), err.getvalue().decode())


@pytest.fixture(scope="session")
def testopt():
    """Return a function that calls the command line: exit code, output, errors."""
    return call_testopt


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder, no git repository, with a store of 60 runs and a bundle; only to copy."""
    folder = tmp_path_factory.mktemp("trained")
    table = Suite.write(folder / "runs.csv", range(60))
    at = ("--repo", folder, "--store", folder / "store")
    assert call_testopt(*at, "ingest", "--format", "table", table).code == 0
    assert call_testopt(*at, "train").code == 0
    return folder


THREE_CASES = "def test_1(): pass\ndef test_2(): assert 0\ndef test_3(): pass"


class Real:
    """The real engine in a real repository, with pytest in a process of its own."""

    def __init__(self, path: Path, with_plugin: tuple[str, ...], git_here) -> None:
        self.path, self.args = path, with_plugin
        self.prefix: tuple[str, ...] = ()  # a command that runs the command behind it
        self.said: list[str] = []  # the lines of testopt in the last run
        path.mkdir()
        (path / "test_it.py").write_text(THREE_CASES)
        (self.path / ".gitignore").write_text("__pycache__/\n.pytest_cache/\n.testopt/\n")
        self.commit = git_here(self.path)

    def run(self, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        command = [*self.prefix, sys.executable, "-m", "pytest", "-v", *self.args, *args]
        return subprocess.run(
            command,
            cwd=self.path,
            env={**os.environ, "TESTOPT_ENGINE_TIMEOUT_S": "60", **env},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def order_and_line(self, *args: str, **env: str) -> tuple[list[str], str]:
        """Return the names of the cases in the order in which they ran, and the one line."""
        done = self.run(*args, **env)
        names = [x.split("::")[1][:6] for x in done.stdout.splitlines() if "%]" in x]
        assert done.returncode == 1, done.stdout + done.stderr
        self.said = [x for x in done.stdout.splitlines() if x.startswith("testopt: ")]
        return names, self.said[0]

    def line(self, *args: str, **env: str) -> str:
        """Return the line of a run in the original order."""
        names, line = self.order_and_line(*args, **env)
        assert names == ["test_1", "test_2", "test_3"], line
        assert self.said == [line]
        return line

    def learn(self) -> Path:
        """Make a store after which `rank` runs the second case first; return its folder."""
        store = new_store(self.path, ".testopt")
        cases = [f"test_it.py::test_{n}" for n in (1, 2, 3)]
        for hour in range(3):
            failing = cases[1:2] if hour else ()
            store.append_runs(
                [
                    make_record(
                        f"run-{hour}", cases, failing, hours=hour, seconds=0.01, commit=self.commit
                    )
                ]
            )
        return self.path / ".testopt"


@pytest.fixture
def real(tmp_path: Path, with_plugin, git_here) -> Real:
    """Return a repository of three cases, to run pytest in with the real engine."""
    return Real(tmp_path / "project", with_plugin, git_here)
