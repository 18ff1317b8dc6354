"""The identity of what was tested: equal trees are the same code, with the edits of no commit."""

import hashlib
import os
import subprocess
import time
from datetime import UTC, datetime

import pytest

from testopt.git import tested_tree as module
from testopt.git.tested_tree import read_tested_tree, tree_of
from testopt.store import Store
from testopt.store.same_code import same_code


@pytest.fixture
def repo(make_repo, no_ci):
    made = make_repo()
    made.commit("first", {
        "src/a.py": "x = 1\n", "src/b.py": "y = 1\n", "tests/test_a.py": "def test(): pass\n",
        "data.json": "{}\n", ".gitignore": "ignored.py\n", "sub/deep/c.py": "z = 1\n",
    })  # fmt: skip
    return made


def by_git(repo, folder):
    """Return the tree that git itself makes of the working tree."""
    # a new index: in a copy, edits of the last second that keep the size would not be seen
    env = {"GIT_INDEX_FILE": str(folder / "witness")}
    repo.git("add", "-A", env=env)
    return repo.git("write-tree", env=env)


def everything_of_git(repo):
    return {
        path.relative_to(repo.path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (repo.path / ".git").rglob("*")
        if path.is_file()
    }


EDITS = {
    "nothing": "true",
    "edited": "echo 'x = 2' > src/a.py",
    "touched": "touch -d '2020-01-01' src/a.py",
    "staged": "echo 'x = 2' > src/a.py; git add src/a.py",
    "staged and edited again": "echo 'x = 2' > src/a.py; git add src/a.py; echo 'x = 3' > src/a.py",
    "staged and undone": "echo 'x = 2' > src/a.py; git add src/a.py; echo 'x = 1' > src/a.py",
    "untracked": "echo new > src/new.py",
    "untracked data": "echo '[]' > more.json",
    "ignored": "echo new > ignored.py",
    "deleted": "rm src/a.py",
    "no longer known": "git rm -q --cached src/a.py",
    "renamed": "git mv src/a.py src/z.py",
    "executable": "chmod +x src/a.py",
    "a link": "ln -s a.py src/link.py",
    "a link that was a file": "rm src/a.py; ln -s b.py src/a.py",
    "a folder that was a file": "rm src/a.py; mkdir src/a.py; echo 1 > src/a.py/d.py",
    "a file that was a folder": "rm -r sub; echo 1 > sub; git add -A",
    "odd names": "echo 1 > $'src/t\\tab \"q\".py'; echo 1 > src/ü.py",
    "empty": ": > src/a.py",
    "binary": "printf 'a\\0b' > src/a.py",
}


@pytest.mark.parametrize("edit", EDITS)
def test_it_is_the_tree_that_git_would_make(repo, tmp_path, edit):
    subprocess.run(["bash", "-c", EDITS[edit]], cwd=repo.path, check=True)
    before = everything_of_git(repo)
    found = read_tested_tree(repo.path)
    assert everything_of_git(repo) == before
    assert found.tree == by_git(repo, tmp_path)
    assert found.is_edited == (found.tree != repo.git("rev-parse", "HEAD^{tree}"))


def test_the_same_edit_committed_is_the_same_code(repo):
    repo.write("src/a.py", "x = 2\n")
    repo.write("src/new.py", "n = 1\n")
    edited = read_tested_tree(repo.path)
    repo.commit("so")
    clean = read_tested_tree(repo.path)
    assert (edited.tree, edited.is_edited, clean.is_edited) == (clean.tree, True, False)


def test_in_a_linked_worktree(repo, tmp_path):
    repo.git("worktree", "add", "-q", str(tmp_path / "other"))
    (tmp_path / "other" / "src" / "a.py").write_text("x = 2\n")
    assert not read_tested_tree(repo.path).is_edited
    assert read_tested_tree(tmp_path / "other").is_edited


def test_output_of_tools_is_not_what_is_tested(repo):
    clean = read_tested_tree(repo.path).tree
    for name in ("junit.xml", "test-results/last.json", "coverage.json", "build/x.json",
                 ".coverage", "htmlcov/index.html", "out.log", "__pycache__/a.pyc",
                 "notes.md"):  # fmt: skip
        repo.write(name, str(time.time_ns()))
    assert read_tested_tree(repo.path).tree == clean


def test_no_program_of_the_repository_is_run(repo, tmp_path):
    trap = tmp_path / "trap.sh"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/run\ncat\n")
    trap.chmod(0o755)
    repo.write(".gitattributes", "*.py filter=evil diff=evil\n")
    repo.commit("attributes")
    for key in ("filter.evil.clean", "filter.evil.smudge", "filter.evil.process",
                "diff.evil.textconv", "diff.evil.command", "diff.external",
                "core.fsmonitor"):  # fmt: skip
        repo.git("config", key, str(trap))
    repo.git("config", "filter.evil.required", "true")
    for hook in ("post-index-change", "pre-commit", "post-checkout"):
        (repo.path / ".git" / "hooks" / hook).write_text(trap.read_text())
        (repo.path / ".git" / "hooks" / hook).chmod(0o755)
    (tmp_path / "run").unlink(missing_ok=True)
    repo.write("src/a.py", "x = 2\n")
    found = read_tested_tree(repo.path, base=repo.git("rev-parse", "HEAD"))
    assert found.is_edited
    assert "+x = 2" in found.patches["src/a.py"]
    assert not (tmp_path / "run").exists()


def test_filters_of_odd_names_are_not_run(repo, tmp_path):
    repo.write(".gitattributes", "*.py filter=a'b\n")
    repo.commit("attributes")
    for driver in ("a'b", "a=b", "a!b", "a b"):
        repo.git("config", f"filter.{driver}.clean", f"touch {tmp_path}/run; cat")
        repo.git("config", f"filter.{driver}.required", "true")
        repo.write(".git/info/attributes", f'*.py "filter={driver}"\n')
    repo.write("src/a.py", "x = 2\n")
    assert read_tested_tree(repo.path).is_edited
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("setting", [
    "core.splitIndex", "core.untrackedCache", "index.sparse", "core.autocrlf", "diff.noprefix",
    "core.quotePath", "core.fileMode",
])  # fmt: skip
def test_settings_of_the_user_change_nothing(repo, setting):
    repo.write("src/a.py", "x = 2\n")
    head = repo.git("rev-parse", "HEAD")
    plain = read_tested_tree(repo.path, base=head)
    repo.git("config", setting, "true")
    before = everything_of_git(repo)
    assert read_tested_tree(repo.path, base=head) == plain
    assert everything_of_git(repo) == before


def test_what_is_too_much_is_not_known(repo, monkeypatch):
    repo.write("src/a.py", "x = 2\n")
    monkeypatch.setattr(module, "MAX_FILES", 0)
    assert read_tested_tree(repo.path).tree is None
    monkeypatch.setattr(module, "MAX_FILES", 9)
    monkeypatch.setattr(module, "MAX_BYTES", 3)
    assert read_tested_tree(repo.path).tree is None


def test_where_there_is_no_tree(tmp_path, make_repo):
    assert read_tested_tree(tmp_path).tree is None
    assert read_tested_tree(make_repo("empty").path).tree is None
    assert tree_of(make_repo("empty").path, "--output=x") is None
    bare = make_repo("full")
    bare.commit("one", {"a.py": "x"})
    bare.git("clone", "-q", "--bare", str(bare.path), str(tmp_path / "bare"))
    assert not read_tested_tree(tmp_path / "bare").is_edited


def test_text_of_the_change_is_bounded(repo, monkeypatch):
    repo.write("src/a.py", "x = 2\n" * 20_000)
    repo.write("src/b.py", "y = 2\n")
    repo.write("src/new.py", "é = 1\n")
    repo.write("src/odd.py", b"\xff = 1\n")
    head = repo.git("rev-parse", "HEAD")
    found = read_tested_tree(repo.path, base=head)
    assert sorted(found.patches) == ["src/b.py", "src/new.py", "src/odd.py"]
    assert found.patches["src/odd.py"].endswith("+\N{REPLACEMENT CHARACTER} = 1\n")
    assert found.patches["src/b.py"].endswith("@@ -1 +1 @@\n-y = 1\n+y = 2\n")
    monkeypatch.setattr(module, "MAX_PATCHES", 200)
    assert len(read_tested_tree(repo.path, base=head).patches) == 1


JUNIT = (
    '<testsuite name="s" timestamp="{}"><testcase classname="tests.test_a" name="test">{}'
    "</testcase></testsuite>"
)


class TestIngest:
    @pytest.fixture
    def ingest(self, repo, testopt, tmp_path):
        def call(outcome, *args):
            report = tmp_path / "reports" / f"{time.time_ns()}.xml"
            report.parent.mkdir(exist_ok=True)
            report.write_text(
                JUNIT.format(
                    datetime.now(UTC).isoformat(), "<failure/>" if outcome == "failed" else ""
                )
            )
            at = ("--repo", repo.path, "--store", tmp_path / "store", "ingest", "--json", report)
            done = testopt(*at, *args)
            assert done.code == 0, done.err
            (run,) = done.document["runs"]
            store = Store.open(str(tmp_path / "store"))
            where = [("run_id", "=", run)]
            return store.read("runs", where=where).to_pylist()[0], store.read(
                "run_changes", where=where
            ).to_pylist()

        return call

    @pytest.fixture
    def why(self, repo, testopt, tmp_path):
        at = ("--repo", repo.path, "--store", tmp_path / "store", "why", "tests/test_a.py::test")
        return lambda: testopt(*at).out

    def test_edits_are_other_code(self, repo, ingest, why):
        clean, _ = ingest("passed")
        assert clean["tree"] == repo.git("rev-parse", "HEAD^{tree}")
        repo.write("src/a.py", "x = 2\n")
        edited, changes = ingest("failed")
        assert edited["commit"] == clean["commit"] == edited["base"]
        assert edited["tree"] not in {None, "", clean["tree"]}
        assert "perhaps flaky" not in why()
        assert [(c["path"], "+x = 2" in c["patch"]) for c in changes] == [("src/a.py", True)]
        ingest("passed")  # the same edit
        assert "perhaps flaky" in why()

    def test_another_commit_with_the_same_tree_is_the_same_code(self, repo, ingest, why):
        ingest("passed")
        repo.commit("nothing")
        ingest("failed")
        assert "perhaps flaky" in why()

    def test_what_was_edited_later_was_not_tested(self, repo, ingest, why, tmp_path):
        ingest("passed")
        repo.write("src/a.py", "x = 2\n")
        later = time.time() + 3600
        os.utime(repo.path / "src" / "a.py", (later, later))
        run, _ = ingest("failed")
        assert run["tree"] == ""
        assert "perhaps flaky" not in why()

    def test_results_of_a_named_commit(self, repo, ingest):
        first = repo.git("rev-parse", "HEAD")
        tree = repo.git("rev-parse", "HEAD^{tree}")
        repo.commit("second", {"src/a.py": "x = 3\n"})
        repo.write("src/b.py", "edited\n")
        run, _ = ingest("passed", "--commit", first)
        assert (run["commit"], run["tree"]) == (first, tree)


def test_pytest_records_the_tree_and_the_text(real):
    """The plugin, in a process of its own."""
    real.run("--testopt=record")
    (real.path / "test_it.py").write_text("def test_2(): assert 2\n")
    (real.path / "new.py").write_text("x = 1\n")
    real.run("--testopt=record")
    real.run("--testopt=rank")
    store = Store.open(str(real.path / ".testopt"))
    clean, edited, again = sorted(store.read("runs").to_pylist(), key=lambda run: run["time"])
    assert None not in {clean["tree"], edited["tree"]}
    assert clean["tree"] != edited["tree"] == again["tree"]
    rows = store.read("run_changes", where=[("run_id", "=", edited["run_id"])]).to_pylist()
    assert {row["path"]: "+x = 1" in row["patch"] for row in rows} == {
        "new.py": True, "test_it.py": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("trees", "commits", "edited", "same"),
    [
        ("ab", "cc", "00", "ab"),
        ([None, None], "cc", "00", "cc"),
        (["t", None], "cc", "00", "tt"),  # a row of format 1 of a commit whose tree is known
        (["t", None], "cc", "10", "tc"),
        (["t", "u", None], "ccc", "000", "tuc"),
        ([None, ""], "cc", "10", [None, None]),
        ([None], [None], "0", [None]),
    ],
)
def test_same_code(trees, commits, edited, same):
    assert same_code(list(trees), list(commits), [e == "1" for e in edited]) == list(same)
