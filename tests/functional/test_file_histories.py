"""One pass over a history knows what `git blame` and `git log` know of each file of each commit."""

import random

import pytest

from testopt.git import file_histories
from testopt.git.file_histories import read_file_histories
from testopt.szz.blame import Tracer

pytestmark = pytest.mark.integration

WORDS = ("alpha", "beta", "gamma", "delta", "if (x)", "return y;", "}", "")


@pytest.fixture(autouse=True)
def _always(monkeypatch):
    monkeypatch.setattr(file_histories, "MIN_FIXES", 1)


def edited(lines, draw):
    """Return some lines after one or two random edits."""
    lines = list(lines)
    for _ in range(draw.randint(1, 2)):
        at = draw.randrange(len(lines) + 1)
        lines[at : at + draw.randint(0, 3)] = [
            f"{draw.choice(WORDS)} {draw.randint(0, 9)}" for _ in range(draw.randint(0, 3))
        ]
    return lines


class Scribe:
    """Writes a repository with branches, commit by commit, an hour apart."""

    def __init__(self, repo, seed):
        self.repo, self.draw, self.hour = repo, random.Random(seed), 0

    def commit(self, files, *, remove=(), message="change"):
        for name in remove:
            (self.repo.path / name).unlink()
        self.hour += 1
        when = f"{1704110400 + self.hour * 3600} +0000"
        dates = {"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when}
        return self.repo.commit(message, files, env=dates)

    def lines(self, name):
        return (self.repo.path / name).read_text().splitlines()

    def edit(self, *names):
        texts = {n: "\n".join(edited(self.lines(n), self.draw)) + "\n" for n in names}
        return self.commit(texts)

    def merge(self, branch, *names):
        """Merge a branch; files on which git fails take lines of both sides and a new one."""
        sides = {n: self.lines(n) for n in names}
        self.repo.git("merge", "-q", "--no-commit", "-s", "ours", branch)
        for name, ours in sides.items():
            theirs = self.repo.git("show", f"{branch}:{name}").splitlines()
            half = len(ours) // 2
            self.repo.write(name, "\n".join([*ours[:half], "merged", *theirs[half:]]) + "\n")
        return self.commit({})


def written(make_repo, seed):
    """Return a repository with edits, moves, merges and odd files, and all of its commits."""
    repo = make_repo(f"repo{seed}")
    scribe = Scribe(repo, seed)
    start = "\n".join(f"line {i} of {i * i}" for i in range(30)) + "\n"
    odd = 'ä "odd"\tname.c'
    scribe.commit(
        {"a.c": start, "b.c": start.upper(), odd: start, "data": "a\0b\n", "gone.c": start}
    )
    scribe.edit("a.c", "b.c", odd)
    scribe.commit({"data": "text\n", "a.c": (repo.path / "a.c").read_text() + "no newline"})
    repo.git("checkout", "-q", "-b", "side")
    scribe.edit("a.c")
    scribe.commit({"moved/b.c": (repo.path / "b.c").read_text()}, remove=["b.c"])
    scribe.edit("moved/b.c", odd)
    scribe.commit({}, remove=["gone.c"])
    (repo.path / "a.c").chmod(0o755)
    scribe.commit({})
    repo.git("checkout", "-q", "main")
    scribe.edit("a.c", "gone.c")
    scribe.edit("b.c")
    scribe.commit({"data": "text\nmore\n"})
    scribe.merge("side", "a.c", odd)
    scribe.edit("a.c", odd)
    scribe.commit({"a.c": "".join(f"  {line}\n" for line in scribe.lines("a.c"))})
    scribe.commit({}, remove=["gone.c"])
    scribe.commit({"gone.c": start})
    repo.git("checkout", "-q", "-b", "other", "HEAD~2")
    scribe.edit("b.c", odd)
    repo.git("checkout", "-q", "main")
    scribe.edit("gone.c", "b.c")
    scribe.merge("other", odd)
    scribe.edit("a.c", "b.c", "gone.c", odd)
    return repo, repo.git("rev-list", "HEAD", "side", "other").split()


def test_every_commit_of_an_intricate_history_is_as_blame_has_it(make_repo):
    repo, commits = written(make_repo, seed=4)
    found = dict(read_file_histories(repo.path, commits))
    assert found.keys() == {sha for sha in commits if repo.git("show", "-s", "--format=%P", sha)}
    known = 0
    with Tracer(repo.path) as tracer:
        for sha, histories in found.items():
            fast, slow = tracer.trace(sha, histories), tracer.trace(sha)
            assert [f.diff.path for f in fast.files] == [f.diff.path for f in slow.files]
            for ours, gits in zip(fast.files, slow.files, strict=True):
                assert ours == gits, (sha, ours.diff.path)
                lines = range(1, len(ours.diff.before) + 1)
                history = histories[ours.diff.path]
                known += history.authors([lines], len(lines), set()) is not None
    assert known > len(found) // 2


def test_lines_pass_over_a_commit_that_only_breaks_them_anew(make_repo):
    repo = make_repo()
    wrote = repo.commit("Start", {"a.c": "int f(int a, int b);\nint g(void);\n"})
    joined = repo.commit("Wrap", {"a.c": "int f(int a,\n      int b);\nint g(void);\n"})
    fix = repo.commit("Fix", {"a.c": "int f(int a,\n      long b);\nint g(void);\n"})
    ((_, _), (sha, histories)) = read_file_histories(repo.path, [joined, fix])
    assert sha == fix
    assert histories["a.c"].authors([range(1, 4)], 3, set()) == dict.fromkeys((1, 2, 3), wrote)


def test_a_history_that_is_long_for_few_fixes_is_left_to_blame(make_repo, monkeypatch):
    repo = make_repo()
    shas = [repo.commit("change", {"a.c": f"x = {i}\n"}) for i in range(4)]
    monkeypatch.setattr(file_histories, "COMMITS_PER_FIX", 2)
    assert list(read_file_histories(repo.path, shas[-1:])) == []
    assert len(list(read_file_histories(repo.path, shas[-2:]))) == 2


def test_a_line_kept_between_two_changes_of_a_merge_keeps_its_place(make_repo):
    repo = make_repo()
    scribe = Scribe(repo, seed=0)
    scribe.commit({"a.c": "top\nold();\nmore();\nend\n"})
    kept = scribe.commit({"a.c": "top\nold();\nkept();\nmore();\nend\n"})
    repo.git("checkout", "-q", "-b", "side")
    theirs = scribe.commit({"a.c": "top\nkept();\nnew();\nend\nside\n"})
    repo.git("checkout", "-q", "main")
    scribe.commit({"b.c": "x\n"})
    repo.git("merge", "-q", "--no-commit", "--no-ff", "side")
    merge = scribe.commit({"a.c": "top\nkept();\nnew();\nend\nboth\n"})
    fix = scribe.commit({"a.c": "top\nkept();\nnewer();\nend\nboth\n"})
    histories = dict(read_file_histories(repo.path, [merge, fix]))[fix]
    assert histories["a.c"].authors([range(2, 4)], 5, set()) == {2: kept, 3: theirs}
