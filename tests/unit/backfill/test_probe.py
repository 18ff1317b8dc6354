"""When the probe measures coverage, and what it says where it cannot."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from testopt.backfill import probe

if TYPE_CHECKING:
    from pathlib import Path


class Config:
    """As much of pytest's configuration as the probe asks for."""

    def __init__(self, **known: object) -> None:
        self.known_args_namespace = SimpleNamespace(**known)
        self.pluginmanager = self
        self.registered: list[object] = []

    def register(self, plugin: object, _name: str) -> None:
        self.registered.append(plugin)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(probe.COVERAGE, str(tmp_path))
    monkeypatch.setenv(probe.TREE, str(tmp_path))
    monkeypatch.setattr(sys, "gettrace", lambda: None)
    return tmp_path


def _why_not(folder: Path, config: Config) -> str:
    with pytest.raises(SystemExit):  # the run is for nothing else
        probe.pytest_load_initial_conftests(config)
    assert config.registered == []
    return (folder / probe.WHY_NOT).read_text()


def test_nothing_is_measured_unless_asked_for(folder, monkeypatch) -> None:
    monkeypatch.delenv(probe.COVERAGE)
    config = Config()
    probe.pytest_load_initial_conftests(config)
    assert config.registered == []
    assert list(folder.iterdir()) == []


def test_a_suite_that_measures_itself_is_left_alone(folder) -> None:
    assert "measures coverage itself" in _why_not(folder, Config(cov_source=["src"]))


def test_a_debugger_is_left_alone(folder, monkeypatch) -> None:
    monkeypatch.setattr(sys, "gettrace", lambda: print)
    assert "measures coverage itself" in _why_not(folder, Config())


def test_a_python_without_the_package_is_named(folder, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "coverage", None)
    assert "has no package coverage" in _why_not(folder, Config())


def test_whatever_coverage_dislikes_is_named(folder, monkeypatch) -> None:
    def dislike(**_: object) -> None:
        raise RuntimeError("no tracer")

    monkeypatch.setitem(sys.modules, "coverage", SimpleNamespace(Coverage=dislike))
    assert "did not start: RuntimeError('no tracer')" in _why_not(folder, Config())
