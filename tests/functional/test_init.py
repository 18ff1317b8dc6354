"""`testopt init` in real repositories."""

from __future__ import annotations

import subprocess

import pytest

from testopt.errors import SettingsError
from testopt.settings import Settings

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("no_ci")]

FILES = {
    "pyproject.toml": "[tool.pytest.ini_options]\ntestpaths = ['tests']\n",
    "tests/test_a.py": "def test_a(): pass\n",
    ".github/workflows/ci.yml": "run: pytest\n",
}


@pytest.fixture
def repo(make_repo):
    made = make_repo()
    made.commit(files=FILES)
    return made


def test_it_writes_the_table_and_says_what_comes_next(repo, testopt):
    dry = testopt("--repo", repo.path, "init", "--dry-run")
    assert repo.git("status", "--short") == ""
    done = testopt("--repo", repo.path, "init")
    assert (dry.code, done.code) == (0, 0)
    assert dry.out.replace("for pyproject", "written to pyproject") == done.out
    text = (repo.path / "pyproject.toml").read_text()
    assert text.startswith(FILES["pyproject.toml"])
    assert "[tool.testopt]" in text
    assert done.out.endswith(
        "next:\n  pytest --testopt=record\n  testopt mine\n  pytest --testopt=rank\n"
    )
    again = testopt("--repo", repo.path, "init", "--json")
    assert again.document["settings"]["written"] is False
    assert again.document["default_branch"] == "main"
    assert (repo.path / "pyproject.toml").read_text() == text


def test_broken_toml_stops_and_changes_nothing(repo, testopt):
    (repo.path / "pyproject.toml").write_text("[tool\n")
    done = testopt("--repo", repo.path, "init")
    assert done.code == 3
    assert "is not valid TOML" in done.err
    assert (repo.path / "pyproject.toml").read_text() == "[tool\n"
    assert not (repo.path / "testopt.toml").exists()


def test_outside_of_git_it_says_so(tmp_path, testopt):
    (tmp_path / "test_a.py").write_text("def test_a(): pass\n")
    done = testopt("--repo", tmp_path, "init")
    assert done.code == 0
    assert "not in a git repository" in done.err
    assert (tmp_path / "testopt.toml").is_file()


def test_a_bare_repository_is_looked_at_only(repo, testopt, tmp_path):
    bare = tmp_path / "bare.git"
    subprocess.run(["git", "clone", "-q", "--bare", repo.path, bare], check=True)
    done = testopt("--repo", bare, "init", "--json")
    assert done.code == 3
    assert "bare repository" in done.err
    assert [runner["name"] for runner in done.document["runners"]] == ["pytest"]
    assert not done.document["settings"]["written"]
    assert testopt("--repo", bare, "init", "--dry-run").code == 0


def test_what_cannot_be_written_is_shown(repo, testopt, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("testopt.init.settings_file.mkstemp", refuse)
    done = testopt("--repo", repo.path, "init")
    assert done.code == 3
    assert "cannot be written: Permission denied" in done.err
    assert "pytest --testopt=record" in done.out
    assert repo.git("status", "--short") == ""


def test_settings_stand_in_one_file(repo, testopt):
    (repo.path / "testopt.toml").write_text("recall = '90%'\n")
    assert Settings.load(repo.path, env={}).recall == pytest.approx(0.9)
    assert Settings.load(repo.path, env={}).origin["recall"] == "testopt.toml"
    assert testopt("--repo", repo.path, "init").out.count("it stays as it is") == 1
    (repo.path / "pyproject.toml").write_text("[tool.testopt]\nrecall = 0.8\n")
    with pytest.raises(SettingsError, match=r"both testopt\.toml and "):
        Settings.load(repo.path, env={})


def test_pytest_reads_its_mode_from_testopt_toml(real):
    (real.path / "testopt.toml").write_text('mode = "record"\n')
    real.run()
    assert (real.path / ".testopt").is_dir()
