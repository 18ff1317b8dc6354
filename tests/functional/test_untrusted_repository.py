"""What a repository from elsewhere may not do: choose the store, hang a command, lead astray."""

from __future__ import annotations

import json
import subprocess

import pytest
from click.testing import CliRunner

from testopt.cli import cli

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("no_ci")]


@pytest.fixture
def repo(make_repo, monkeypatch):
    made = make_repo()
    made.write("a.py", "x = 1\n")
    made.commit("a" * 40 + "!")
    monkeypatch.chdir(made.path)
    return made.path


def run(*args):
    return CliRunner().invoke(cli, args)


@pytest.mark.parametrize("store", ["../elsewhere", "/tmp/elsewhere", "s3://bucket/x", "sub/../.."])
def test_its_settings_choose_no_store_outside_of_it(repo, store):
    (repo / "pyproject.toml").write_text(f'[tool.testopt]\nstore = "{store}"\n')
    result = run("mine")
    assert "lies outside of the repository" in result.exception.message
    assert "TESTOPT_STORE=" in result.exception.hint
    assert result.exception.exit_code == 2
    assert not (repo.parent / "elsewhere").exists()


def test_its_settings_may_choose_a_folder_in_it_and_the_user_any(repo, tmp_path, monkeypatch):
    (repo / "pyproject.toml").write_text('[tool.testopt]\nstore = "build/testopt"\n')
    assert run("mine").exit_code == 0
    assert (repo / "build" / "testopt" / "commits").is_dir()
    monkeypatch.setenv("TESTOPT_STORE", str(tmp_path / "mine"))
    assert run("mine").exit_code == 0
    assert (tmp_path / "mine" / "commits").is_dir()


def test_a_link_named_as_the_store_is_not_followed(repo, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (repo / ".testopt").symlink_to(tmp_path / "elsewhere")
    assert "lies outside of the repository" in run("mine").exception.message
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_regular_expression_of_its_own_is_stopped(repo, monkeypatch):
    monkeypatch.setattr("testopt.git.subjects.PATTERN_S", 0.3)
    (repo / "pyproject.toml").write_text('[tool.testopt]\nfix_pattern = "(a+)+$"\n')
    assert run("mine").exception.message == "fix_pattern '(a+)+$' takes longer than 0.3 s"


@pytest.mark.parametrize("value", ["1e400", "nan", "-inf"])
def test_a_time_limit_is_a_number(repo, value):
    (repo / "pyproject.toml").write_text(f"[tool.testopt]\nengine_timeout_s = {value}\n")
    assert "setting 'engine_timeout_s'" in run("mine").exception.message


def test_of_a_shared_store_it_does_not_choose_the_project(repo, tmp_path, monkeypatch):
    monkeypatch.setenv("TESTOPT_STORE", str(tmp_path / "shared" / "{project}"))
    assert "no remote origin tells which project" in run("mine").exception.message
    git = ["git", "-C", str(repo), "remote", "add", "origin", "https://u:secret@host/Us/App.git"]
    subprocess.run(git, check=True)
    assert run("mine").exit_code == 0
    assert (tmp_path / "shared" / "us.app" / "commits").is_dir()
    assert "us.app  project us.app  format" in run("store", "info").stdout
    assert json.loads(run("doctor", "--json").stdout)["project"] == "us.app"
    (repo / "pyproject.toml").write_text('[tool.testopt]\nproject = "other"\n')
    assert "may be another's" in run("mine").exception.message
    assert run("--project", "mine", "mine").exit_code == 0
    assert {path.name for path in (tmp_path / "shared").iterdir()} == {"us.app", "mine"}
