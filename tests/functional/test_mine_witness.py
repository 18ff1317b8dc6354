"""What is mined, against an outside witness: GitPython's own reading of the same repository.

`Commit.stats` runs ``git diff --numstat --no-renames`` against the first parent, so these differ by
definition, and each is checked below:

- a rename is one row here, with the lines that changed; there it is a file gone and a file come;
- a merge has no rows here: what it brings in stands at the commits merged;
- a binary file has no line counts here (None); there it has 0.
"""

import ast
from datetime import UTC

import git
import pytest

from testopt.code.paths import path_bytes
from testopt.mine import mine
from testopt.store import Store

pytestmark = pytest.mark.integration

TEXT = "".join(f"line {i}\n" for i in range(10))
ODD = (b"a b.txt", b"tab\there", b'quo"te\\', "übel.txt".encode(), b"odd\xff")


@pytest.fixture
def repo(make_repo):
    repo = make_repo()
    repo.write("image", b"\0\1")
    for name in ODD:
        repo.write(name, "one\ntwo")
    repo.commit("Root", {"src/a.py": TEXT, "src/gone.py": TEXT, "empty": ""})
    repo.git("mv", "src/a.py", "src/moved.py")
    repo.git("rm", "-q", "src/gone.py")
    repo.commit("Rename, delete", {"src/moved.py": TEXT + "more\n"})
    repo.git("checkout", "-q", "-b", "side")
    later = {"GIT_AUTHOR_DATE": "1704200000 +0530", "GIT_AUTHOR_EMAIL": "bob@example.org"}
    repo.commit("Side: Grüße", {"side.py": TEXT}, env=later)
    repo.git("checkout", "-q", "main")
    repo.write("image", b"\0\2")
    for name in ODD:
        repo.write(name, "one\nthree\nfour\n")
    repo.commit("Odd names", {"empty": "no more\n"})
    repo.git("merge", "-q", "--no-ff", "-m", "Merge side", "side")
    repo.commit("After", {"side.py": "top\n" + TEXT})
    return repo


@pytest.fixture
def store(repo, tmp_path):
    store = Store.open(str(tmp_path / "store"), create=True)
    mine(repo=repo.path, store=store)
    return store


@pytest.fixture
def witness(repo):
    with git.Repo(repo.path) as found:
        yield found


def line_counts(commit):
    """Return the witness's lines added and deleted, by path."""
    # names with special characters come quoted as git quotes them, which is as C and Python do
    return {
        ast.literal_eval(f"b{name}") if name.startswith('"') else name.encode(): (
            each["insertions"],
            each["deletions"],
        )
        for name, each in commit.stats.files.items()
    }


def mined(store, sha):
    rows = store.read("file_changes").to_pylist()
    return {path_bytes(row["path"]): row for row in rows if row["sha"] == sha}


def by_subject(witness, subject):
    return next(commit for commit in witness.iter_commits() if commit.summary == subject)


def test_commits_are_the_same(store, witness):
    found = {row["sha"]: row for row in store.read("commits").to_pylist()}
    known = {commit.hexsha: commit for commit in witness.iter_commits()}
    assert found.keys() == known.keys()
    authors = set()
    for sha, commit in known.items():
        row = found[sha]
        assert row["parents"] == [parent.hexsha for parent in commit.parents]
        assert row["time"] == commit.authored_datetime.astimezone(UTC)
        assert row["committed"] == commit.committed_datetime.astimezone(UTC)
        assert row["is_merge"] == (len(commit.parents) > 1)
        authors.add((row["author"], commit.author.email))
    # pseudonyms tell the same people apart
    assert len(authors) == len({name for name, _ in authors}) == len({mail for _, mail in authors})


def test_line_counts_are_the_same(store, witness):
    checked = 0
    for commit in witness.iter_commits():
        rows = mined(store, commit.hexsha)
        if len(commit.parents) > 1 or any(row["old_path"] for row in rows.values()):
            continue
        counts = {path: (row["added"] or 0, row["deleted"] or 0) for path, row in rows.items()}
        assert counts == line_counts(commit)
        checked += len(counts)
    assert checked == 9 + 1 + 7 + 1  # root, side, odd names, after


def test_a_rename_is_one_row_where_the_witness_has_two_files(store, witness):
    commit = by_subject(witness, "Rename, delete")
    rows = mined(store, commit.hexsha)
    assert line_counts(commit) == {
        b"src/a.py": (0, 10),
        b"src/moved.py": (11, 0),
        b"src/gone.py": (0, 10),
    }
    assert {
        path: (row["old_path"], row["added"], row["deleted"]) for path, row in rows.items()
    } == {b"src/moved.py": ("src/a.py", 1, 0), b"src/gone.py": (None, 0, 10)}


def test_a_merge_has_no_rows_where_the_witness_counts_it_again(store, witness):
    commit = by_subject(witness, "Merge side")
    assert line_counts(commit) == {b"side.py": (10, 0)}
    assert mined(store, commit.hexsha) == {}


def test_a_binary_file_has_no_counts_where_the_witness_has_none_changed(store, witness):
    commit = by_subject(witness, "Odd names")
    assert line_counts(commit)[b"image"] == (0, 0)
    row = mined(store, commit.hexsha)[b"image"]
    assert (row["added"], row["deleted"]) == (None, None)
