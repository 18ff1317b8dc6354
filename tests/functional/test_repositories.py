"""mine and szz over many repositories, each with a store of its own."""

import json

import pytest

from testopt.store import Store

pytestmark = pytest.mark.integration


@pytest.fixture
def listed(tmp_path, make_repo):
    """Return a list of two repositories, and their folders."""
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        repo = make_repo(folder.name)
        repo.commit("Begin", {"a.py": "x = 1\ny = 2\n"})
        repo.commit("Fix a crash in y", {"a.py": f"x = 1\ny = '{folder.name}'\n"})
    file = tmp_path / "list.txt"
    file.write_text("".join(f"{folder}\n" for folder in folders))
    return file, folders


def commits(url):
    return sorted(Store.open(str(url)).read("commits")["sha"].to_pylist())


def test_each_is_mined_into_its_own_store(testopt, listed, tmp_path):
    file, folders = listed
    done = testopt("mine", "--repositories", file)
    assert done.code == 0, done.err
    assert done.out.splitlines() == [
        f"{folder}: 2 new commits with 2 file changes (0 commits were known)" for folder in folders
    ]
    for folder in folders:
        alone = tmp_path / f"{folder.name}-alone"
        assert testopt("--repo", folder, "--store", alone, "mine").code == 0
        assert commits(folder / ".testopt") == commits(alone)
    traced = testopt("szz", "--repositories", file, "--json")
    assert [one["found"] for one in json.loads(traced.out)["repositories"]] == [1, 1]


def test_with_a_store_named_each_has_a_folder_there(testopt, listed, tmp_path):
    file, folders = listed
    done = testopt("--store", tmp_path / "stores", "mine", "--repositories", file, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)["repositories"]
    assert [one["store"] for one in found] == [str(tmp_path / "stores" / f.name) for f in folders]
    assert all(len(commits(one["store"])) == one["commits"] == 2 for one in found)
    assert not (folders[0] / ".testopt").exists()


@pytest.mark.parametrize("by_option", [True, False])
def test_a_store_by_project_is_the_one_that_each_finds_alone(
    testopt, listed, tmp_path, monkeypatch, by_option
):
    file, folders = listed
    for folder in folders:
        config = folder / ".git" / "config"
        url = f"https://example.org/Acme/{folder.name}.git"
        config.write_text(f'{config.read_text()}[remote "origin"]\n\turl = {url}\n')
    stores = str(tmp_path / "stores" / "{project}")
    if not by_option:
        monkeypatch.setenv("TESTOPT_STORE", stores)
    options = ["--store", stores] if by_option else []
    done = testopt(*options, "mine", "--repositories", file)
    assert done.code == 0, done.err
    for folder in folders:
        assert len(commits(tmp_path / "stores" / f"acme.{folder.name}")) == 2


def test_one_that_fails_does_not_stop_the_others(testopt, listed, make_repo, tmp_path):
    file, folders = listed
    make_repo("empty")
    file.write_text(f"{tmp_path / 'empty'}\n{file.read_text()}")
    done = testopt("mine", "--repositories", file)
    assert done.code == 3
    assert f"{tmp_path / 'empty'}: error:" in done.err
    assert "1 of 3 repositories failed" in done.err
    assert all(len(commits(folder / ".testopt")) == 2 for folder in folders)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no path of a repository"),
        ("{0}\n{0}\n", "would share the store"),
        (None, "cannot be read"),
    ],
)
def test_a_list_that_is_none(testopt, listed, text, says):
    file, folders = listed
    if text is None:
        file.unlink()
    else:
        file.write_text(text.format(*folders))
    done = testopt("mine", "--repositories", file)
    assert done.code == 2
    assert says in done.err


def test_a_scheduler_needs_a_list(testopt, listed):
    for command in ("mine", "szz"):
        done = testopt("--repo", listed[1][0], command, "--scheduler", "local:2")
        assert done.code == 2
        assert "--repositories FILE" in done.err


def test_szz_over_many_takes_no_list_of_fixes(testopt, listed):
    done = testopt("szz", "--repositories", listed[0], "--no-store")
    assert done.code == 2
    assert "--no-store" in done.err
