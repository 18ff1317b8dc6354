"""Git history into the store, on real repositories."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pyarrow.compute as pc
import pytest
from click.testing import CliRunner

from testopt.cli import cli
from testopt.code.paths import path_bytes
from testopt.errors import RepositoryError, RevisionError, SettingsError
from testopt.git import log
from testopt.mine import mine
from testopt.store import Store
from testopt.store.judged_fixes import JUDGED, read_judged

pytestmark = pytest.mark.integration

TEXT = "".join(f"line {i}\n" for i in range(10))


@pytest.fixture
def store(tmp_path):
    return Store.open(str(tmp_path / "store"), create=True)


def rows(store, table, key="sha"):
    return {r[key]: r for r in store.read(table).to_pylist()}


def files_of(store, sha):
    keep = ("status", "old_path", "added", "deleted", "size_before")
    return {
        r["path"]: tuple(r[k] for k in keep)
        for r in store.read("file_changes").to_pylist()
        if r["sha"] == sha
    }


def count_lines(repo, revision, path):
    content = subprocess.run(
        ["git", "-C", str(repo.path), "cat-file", "blob", b"%b:%b" % (revision.encode(), path)],
        check=True,
        capture_output=True,
    ).stdout
    return len(content.splitlines())


def check_sizes(repo, store):
    """Every size before is what git has at the parent."""
    checked = 0
    for row in store.read("file_changes").to_pylist():
        if row["status"] in "MRD" and row["added"] is not None:
            old = path_bytes(row["old_path"] or row["path"])
            assert row["size_before"] == count_lines(repo, f"{row['sha']}^", old), row
            checked += 1
    return checked


def test_commits_and_files(make_repo, store):
    repo = make_repo()
    one = repo.commit("Start", {"src/a.py": TEXT, "tests/test_a.py": "x = 1\n", "README": "hi"})
    repo.git("mv", "src/a.py", "src/b.py")
    later = {"GIT_AUTHOR_DATE": "1704200000 +0530", "GIT_AUTHOR_EMAIL": "bob@example.org"}
    two = repo.commit("Fix crash", {"src/b.py": TEXT + "more\n", "README": "hi\nyou"}, env=later)
    three = repo.commit('Revert "Fix crash"')
    report = mine(repo=repo.path, store=store)
    assert (report.commits, report.files, report.known, report.shallow) == (3, 5, 0, 0)
    assert files_of(store, one) == {
        "src/a.py": ("A", None, 10, 0, 0),
        "tests/test_a.py": ("A", None, 1, 0, 0),
        "README": ("A", None, 1, 0, 0),
    }
    assert files_of(store, two) == {
        "src/b.py": ("R", "src/a.py", 1, 0, 10),
        "README": ("M", None, 2, 1, 1),
    }
    commits = rows(store, "commits")
    assert commits[two]["parents"] == [one]
    assert commits[two]["time"] == datetime.fromtimestamp(1704200000, UTC)
    assert commits[two]["committed"] == datetime.fromtimestamp(1704110400, UTC)
    assert [commits[s]["is_fix"] for s in (one, two, three)] == [
        False,
        True,
        False,
    ]  # three is empty
    assert [commits[s]["is_revert"] for s in (one, two, three)] == [False, False, True]
    assert len({c["author"] for c in commits.values()}) == 2
    kinds = rows(store, "file_changes", key="path")
    assert kinds["tests/test_a.py"]["is_test"]
    assert kinds["src/b.py"]["language"] == "python"
    assert (kinds["src/b.py"]["subsystem"], kinds["README"]["subsystem"]) == ("src", ".")


def test_no_name_and_no_address_in_the_store(make_repo, store, tmp_path):
    repo = make_repo()
    repo.commit("Start", {"a.py": "x\n"})
    mine(repo=repo.path, store=store)
    content = b"".join(p.read_bytes() for p in (tmp_path / "store").rglob("*") if p.is_file())
    assert b"example.org" not in content
    assert b"Ann" not in content


def test_merges_have_no_rows_and_sizes_survive_them(make_repo, store):
    repo = make_repo()
    repo.commit("Start", {"a.py": TEXT, "b.py": TEXT})
    repo.git("checkout", "-q", "-b", "side")
    repo.commit("Side", {"a.py": "top\n" + TEXT})
    repo.git("checkout", "-q", "main")
    repo.commit("Main", {"a.py": TEXT + "end\n"})
    repo.git("merge", "-q", "--no-ff", "-m", "Merge side", "side")
    merge = repo.git("rev-parse", "HEAD")
    after = repo.commit("After", {"a.py": "top\n" + TEXT})
    mine(repo=repo.path, store=store)
    assert rows(store, "commits")[merge]["is_merge"]
    assert files_of(store, merge) == {}
    assert files_of(store, after) == {"a.py": ("M", None, 0, 1, 12)}
    assert check_sizes(repo, store) == 3


def test_only_what_is_new(make_repo, store):
    repo = make_repo()
    for number in range(4):
        repo.commit(f"c{number}", {"a.py": "x\n" * number})
    first = mine(repo=repo.path, store=store, rev_range="HEAD~2")
    second = mine(repo=repo.path, store=store)
    version = store.version("commits")
    third = mine(repo=repo.path, store=store)
    assert [(r.commits, r.known) for r in (first, second, third)] == [(2, 0), (2, 2), (0, 4)]
    assert store.version("commits") == version
    assert store.read("commits").num_rows == 4
    assert check_sizes(repo, store) == 3  # the blob of the first range is asked from git


def fixes_of(store):
    return {sha for sha, row in rows(store, "commits").items() if row["is_fix"]}


def test_other_rules_judge_known_commits_again(make_repo, store):
    repo = make_repo()
    repo.commit("Start", {"a.py": TEXT})
    fix = repo.commit("Fix crash", {"a.py": TEXT + "y\n"})
    odd = repo.commit("PROJ-1 more", {"a.py": TEXT + "y\nz\n"})
    mine(repo=repo.path, store=store)
    table = store.read("file_changes")
    assert fixes_of(store) == {fix}
    assert mine(repo=repo.path, store=store, fix_pattern="^proj").rejudged == 2
    assert fixes_of(store) == {odd}
    version = store.version("commits")
    assert mine(repo=repo.path, store=store, fix_pattern="^proj").rejudged == 0
    assert store.version("commits") == version
    store.delete_blob(JUDGED)  # as in the store of an older testopt
    result = CliRunner().invoke(
        cli, ["--repo", str(repo.path), "--store", store.url, "mine", "HEAD~2"]
    )
    assert "(1 commit were known); 2 commits count otherwise as fixes now" in result.output
    assert fixes_of(Store.open(store.url)) == {fix}
    assert store.read("file_changes").equals(table)
    assert store.read("commits").num_rows == 3


def test_commits_that_this_clone_has_not_got_are_judged_later(make_repo, store):
    repo = make_repo()
    start = repo.commit("Start", {"a.py": TEXT})
    repo.commit("Fix crash", {"a.py": TEXT + "y\n"})
    shallow = make_repo("other")
    shallow.git("fetch", "-q", str(repo.path), start)
    shallow.git("checkout", "-q", start)
    mine(repo=repo.path, store=store, fix_pattern="nothing")
    assert mine(repo=shallow.path, store=store).rejudged == 0
    assert len(read_judged(store).left) == 1
    assert mine(repo=repo.path, store=store).rejudged == 1
    assert read_judged(store).left == frozenset()


def test_range(make_repo, store):
    repo = make_repo()
    shas = [repo.commit(f"c{n}", {"a.py": f"{n}\n"}) for n in range(4)]
    report = mine(repo=repo.path, store=store, rev_range=f"{shas[0]}..HEAD~1")
    assert report.commits == 2
    assert set(rows(store, "commits")) == set(shas[1:3])


@pytest.mark.parametrize(
    "bad", ["-1", "--all", "--output=evil", "nowhere", "a..b", "", "HEAD HEAD"]
)
def test_bad_range(make_repo, store, bad):
    repo = make_repo()
    repo.commit("Start")
    with pytest.raises(RevisionError):
        mine(repo=repo.path, store=store, rev_range=bad)
    assert not (repo.path / "evil").exists()


def test_no_commit_yet(make_repo, store):
    with pytest.raises(RepositoryError, match="no commit"):
        mine(repo=make_repo().path, store=store)


def test_bad_fix_pattern(make_repo, store):
    repo = make_repo()
    repo.commit("Start")
    with pytest.raises(SettingsError, match="regular expression"):
        mine(repo=repo.path, store=store, fix_pattern="(")


def test_odd_files(make_repo, store):
    repo = make_repo()
    repo.write("bin", b"\0\1")
    repo.write(b"odd\xff\tna\nme.py", "one = 1\n")
    repo.write("emoji \U0001f600 'q\".py", "")
    inner = make_repo("inner")
    inner.commit("Inner", {"x": "x"})
    repo.git("submodule", "add", "-q", str(inner.path), "vendored")
    first = repo.commit("Odd")
    (repo.path / "bin").unlink()
    (repo.path / "bin").symlink_to("elsewhere")
    repo.write(b"odd\xff\tna\nme.py", b"binary\0now")
    second = repo.commit("Types")
    repo.write(b"odd\xff\tna\nme.py", "text = 1\nagain = 2\n")
    repo.commit("Text again")
    repo.write(b"odd\xff\tna\nme.py", "text = 1\n")
    fourth = repo.commit("Shorter")
    mine(repo=repo.path, store=store)
    assert files_of(store, first) == {
        ".gitmodules": ("A", None, 3, 0, 0),
        "bin": ("A", None, None, None, None),
        "emoji \U0001f600 'q\".py": ("A", None, 0, 0, 0),
        "odd\\xff\tna\nme.py": ("A", None, 1, 0, 0),
        "vendored": ("A", None, None, None, None),
    }
    assert files_of(store, second)["odd\\xff\tna\nme.py"] == ("M", None, None, None, None)
    assert files_of(store, second)["bin"][0] == "T"
    assert files_of(store, fourth) == {"odd\\xff\tna\nme.py": ("M", None, 0, 1, 2)}


def raw_commit(repo, author, date, parent=None, message=b"odd\n"):
    """Write a commit object as no client would."""
    tree = repo.git("rev-parse", "HEAD^{tree}").encode()
    lines = [b"tree " + tree, *([b"parent " + parent.encode()] if parent else [])]
    lines += [b"author " + author + b" " + date, b"committer C <c@example.org> 1704110400 +0000"]
    done = subprocess.run(
        [
            "git",
            "-C",
            str(repo.path),
            "hash-object",
            "-t",
            "commit",
            "-w",
            "--stdin",
            "--literally",
        ],
        input=b"\n".join(lines) + b"\n\n" + message,
        capture_output=True,
        check=True,
    )
    sha = done.stdout.decode().strip()
    repo.git("update-ref", "refs/heads/main", sha)
    return sha


def test_absurd_dates_and_authors(make_repo, store):
    repo = make_repo()
    at = repo.commit("Start", {"a.py": "x\n"})
    made = {}
    for date in (b"4102444800 +0000", b"99999999999999 +0000", b"-1 +0000", b"never", b"0 +0000"):
        at = made[date] = raw_commit(repo, b"A <a@example.org>", date, parent=at)
    bytes_author = raw_commit(
        repo, b"J\xf6rg <j\xf6rg@example.org>", b"5 +0000", parent=at, message=b"M\xfcll\n"
    )
    nobody = raw_commit(repo, b" <>", b"6 +0000", parent=bytes_author, message=b"")
    report = mine(repo=repo.path, store=store)
    assert report.commits == 8
    commits = rows(store, "commits")
    assert commits[made[b"4102444800 +0000"]]["time"] == datetime(2100, 1, 1, tzinfo=UTC)
    assert commits[made[b"0 +0000"]]["time"] == datetime(1970, 1, 1, tzinfo=UTC)
    assert all(isinstance(c["time"], datetime) for c in commits.values())
    assert commits[bytes_author]["author"] != commits[nobody]["author"]


def test_subject_that_looks_like_fields(make_repo, store):
    repo = make_repo()
    sha = repo.commit(":100644 100644 1 2 M\t3\t4\tx", {"1\t2\tx": "a\n", ":1": "b\n"})
    mine(repo=repo.path, store=store)
    assert set(files_of(store, sha)) == {"1\t2\tx", ":1"}


def test_bare_and_replaced(make_repo, store, tmp_path):
    repo = make_repo()
    repo.commit("Start", {"a.py": "x\n"})
    sha = repo.commit("Second", {"a.py": "y\n"})
    other = repo.git("commit-tree", "-m", "Other", f"{sha}^{{tree}}")
    repo.git("replace", sha, other)
    bare = tmp_path / "bare.git"
    subprocess.run(["git", "clone", "-q", "--mirror", str(repo.path), str(bare)], check=True)
    assert mine(repo=bare, store=store).commits == 2
    assert files_of(store, sha) == {"a.py": ("M", None, 1, 1, 1)}


def test_shallow_edge_is_left_out_until_there_is_more(make_repo, store, tmp_path):
    repo = make_repo()
    shas = [repo.commit(f"c{n}", {"a.py": f"{n}\n"}) for n in range(4)]
    clone = tmp_path / "shallow"
    subprocess.run(["git", "clone", "-q", "--depth=2", repo.path.as_uri(), str(clone)], check=True)
    report = mine(repo=clone, store=store)
    assert (report.commits, report.shallow) == (1, 1)
    assert set(rows(store, "commits")) == {shas[3]}
    subprocess.run(["git", "-C", str(clone), "fetch", "-q", "--unshallow"], check=True)
    report = mine(repo=clone, store=store)
    assert (report.commits, report.shallow) == (3, 0)
    assert files_of(store, shas[2]) == {"a.py": ("M", None, 1, 1, 1)}


def test_empty_commits_only(make_repo, store):
    repo = make_repo()
    repo.commit("Nothing")
    report = mine(repo=repo.path, store=store)
    assert (report.commits, report.files) == (1, 0)


def test_hostile_configuration_changes_nothing(make_repo, store, tmp_path):
    repo = make_repo()
    repo.commit("Start", {"a.py": TEXT})
    repo.git("mv", "a.py", "b.py")
    repo.commit("Move", {"b.py": TEXT + "x\n"})
    mine(repo=repo.path, store=store)
    for key, value in {
        "diff.renames": "false", "diff.external": "false", "color.ui": "always",
        "log.showSignature": "true", "log.showRoot": "false", "log.diffMerges": "on",
        "diff.relative": "true", "core.quotepath": "true", "diff.ignoreSubmodules": "all",
        "log.follow": "true", "format.pretty": "nonsense %H", "diff.renameLimit": "1",
        "i18n.logOutputEncoding": "latin-1", "log.mailmap": "false", "notes.displayRef": "*",
    }.items():  # fmt: skip
        repo.git("config", key, value)
    again = Store.open(str(tmp_path / "again"), create=True)
    mine(repo=repo.path, store=again)
    for table in ("commits", "file_changes"):
        assert again.read(table).equals(store.read(table))


@pytest.fixture
def long_history(make_repo):
    """3,000 commits, made by one git process."""
    repo = make_repo()
    stream = []
    for n in range(3000):
        content = b"x\n" * (n % 50 + 1)
        stream.append(
            b"commit refs/heads/main\nauthor A <a@example.org> %d +0000\n"
            b"committer A <a@example.org> %d +0000\ndata 2\nm\nM 644 inline f%d.py\ndata %d\n%s\n"
            % (n, n, n % 7, len(content), content)
        )
    subprocess.run(
        ["git", "-C", str(repo.path), "fast-import", "--quiet"], input=b"".join(stream), check=True
    )
    return repo


def test_ranges_in_parallel_keep_order(long_history):
    shas = log.list_commits(long_history.path)
    for workers in (1, 3):
        read = list(log.read_history(long_history.path, shas, workers=workers))
        assert [c.sha for h in read for c in h.commits] == shas
        assert len(read) > workers
        assert sum(len(h.files) for h in read) == 3000 - unchanged(read)


def unchanged(read):
    return sum(len(h.commits) for h in read) - len({f.sha for h in read for f in h.files})


def test_interrupted_and_resumed(long_history, store, monkeypatch):
    monkeypatch.setattr("testopt.mine.FLUSH_COMMITS", 1000)

    def stop(done, total):
        assert total == 3000
        if done > 2000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mine(repo=long_history.path, store=store, progress=stop)
    partly = store.read("commits").num_rows
    assert 1000 <= partly < 3000
    report = mine(repo=long_history.path, store=store)
    assert report.commits == 3000 - partly
    shas = store.read("commits")["sha"].to_pylist()
    assert len(shas) == len(set(shas)) == 3000


def test_stopped_between_files_and_commits(long_history, store, monkeypatch):
    """File changes without their commits are not written twice, also when ranges moved."""
    append = store.append

    def die(table, parts):
        if table == "commits":
            raise KeyboardInterrupt
        return append(table, parts)

    with monkeypatch.context() as patch:
        patch.setattr(store, "append", die)
        with pytest.raises(KeyboardInterrupt):
            mine(repo=long_history.path, store=store, rev_range="HEAD~1500")
    orphans = store.read("file_changes").num_rows
    assert orphans
    report = mine(repo=long_history.path, store=store)
    table = store.read("file_changes", columns=["sha", "path"])
    assert report.commits == 3000
    assert report.files == table.num_rows - orphans
    assert table.group_by(["sha", "path"]).aggregate([]).num_rows == table.num_rows
    assert table.num_rows == pc.count_distinct(table["sha"]).as_py()


def test_two_at_once_leave_one_copy(long_history, store, tmp_path):
    url = str(tmp_path / "store")
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(mine, repo=long_history.path, store=Store.open(url)) for _ in "ab"]
    assert all(job.result().commits for job in both)
    for table in ("commits", "file_changes"):
        shas = store.read(table)["sha"]
        assert pc.count_distinct(shas).as_py() == len(shas) > 2900


def test_another_key_is_noticed(make_repo, store, monkeypatch):
    repo = make_repo()
    repo.commit("Start")
    assert not mine(repo=repo.path, store=store).other_key
    assert not mine(repo=repo.path, store=store).other_key
    monkeypatch.setenv("TESTOPT_KEY", "quite another secret")
    assert mine(repo=repo.path, store=store).other_key


def test_damaged_repository(make_repo, store):
    repo = make_repo()
    repo.commit("Start", {"a.py": "x\n"})
    repo.commit("Second", {"a.py": "y\n"})
    tree = repo.git("rev-parse", "HEAD^{tree}")
    (repo.path / ".git/objects" / tree[:2] / tree[2:]).unlink()
    with pytest.raises(RepositoryError, match="git log failed") as caught:
        mine(repo=repo.path, store=store)
    assert "fsck" in caught.value.hint


def run(*args):
    return CliRunner().invoke(cli, args, catch_exceptions=True)


def test_command(make_repo):
    repo = make_repo()
    repo.commit("Start", {"a.py": "x\n"})
    where = ("--repo", str(repo.path))
    done = run(*where, "mine")
    assert done.exit_code == 0
    assert done.stdout == "1 new commits with 1 file changes (0 commits were known)\n"
    assert (repo.path / ".testopt").is_dir()
    assert repo.git("status", "--porcelain") == ""
    document = json.loads(run(*where, "mine", "--json").stdout)
    assert document["known"] == 1
    assert "testopt mine v1.0..main" in run("mine", "--help").stdout


def test_command_says_that_a_clone_is_shallow(make_repo, tmp_path):
    repo = make_repo()
    for n in range(3):
        repo.commit(f"c{n}", {"a.py": f"{n}\n"})
    clone = tmp_path / "shallow"
    subprocess.run(["git", "clone", "-q", "--depth=1", repo.path.as_uri(), str(clone)], check=True)
    done = run("--repo", str(clone), "-q", "mine")
    assert done.exit_code == 0
    assert "shallow" in done.stderr
    assert "git fetch --unshallow" in done.stderr


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("mine", "nowhere"), 2, "unknown revision"),
        (("mine", "--", "--output=evil"), 2, "is not a revision"),
        (("mine", "--all"), 2, "No such option"),
    ],
)
def test_exit_codes(make_repo, args, code, words):
    repo = make_repo()
    repo.commit("Start")
    done = subprocess.run(
        [sys.executable, "-m", "testopt", "--repo", str(repo.path), *args],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_exit_code_without_repository(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "testopt", "--repo", str(tmp_path), "mine"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "not in a git repository" in done.stderr
