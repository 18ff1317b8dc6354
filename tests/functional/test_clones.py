"""Clones that lack something: content, history, submodules, git-lfs; all made over file://."""

from __future__ import annotations

import hashlib
import subprocess
from contextlib import suppress

import pytest

from testopt.errors import RepositoryError
from testopt.git.change import find_change
from testopt.git.log import list_commits, read_history
from testopt.git.objects import Objects
from testopt.store import Store

pytestmark = pytest.mark.usefixtures("no_ci")
BODY = "".join(f"step_{i} = {i}\n" for i in range(40))


@pytest.fixture
def repo(make_repo):
    made = make_repo()
    made.git("config", "uploadpack.allowFilter", "true")
    made.git("config", "uploadpack.allowAnySHA1InWant", "true")
    made.commit("one", {"a.py": BODY, "b.py": BODY})
    made.commit("two", {"a.py": BODY.replace("step_7", "seven")})
    made.git("mv", "b.py", "c.py")
    made.commit("three")
    made.commit("four", {"a.py": BODY.replace("step_9", "nine"), "d.py": "d = 1\n"})
    return made


@pytest.fixture
def clone(repo, tmp_path):
    def make(*options):
        target = tmp_path / "clone"
        command = ["git", "clone", "-q", *options, repo.path.as_uri(), str(target)]
        subprocess.run(command, check=True, capture_output=True)
        return target

    return make


def missing(path):
    """Return how many objects a partial clone has not got."""
    listing = ("rev-list", "--objects", "--all", "--missing=print")
    done = subprocess.run(["git", "-C", path, *listing], check=True, capture_output=True)
    return sum(line.startswith(b"?") for line in done.stdout.splitlines())


def rows_of(path):
    files = [row for part in read_history(path, list_commits(path)) for row in part.files]
    return {(row.sha, row.path): row for row in files}


def test_mining_a_partial_clone_fetches_nothing(repo, clone, testopt, tmp_path):
    path = clone("--filter=blob:none")
    lacking = missing(path)
    assert lacking
    done = testopt("--repo", path, "--store", tmp_path / "s", "mine", "--json")
    assert done.code == 0, done.err
    assert done.document["commits"] == 4
    assert done.document["unreadable"] == 2
    assert "no line counts" in done.err
    assert missing(path) == lacking
    whole, part = rows_of(repo.path), rows_of(path)
    assert set(whole) == set(part)
    for key, row in part.items():
        other = whole[key]
        assert (row.status, row.old_path) == (other.status, other.old_path)
        assert (row.added, row.deleted) in {(None, None), (other.added, other.deleted)}
    assert Store.open(str(tmp_path / "s")).read("file_changes").num_rows == len(whole)


def test_the_change_in_a_partial_clone_is_known_by_its_files(clone):
    path = clone("--filter=blob:none")
    lacking = missing(path)
    change = find_change(path, base="HEAD~2", head="HEAD")
    assert change.known
    assert [(f.path, f.status) for f in change.files] == [
        ("a.py", "M"), ("c.py", "R"), ("d.py", "A"),
    ]  # fmt: skip
    assert missing(path) == lacking
    (path / "d.py").write_text("d = 2\n")
    assert [(f.path, f.added) for f in find_change(path).files] == [("d.py", 1)]


def test_one_damaged_object_is_a_warning(repo, testopt, tmp_path):
    blob = repo.git("rev-parse", "HEAD~2:a.py")
    tree = repo.git("rev-parse", "HEAD~2^{tree}")
    path = repo.path / ".git/objects" / blob[:2] / blob[2:]
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:20] + b"damage")
    done = testopt("--repo", repo.path, "--store", tmp_path / "s", "mine", "--json")
    assert done.code == 0, done.err
    assert (done.document["commits"], done.document["unreadable"]) == (4, 2)
    with Objects(repo.path) as objects:
        for _ in range(2):
            with suppress(RepositoryError):
                assert objects.read(blob) is None
        assert objects.read("HEAD:d.py") == (b"blob", b"d = 1\n")
    # without a tree nothing tells what was changed
    (repo.path / ".git/objects" / tree[:2] / tree[2:]).unlink()
    done = testopt("--repo", repo.path, "--store", tmp_path / "s2", "mine")
    assert done.code == 3
    assert "fsck" in done.err


def test_shallow_clones(repo, clone, testopt, tmp_path):
    path = clone("--depth=2")
    assert [f.path for f in find_change(path).files] == ["a.py", "d.py"]
    assert find_change(path, head="HEAD~1").why.startswith("the clone is shallow")
    done = testopt("--repo", path, "--store", tmp_path / "s", "mine", "--json")
    assert (done.code, done.document["commits"], done.document["shallow"]) == (0, 1, 1)


def test_submodules_are_compared_by_their_commit(repo, make_repo):
    other = make_repo("other")
    other.commit("inside", {"x.py": "x = 1\n"})
    repo.git("submodule", "add", "-q", other.path.as_uri(), "sub")
    repo.commit("with a submodule")
    (repo.path / "sub/x.py").write_text("x = 2\n")
    assert [f.path for f in find_change(repo.path).files] == [".gitmodules", "sub"]
    run = ("git", "-C", repo.path / "sub", "-c", "user.name=A", "-c", "user.email=a@example.org")
    subprocess.run([*run, "commit", "-qam", "two"], check=True)
    (file,) = find_change(repo.path).files
    assert (file.path, file.is_submodule, file.added) == ("sub", True, None)


LFS = "*.bin filter=lfs diff=lfs merge=lfs -text\n"


def pointer(content: bytes) -> bytes:
    digest = hashlib.sha256(content).hexdigest()
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n"
    return text.encode()


@pytest.fixture
def lfs(repo):
    """A checkout with the real content, of which git cannot tell that it is not changed."""
    repo.write("big.bin", pointer(b"\0real"))
    repo.commit("large file", {".gitattributes": LFS})
    repo.commit("after", {"e.py": "e = 1\n"})
    for key, value in {"clean": "git-lfs clean -- %f", "process": "git-lfs filter-process",
                       "smudge": "git-lfs smudge -- %f", "required": "true"}.items():  # fmt: skip
        repo.git("config", f"filter.lfs.{key}", value)
    repo.write("big.bin", b"\0real")
    return repo


def test_large_files_of_git_lfs(lfs):
    """Whether or not git-lfs is installed: its programs are not run."""
    assert [f.path for f in find_change(lfs.path).files] == ["e.py"]
    lfs.write("a.py", "edited = 1\n")
    assert [f.path for f in find_change(lfs.path).files] == ["a.py"]
    lfs.write("big.bin", b"\0new")
    assert [f.path for f in find_change(lfs.path).files] == ["a.py", "big.bin"]


def test_only_a_filter_could_tell_whether_anything_was_changed(repo):
    repo.commit("secret", {".gitattributes": "*.key filter=crypt\n", "s.key": "cipher\n"})
    repo.git("config", "filter.crypt.clean", "false")
    repo.write("s.key", "plain\n")
    change = find_change(repo.path)
    assert not change.known
    assert "s.key" in change.why
    assert "'crypt'" in change.why
    assert find_change(repo.path, head="HEAD").known
    repo.write("a.py", "edited = 1\n")
    assert [f.path for f in find_change(repo.path).files] == ["a.py", "s.key"]
