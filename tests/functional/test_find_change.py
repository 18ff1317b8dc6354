"""The change of a run, on real repositories."""

import subprocess
import sys
from datetime import UTC, datetime

import pytest

from testopt.errors import RevisionError
from testopt.git import change as change_module
from testopt.git import diff_listing
from testopt.git.change import find_change
from testopt.git.ci_job import CiJob as Ci
from testopt.git.pseudonyms import pseudonym

pytestmark = pytest.mark.integration

BODY = "def first():\n" + "".join(f"    step_{i} = {i}\n" for i in range(20))


@pytest.fixture
def repo(make_repo):
    """Three commits: a.py and data; a.py edited; a merge-free fix."""
    made = make_repo()
    made.shas = [
        made.commit("Start", {"a.py": BODY, "data.txt": "1\n2\n"}),
        made.commit("Second", {"a.py": BODY.replace("step_7 = 7", "step_seven = compute()")}),
        made.commit("Fix the crash", {"b/new.py": "import os\n"}),
    ]
    return made


def by_path(change):
    return {f.path: (f.status, f.added, f.deleted) for f in change.files}


def test_last_commit_without_ci(repo):
    change = find_change(repo.path)
    assert by_path(change) == {"b/new.py": ("A", 1, 0)}
    assert (change.base, change.head) == (repo.shas[1], repo.shas[2])
    assert change.is_fix
    assert not change.is_merge
    assert change.known
    assert change.time == datetime(2024, 1, 1, 12, tzinfo=UTC)
    assert change.author == pseudonym(b"ann@example.org", b"a key for tests only")
    assert change.files[0].tokens == "import os"


def test_base_and_head_win(repo):
    ci = Ci(commit=repo.shas[2], target="main", base=repo.shas[1])
    change = find_change(repo.path, base="HEAD~2", head="HEAD~1", ci=ci, previous=repo.shas[1])
    assert by_path(change) == {"a.py": ("M", 1, 1)}
    assert change.files[0].tokens == "def first step_7 step_seven compute"
    assert not change.is_fix


def test_head_alone_is_against_its_first_parent(repo):
    assert by_path(find_change(repo.path, head="HEAD~1")) == {"a.py": ("M", 1, 1)}


def test_head_alone_ignores_the_working_tree(repo):
    repo.write("a.py", "gone\n")
    assert by_path(find_change(repo.path, head="HEAD")) == {"b/new.py": ("A", 1, 0)}


def test_root_commit_is_against_nothing(repo):
    change = find_change(repo.path, head=repo.shas[0])
    assert by_path(change) == {"a.py": ("A", 21, 0), "data.txt": ("A", 2, 0)}
    assert change.base is None
    assert change.known


def test_root_commit_of_a_sha256_repository(make_repo, tmp_path):
    repo = make_repo()
    other = tmp_path / "other"
    subprocess.run(["git", "init", "-q", "--object-format=sha256", str(other)], check=True)
    repo.path = other
    sha = repo.commit("root", {"a.py": "x = 1\n"})
    assert len(sha) == 64
    assert by_path(find_change(other)) == {"a.py": ("A", 1, 0)}


@pytest.mark.parametrize("name", ["nowhere", "-x", "--output=evil", "", "HEAD..HEAD~1", "a\0b"])
@pytest.mark.parametrize("side", ["base", "head"])
def test_what_the_user_typed_must_exist(repo, name, side):
    with pytest.raises(RevisionError):
        find_change(repo.path, **{side: name})
    assert not (repo.path / "evil").exists()


def test_uncommitted_changes_come_first(repo):
    repo.write("data.txt", "1\n2\n3\n")
    repo.write("fresh.py", "def fresh():\n    return 1")
    repo.write("staged.py", "x = 1\n")
    repo.git("add", "staged.py")
    change = find_change(repo.path)
    assert by_path(change) == {
        "data.txt": ("M", 1, 0),
        "fresh.py": ("A", 2, 0),
        "staged.py": ("A", 1, 0),
    }
    assert change.head is None
    assert change.base == repo.shas[2]
    assert change.files[-1].tokens == "def fresh return"


def test_base_alone_includes_the_working_tree(repo):
    repo.write("data.txt", "1\n2\n3\n")
    change = find_change(repo.path, base="HEAD~1")
    assert by_path(change) == {"data.txt": ("M", 1, 0), "b/new.py": ("A", 1, 0)}
    assert change.base == repo.shas[1]


