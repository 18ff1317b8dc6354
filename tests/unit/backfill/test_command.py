"""The test command: placeholders, pytest's options, environment, digest."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from testopt.backfill.command import Command, CommandPaths

PLACES = CommandPaths(Path("/w/tree"), Path("/w/results"), Path("/w/tmp"), Path("/w/probe"))


def test_default_is_pytest_of_this_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    words = Command().arguments(PLACES)
    assert words[:3] == [sys.executable, "-m", "pytest"]
    assert "--junitxml=/w/results/junit.xml" in words
    assert words[-1] == "-q"


def test_active_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path))
    assert Command().program[0] == str(tmp_path / "bin" / "python")


@pytest.mark.parametrize(
    "words",
    [
        ("pytest", "-k", "a"),
        ("/x/bin/py.test",),
        ("uv", "run", "pytest", "tests"),
        ("coverage", "run", "-m", "pytest"),
    ],
)
def test_pytest_is_seen(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    command = Command(words)
    assert command.is_pytest
    arguments = command.arguments(PLACES)
    at = arguments.index("--rootdir=/w/tree")
    assert Path(arguments[at - 5]).name in ("pytest", "py.test")
    assert "PYTEST_ADDOPTS" not in command.environment(PLACES, roots=[], names=[])


@pytest.mark.parametrize("words", [("tox", "-e", "pytest"), ("make", "test"), ("nox", "-s", "x")])
def test_other_commands_are_left_as_they_are(words: tuple[str, ...]) -> None:
    command = Command(words)
    assert command.arguments(PLACES) == list(words)
    assert "-p testopt_probe" in command.environment(PLACES, roots=[], names=[])["PYTEST_ADDOPTS"]


def test_own_junit_file_of_pytest_is_respected() -> None:
    words = Command(("pytest", "--junitxml={junit}")).arguments(PLACES)
    assert [w for w in words if "junitxml" in w] == ["--junitxml=/w/results/junit.xml"]


def test_placeholders() -> None:
    words = Command(("run", "--out={junit}", "{junit_dir}")).arguments(PLACES)
    assert words == ["run", "--out=/w/results/junit.xml", "/w/results"]


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TESTOPT_STORE", "GIT_DIR", "PYTEST_XDIST_WORKER", "PYTEST_CURRENT_TEST"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("PYTHONPATH", "/theirs")
    monkeypatch.setenv("KEPT", "1")
    env = Command().environment(PLACES, roots=[Path("/w/tree/src"), Path("/w/tree")], names=["a"])
    assert env["PYTHONPATH"] == "/w/tree/src:/w/tree:/w/probe:/theirs"
    assert env["TESTOPT_JUNIT"] == "/w/results/junit.xml"
    assert env["TMPDIR"] == "/w/tmp"
    assert env["KEPT"] == "1"
    assert not {"TESTOPT_STORE", "GIT_DIR", "PYTEST_XDIST_WORKER", "PYTEST_CURRENT_TEST"} & set(env)


def test_digest_names_the_command_not_the_place() -> None:
    assert Command(("/a/bin/pytest", "-q")).digest == Command(("/b/bin/pytest", "-q")).digest
    others = [Command(), Command(("pytest",)), Command(("pytest", "-q")), Command((), ("make",))]
    assert len({command.digest for command in others}) == 4
