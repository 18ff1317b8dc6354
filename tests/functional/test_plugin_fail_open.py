"""Whatever happens to the engine: every test runs in the original order, and one line says why."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

SUITE = "def test_1(): pass\ndef test_2(): assert 0\ndef test_3(): pass"


def lines_of(result) -> list[str]:
    return [line for line in result.outlines if line.startswith("testopt: ")]


@pytest.fixture
def suite(pytester, with_plugin, monkeypatch):
    """Run the suite and check that its outcome is that of a run without testopt."""
    pytester.makepyfile(test_it=SUITE)
    monkeypatch.setenv("TESTOPT_ENGINE_TIMEOUT_S", "20")

    def go(*args: str, mode: str = "rank"):
        result = pytester.runpytest_inprocess(*with_plugin, "-v", f"--testopt={mode}", *args)
        names = [line.split("::")[1][:6] for line in result.outlines if "%]" in line]
        assert names == ["test_1", "test_2", "test_3"]
        result.assert_outcomes(passed=2, failed=1)
        assert result.ret == 1
        assert len(lines_of(result)) == 1
        return lines_of(result)[0]

    return go


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("die", "the engine died: last ?x1b[31m words"),
        ("kill", "the engine died"),
        ("garbage", "the engine's answer is not JSON"),
        ("other", "the engine answers something else"),
        ("list", "the engine answers something else"),
        ("fault", "bad ?x1b[2J luck"),
    ],
)
@pytest.mark.parametrize("at", ["start", "plan", "end"])
def test_the_engine_breaks_at_a_step(suite, fake_engine, how, at, why):
    if at == "start" and how not in {"die", "kill"}:
        pytest.skip("a start has no answer")
    fake_engine(how, at)
    line = suite().replace("\\", "?")
    assert why in line
    if at == "end":
        # the order that the fake engine gives is the original one
        assert line.startswith("testopt: fake order; not recorded: ")
    else:
        assert line.startswith("testopt: original order")


@pytest.mark.parametrize("at", ["plan", "results", "end"])
@pytest.mark.parametrize("how", ["hang", "deaf"])
def test_the_engine_hangs(suite, fake_engine, monkeypatch, how, at):
    monkeypatch.setenv("TESTOPT_ENGINE_TIMEOUT_S", "0.5")
    fake_engine(how, at)
    began = time.monotonic()
    line = suite()
    assert "did not answer in 0.5 s" in line
    assert time.monotonic() - began < 15


@pytest.fixture
def waits(monkeypatch):
    """What the plugin asks, and how long it waits for it at most."""
    client = import_module("testopt.pytest_plugin.client").Client
    asked, ask = [], client.ask

    def spy(self, message, timeout):
        asked.append((message["op"], timeout))
        return ask(self, message, timeout)

    monkeypatch.setattr(client, "ask", spy)
    monkeypatch.setattr(import_module("testopt.pytest_plugin.session"), "_LATE_S", 0.2)
    monkeypatch.setenv("TESTOPT_ENGINE_TIMEOUT_S", "0.5")
    return asked


LATE = "testopt: original order, not recorded: the engine did not answer in 0.5 s"


@pytest.mark.parametrize(("args", "op"), [((), "plan"), (("-n", "1"), "known")])
def test_an_engine_that_hangs_is_waited_for_once(
    pytester, with_plugin, monkeypatch, waits, args, op
):
    if args:
        pytest.importorskip("xdist")
    pytester.makepyfile(test_it=SUITE)
    monkeypatch.setenv("TESTOPT_COMMAND", "sleep 600")
    result = pytester.runpytest_inprocess(*with_plugin, "--testopt=rank", *args)
    result.assert_outcomes(passed=2, failed=1)
    assert lines_of(result) == [LATE]
    assert waits == [(op, 0.5), ("end", 0.2)]


def test_an_engine_that_hangs_as_it_starts_is_not_started_again(suite, monkeypatch, waits):
    client = import_module("testopt.pytest_plugin.client")
    monkeypatch.setattr(client, "engine_command", lambda: ["sleep", "600"])
    assert suite() == LATE
    assert waits == [("plan", 0.5)]


def test_a_store_with_a_pipe_in_it_hangs_nothing(real):
    real.learn()
    form = real.path / ".testopt" / "format.json"
    form.unlink()
    os.mkfifo(form)
    line = real.line("--testopt=rank", "--testopt-engine-timeout-s=30")
    assert "original order, not recorded: " in line
    assert "is not a file but a pipe" in line
    assert engines_of(real.path) == []


def test_the_engine_hangs_with_a_full_pipe(pytester, with_plugin, fake_engine, monkeypatch):
    monkeypatch.setenv("TESTOPT_ENGINE_TIMEOUT_S", "0.5")
    pytester.makepyfile(
        "import pytest\n@pytest.mark.parametrize('x', ['y' * 2000 + str(i) for i in range(300)])\n"
        "def test_1(x): pass"
    )
    fake_engine("hang", "start")
    result = pytester.runpytest_inprocess(*with_plugin, "--testopt=rank")
    result.assert_outcomes(passed=300)
    assert lines_of(result) == [LATE]


def test_the_engine_never_ends_its_answer(suite, fake_engine, monkeypatch):
    # by name: the runs under test import the plugin anew
    client = import_module("testopt.pytest_plugin.client")
    monkeypatch.setattr(client, "_ANSWER_LIMIT", 1 << 22)
    fake_engine("flood", "plan")
    assert "original order: the engine's answer does not end" in suite()


@pytest.mark.parametrize("how", ["short", "double", "text", "floats", "huge", "null"])
def test_the_answer_is_no_permutation(suite, fake_engine, how):
    fake_engine(how)
    assert "original order: the engine's order is not one of the cases; fake record" in suite()


def test_the_engine_is_missing(suite, monkeypatch):
    monkeypatch.setenv("TESTOPT_COMMAND", "/nonexistent/engine --fast")
    assert suite().startswith("testopt: inactive: the engine does not start: ")


@pytest.mark.parametrize("mode", ["record", "rank", "select"])
def test_windows(suite, pytester, monkeypatch, mode):
    monkeypatch.setattr(sys, "platform", sys.platform)  # to be what it was, whatever happens
    pytester.makeconftest(f"""
        import sys
        sys.platform = "win32"  # while plugins are configured; pytest's own capture is set up
        def pytest_collection():
            sys.platform = {sys.platform!r}
    """)
    assert suite(mode=mode) == "testopt: inactive: testopt does not run on Windows"


def test_the_command_cannot_be_parsed(suite, monkeypatch):
    monkeypatch.setenv("TESTOPT_COMMAND", "engine 'unclosed")
    assert suite().startswith("testopt: inactive: cannot use a setting: ")


def test_the_plugin_itself_fails(suite, fake_engine, monkeypatch):
    apply = import_module("testopt.pytest_plugin.apply")

    def broken(*_):
        raise ZeroDivisionError("by chance")

    fake_engine("reverse")
    monkeypatch.setattr(apply, "arrange", broken)
    assert suite() == "testopt: fake order; original order: by chance; fake record"


def test_a_broken_engine_is_replaced_to_record(suite, fake_engine):
    log = fake_engine("kill", "plan")
    assert "fake record" in suite()
    requests = [json.loads(line) for line in log.read_text().splitlines()]
    assert [r["op"] for r in requests] == ["start", "plan", "start", "results", "end"]
    assert [r["mode"] for r in requests if r["op"] == "start"] == ["rank", "record"]


def test_without_a_terminal_plugin(pytester, with_plugin, fake_engine):
    pytester.makepyfile(test_it=SUITE)
    log = fake_engine("reverse")
    result = pytester.runpytest_inprocess(*with_plugin, "-p", "no:terminal", "--testopt=rank")
    assert result.ret == 1
    assert '"op":"end"' in log.read_text()


def test_without_a_cache_provider(suite, fake_engine):
    fake_engine("null")
    assert "original order" in suite("-p", "no:cacheprovider")


def test_the_folder_cannot_be_written_to(real):
    (real.path / ".testopt").write_text("a file where the store should be")
    line = real.line("--testopt=rank")
    assert "original order: " in line
    assert "not recorded" in line


def test_modules_in_the_working_folder_do_not_shadow_the_engines(real):
    for name in ("numpy", "pyarrow", "deltalake", "json", "select", "sitecustomize"):
        (real.path / f"{name}.py").write_text("raise SystemExit('the wrong module')")
    env = {"PYTHONSTARTUP": "nothing.py", "COV_CORE_SOURCE": "x", "PYTHONWARNINGS": "error"}
    log = real.path / "log"
    script = "import testopt.engine, sys; sys.exit(0)"
    from testopt.pytest_plugin.client import engine_environment

    clean = engine_environment({**os.environ, **env, "PYTHONPATH": str(real.path)}, own=True)
    assert not set(env) & set(clean)
    done = subprocess.run(
        [sys.executable, "-P", "-c", script],
        cwd=real.path,
        env=clean,
        check=False,
        stderr=log.open("w"),
    )
    assert done.returncode == 0, log.read_text()


def test_a_crash_of_pytest_records_nothing_and_leaves_no_engine(real):
    (real.path / "test_it.py").write_text(
        "import os, time\ndef test_1(): pass\ndef test_2():\n time.sleep(1)\n os._exit(7)"
    )
    done = real.run("--testopt=record")
    assert done.returncode == 7
    assert not (real.path / ".testopt").exists()
    assert engines_of(real.path) == []


def test_tests_that_fork_or_wait_for_any_child_meet_no_engine(real):
    (real.path / "test_it.py").write_text(
        "import os, threading, pytest\n"
        "def test_1():\n with pytest.raises(ChildProcessError):\n  os.wait()\n"
        "def test_2(): assert threading.active_count() == 1\n"
        "def test_3():\n"
        " if os.fork() == 0:\n  raise SystemExit\n"
        " os.wait()\n"
    )
    done = real.run("--testopt=record")
    assert "3 passed" in done.stdout
    assert "results recorded in .testopt" in done.stdout


def test_sigpipe_with_its_default_action(suite, fake_engine):
    fake_engine("die", "plan")
    usual = signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        assert "the engine died" in suite()
        assert signal.getsignal(signal.SIGPIPE) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGPIPE, usual)


def engines_of(folder: Path) -> list[str]:
    """Engine processes that were started in a folder and are still there a moment later."""
    for _ in range(50):
        found = [p for p in Path("/proc").glob("[0-9]*") if _is_engine(p, folder)]
        if not found:
            return []
        time.sleep(0.2)
    return [str(p) for p in found]


def _is_engine(process: Path, folder: Path) -> bool:
    try:
        return b"testopt.engine" in (process / "cmdline").read_bytes() and (
            (process / "cwd").resolve() == folder.resolve()
        )
    except OSError:
        return False