def test_base_alone_in_a_clean_tree(repo):
    change = find_change(repo.path, base="HEAD~2")
    assert set(by_path(change)) == {"a.py", "b/new.py"}
    assert change.head == repo.shas[2]


def test_ignored_files_caches_and_results_hide_no_commit(repo):
    repo.write(".git/info/exclude", "*.log\n")
    repo.write("run.log", "x")
    repo.write("pkg/__pycache__/a.cpython-311.pyc", b"\0")
    repo.write("node_modules/x/index.js", "x")
    repo.write("results.xml", "<testsuite/>")
    assert by_path(find_change(repo.path)) == {"b/new.py": ("A", 1, 0)}


def test_data_counts_beside_other_changes(repo):
    repo.write("cases.xml", "<x/>\n")
    repo.write("more.py", "")
    assert by_path(find_change(repo.path)) == {
        "cases.xml": ("A", 1, 0),
        "more.py": ("A", 0, 0),
    }


def test_in_ci_the_working_tree_does_not_count(repo):
    repo.write("data.txt", "changed by the build\n")
    assert by_path(find_change(repo.path, ci=Ci())) == {"b/new.py": ("A", 1, 0)}


def test_touched_but_equal_files_are_no_change(repo):
    repo.write("data.txt", "1\n2\n")
    assert by_path(find_change(repo.path)) == {"b/new.py": ("A", 1, 0)}


def test_pull_request_is_since_the_merge_base(repo):
    repo.git("checkout", "-q", "-b", "feature", "HEAD~1")
    head = repo.commit("On the branch", {"f.py": "f = 1\n"})
    for remote in (False, True):
        if remote:
            repo.git("update-ref", "refs/remotes/origin/main", "main")
            repo.git("branch", "-D", "main")
        change = find_change(repo.path, ci=Ci(commit=head, branch="feature", target="main"))
        assert by_path(change) == {"f.py": ("A", 1, 0)}
        assert change.base == repo.shas[1]


def test_test_merge_of_a_pull_request(repo):
    """GitHub checks out a merge of target and head without the target's branch."""
    repo.git("checkout", "-q", "-b", "feature", "HEAD~1")
    head = repo.commit("On the branch", {"f.py": "f = 1\n"})
    repo.git("checkout", "-q", "--detach", "main")
    repo.git("merge", "-q", "--no-ff", "-m", f"Merge {head} into {repo.shas[2]}", head)
    repo.git("branch", "-D", "main")
    change = find_change(repo.path, ci=Ci(target="main"))
    assert by_path(change) == {"f.py": ("A", 1, 0)}
    assert change.is_merge


def test_merge_of_the_target_into_the_branch_is_not_the_change(repo):
    repo.git("checkout", "-q", "-b", "feature", "HEAD~1")
    repo.commit("On the branch", {"f.py": "f = 1\n"})
    repo.git("merge", "-q", "--no-ff", "-m", "Merge branch 'main' into feature", "main")
    change = find_change(repo.path, ci=Ci(target="main"))
    assert by_path(change) == {"f.py": ("A", 1, 0)}


def test_missing_target_is_unknown(repo):
    change = find_change(repo.path, ci=Ci(target="release"))
    assert not change.known
    assert "'release'" in change.why


def test_option_as_target_is_harmless(repo):
    assert not find_change(repo.path, ci=Ci(target="--output=evil")).known
    assert not (repo.path / "evil").exists()


def test_unrelated_target_is_unknown(repo):
    repo.git("checkout", "-q", "--orphan", "other")
    repo.commit("Unrelated")
    change = find_change(repo.path, ci=Ci(target="main"))
    assert not change.known
    assert "no common commit" in change.why


def test_push_is_since_the_previous_run(repo):
    change = find_change(repo.path, ci=Ci(branch="main"), previous=repo.shas[0])
    assert set(by_path(change)) == {"a.py", "b/new.py"}
    assert change.base == repo.shas[0]


def test_previous_wins_over_what_ci_names(repo):
    ci = Ci(branch="main", base=repo.shas[1])
    assert find_change(repo.path, ci=ci, previous=repo.shas[0]).base == repo.shas[0]
    assert find_change(repo.path, ci=ci).base == repo.shas[1]


def test_repeat_of_a_commit_and_new_branch_take_the_first_parent(repo):
    assert find_change(repo.path, ci=Ci(), previous=repo.shas[2]).base == repo.shas[1]
    assert find_change(repo.path, ci=Ci(base="0" * 40)).base == repo.shas[1]


def test_unreachable_previous_run_is_unknown(repo):
    change = find_change(repo.path, ci=Ci(branch="main"), previous="1234567" * 5 + "12345")
    assert not change.known
    assert "previous run" in change.why
    assert change.files == ()


def test_what_is_checked_out_wins_over_the_commit_of_ci(repo):
    assert find_change(repo.path, ci=Ci(commit=repo.shas[1])).head == repo.shas[2]
    assert find_change(repo.path, ci=Ci(commit="f" * 40)).head == repo.shas[2]
    named = find_change(repo.path, ci=Ci(commit=repo.shas[1]), commit=repo.shas[1])
    assert (named.base, named.head) == (repo.shas[0], repo.shas[1])
    assert not find_change(repo.path, ci=Ci(), commit="f" * 40).known


def test_merge_commit_is_against_its_first_parent(repo):
    repo.git("checkout", "-q", "-b", "side", "HEAD~1")
    repo.commit("Side", {"s.py": "s = 1\n"})
    repo.git("checkout", "-q", "main")
    repo.git("merge", "-q", "--no-ff", "-m", "Merge side", "side")
    change = find_change(repo.path)
    assert by_path(change) == {"s.py": ("A", 1, 0)}
    assert change.is_merge


def test_shallow_clone_says_so(repo, tmp_path):
    shallow = tmp_path / "shallow"
    subprocess.run(
        ["git", "clone", "-q", "--depth=1", repo.path.as_uri(), str(shallow)], check=True
    )
    change = find_change(shallow)
    assert not change.known
    assert "shallow" in change.why
    assert "unshallow" in change.why
    assert by_path(find_change(shallow, ci=Ci(base=repo.shas[1]))) == {}


def test_bare_repository(repo, tmp_path):
    bare = tmp_path / "bare.git"
    subprocess.run(["git", "clone", "-q", "--bare", str(repo.path), str(bare)], check=True)
    assert by_path(find_change(bare)) == {"b/new.py": ("A", 1, 0)}


def test_no_commit_and_no_repository_are_unknown(make_repo, tmp_path):
    empty = make_repo("empty")
    empty.write("a.py", "x = 1\n")
    for place in (empty.path, tmp_path, tmp_path / "missing"):
        change = find_change(place)
        assert not change.known
        assert change.why


def test_every_kind_of_file(repo):
    repo.write("bin", b"\0\1")
    repo.write(b"odd\xff\tna\nme.py", "one = 1\n")
    repo.write('with "quotes" and \\.py', "two = 2\n")
    repo.commit("Odd files")
    sub = repo.path.parent / "repo"
    repo.git("submodule", "add", "-q", str(sub), "vendored")
    repo.write("bin", b"\0\2")
    repo.write(b"odd\xff\tna\nme.py", "one = 11\nten = 10\n")
    repo.write('with "quotes" and \\.py', "three = 3\n")
    repo.git("mv", "a.py", "moved.py")
    repo.git("rm", "-q", "data.txt")
    (repo.path / "b/new.py").unlink()
    (repo.path / "b/new.py").symlink_to("nowhere")
    (repo.path / "moved.py").chmod(0o755)
    repo.commit("All at once")
    change = find_change(repo.path)
    assert by_path(change) == {
        ".gitmodules": ("A", 3, 0),
        "b/new.py": ("T", 1, 1),
        "bin": ("M", None, None),
        "data.txt": ("D", 0, 2),
        "moved.py": ("R", 0, 0),
        "odd\\xff\tna\nme.py": ("M", 2, 1),
        "vendored": ("A", None, None),
        'with "quotes" and \\\\.py': ("M", 1, 1),
    }
    files = {f.path: f for f in change.files}
    assert files["moved.py"].old_path == "a.py"
    assert [path for path, file in files.items() if file.is_submodule] == ["vendored"]
    assert files["odd\\xff\tna\nme.py"].tokens == "one one ten"
    assert files["b/new.py"].tokens == "import os nowhere"
    assert files['with "quotes" and \\\\.py'].tokens == "two three"
    for file in change.files:
        file.path.encode("utf-8")


def test_unmerged_files_do_not_shift_the_words_of_others(repo):
    repo.git("checkout", "-q", "-b", "side", "HEAD~1")
    repo.commit("Side", {"data.txt": "side\n", "zz.py": "zeta = 1\n"})
    repo.git("checkout", "-q", "main")
    repo.commit("Main", {"data.txt": "main\n"})
    with pytest.raises(subprocess.CalledProcessError):
        repo.git("merge", "side")
    files = {f.path: f for f in find_change(repo.path).files}
    assert files["zz.py"].tokens == "zeta"
    assert "data.txt" in files


def test_hostile_configuration_changes_nothing(repo):
    plain = find_change(repo.path, base="HEAD~2", head="HEAD")
    marker = repo.path / "ran"
    for key, value in {
        "diff.noprefix": "true", "diff.mnemonicPrefix": "true", "color.ui": "always",
        "color.diff": "always", "diff.external": f"touch {marker}", "diff.renames": "false",
        "diff.context": "9", "diff.interHunkContext": "9", "diff.submodule": "log",
        "diff.relative": "true", "core.quotepath": "true", "diff.wordRegex": ".",
        "log.showSignature": "true", "format.pretty": "%H nonsense", "core.pager": "false",
        "diff.orderFile": "/dev/null", "diff.algorithm": "patience", "log.showRoot": "false",
    }.items():  # fmt: skip
        repo.git("config", key, value)
    assert find_change(repo.path, base="HEAD~2", head="HEAD") == plain
    assert not marker.exists()


def test_content_that_looks_like_a_diff(repo):
    fake = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@ def nope():\n-gone\n+come\n"
    repo.commit("Fake", {"m.patch": fake, "n.py": "nn = 1\n"})
    files = {f.path: f for f in find_change(repo.path).files}
    assert by_path(find_change(repo.path)) == {"m.patch": ("A", 6, 0), "n.py": ("A", 1, 0)}
    assert files["n.py"].tokens == "nn"


def test_words_are_capped_per_file(repo):
    many = "".join(f"identifier_{i} = {i}\n" for i in range(50_000))
    repo.commit("Giant", {"giant.py": many, "z.py": "small = 1\n"})
    files = {f.path: f for f in find_change(repo.path).files}
    tokens = files["giant.py"].tokens
    assert diff_listing.FILE_TOKENS - 20 < len(tokens) <= diff_listing.FILE_TOKENS
    assert set(tokens.split()) <= {f"identifier_{i}" for i in range(50_000)}
    assert files["giant.py"].added == 50_000
    assert files["z.py"].tokens == "small"


def test_words_of_many_files_are_shared_out(repo):
    many = "".join(f"identifier_{i} = {i}\n" for i in range(2_000))
    repo.commit("Giant", {f"d/{n}.py": many for n in range(60)})
    sizes = [len(f.tokens) for f in find_change(repo.path).files]
    assert len(sizes) == 60
    assert sum(sizes) <= diff_listing.ALL_TOKENS
    assert min(sizes) > diff_listing.ALL_TOKENS // 60 - 20


def test_slow_listing_is_unknown(repo, monkeypatch):
    repo.commit("Big", {f"d/{i}.txt": f"{i}\n" * 200 for i in range(300)})
    monkeypatch.setattr(change_module, "LISTING_S", 0.0)
    change = find_change(repo.path, ci=Ci())
    assert not change.known
    assert "more than" in change.why


def test_no_time_for_words_keeps_the_files(repo, monkeypatch):
    big = "".join(f"word_{i}\n" for i in range(200_000))
    repo.commit("Big", {f"d/{i}.txt": big for i in range(4)})
    monkeypatch.setattr(change_module, "TOKENS_S", 0.0)
    change = find_change(repo.path)
    assert change.known
    assert len(change.files) == 4
    assert all(f.added == 200_000 for f in change.files)
    assert change.files[-1].tokens is None


def test_key_is_not_made_for_a_plan(repo, monkeypatch, tmp_path):
    monkeypatch.delenv("TESTOPT_KEY")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert find_change(repo.path).author is None
    assert not (tmp_path / "config").exists()


def test_unusable_key_does_not_stop_a_plan(repo, monkeypatch):
    monkeypatch.setenv("TESTOPT_KEY", "short")
    assert find_change(repo.path).author is None


def test_nothing_heavy_is_imported():
    """It stands on the way to a plan, which has half a second in all."""
    code = (
        "import sys, testopt.git.change;"
        "print(sorted({m.partition('.')[0] for m in sys.modules} & "
        "{'git', 'pandas', 'numpy', 'pyarrow', 'sklearn', 'lightgbm', 'deltalake'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
