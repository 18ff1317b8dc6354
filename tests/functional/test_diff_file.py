"""A change read from a unified diff."""

import subprocess

import pytest

from testopt.errors import InputFileError
from testopt.git.change import diff_file, find_change

pytestmark = pytest.mark.integration


@pytest.fixture
def saved(tmp_path):
    def save(content):
        path = tmp_path / "some.diff"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return save


def by_path(change):
    return {f.path: (f.status, f.added, f.deleted) for f in change.files}


PREFIXES = (
    ("--src-prefix=old/", "--dst-prefix=new/"),
    ("--src-prefix=x/y/", "--dst-prefix=z/"),
    ("--src-prefix=same/", "--dst-prefix=same/"),
    ("--src-prefix=old-", "--dst-prefix=new-"),
    ("--src-prefix=the old/", "--dst-prefix=the new/"),
    ("--src-prefix=", "--dst-prefix=b/"),
)
OPTIONS = (
    (),
    ("-U0",),
    ("-U0", "--no-prefix"),
    ("--binary",),
    ("--color=always",),
    ("-c", "diff.mnemonicPrefix"),
    ("-c", "core.quotepath=off"),
    *PREFIXES,
)


def odd_repository(make_repo):
    """Return a repository whose last commit changes files of all kinds, with odd names."""
    repo = make_repo()
    repo.write("bin", b"\0\1")
    repo.write(b"odd\xff\tna\nme.py", "one = 1\n")
    text = "def f():\n" + "".join(f"    v{i} = {i}\n" for i in range(30))
    repo.commit("A", {"a b.py": text, "m.py": text, "gone.py": "gone = 1\n", "e": ""})
    repo.write("bin", b"\0\2")
    repo.write(b"odd\xff\tna\nme.py", "one = 11\n-- two\n")
    repo.git("mv", "m.py", "moved to.py")
    repo.git("rm", "-q", "gone.py", "e")
    repo.commit("B", {"a b.py": text.replace("v3", "w3"), "new.py": "--- x\n+++ y\n", "e2": ""})
    return repo


def diff_of(repo, *options, config=()):
    command = ["git", "-C", str(repo.path), *config, "diff", "-M", *options]
    return subprocess.run(command, check=True, capture_output=True).stdout


@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_same_as_from_git(make_repo, saved, options):
    repo = odd_repository(make_repo)
    config = options if options[:1] == ("-c",) else ()
    rest = () if config else options
    out = diff_of(repo, *rest, "HEAD~1", "HEAD", config=config)
    change, known = diff_file(saved(out)), find_change(repo.path)
    assert by_path(change) == by_path(known)
    words = {f.path: f.tokens for f in known.files if f.added is not None}
    assert {f.path: f.tokens for f in change.files if f.added is not None} == words
    assert {f.path: f.old_path for f in change.files} == {f.path: f.old_path for f in known.files}


@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_a_reversed_diff_names_the_same_files(make_repo, saved, options):
    repo = odd_repository(make_repo)
    config = options if options[:1] == ("-c",) else ()
    rest = () if config else options
    out = diff_of(repo, "-R", *rest, "HEAD~1", "HEAD", config=config)
    change = diff_file(saved(out))
    known = find_change(repo.path, base="HEAD", head="HEAD~1")
    assert by_path(change) == by_path(known)
    assert {f.path: f.old_path for f in change.files} == {f.path: f.old_path for f in known.files}


@pytest.mark.parametrize("reverse", [(), ("-R",)])
@pytest.mark.parametrize("options", [(), ("--no-prefix",), *PREFIXES], ids=" ".join)
def test_prefixes_are_told_from_one_file(make_repo, saved, options, reverse):
    repo = make_repo()
    for name in ("a/b/x y.py", "src/m.py", "top.py"):
        repo.commit("A", {name: "one = 1\n"})
        repo.commit("B", {name: "one = 2\n"})
        if options in PREFIXES[1:4] and options != PREFIXES[1]:
            continue  # one path with one prefix does not tell where that ends
        (file,) = diff_file(saved(diff_of(repo, *reverse, *options, "HEAD~1", "HEAD"))).files
        assert (file.path, file.status) == (name, "M")


def test_folders_that_look_like_prefixes(make_repo, saved):
    repo = make_repo()
    repo.commit("A", {"a/x.py": "1\n", "b/x.py": "1\n", "i/w.py": "1\n"})
    repo.commit("B", {"a/x.py": "2\n", "b/x.py": "2\n", "i/w.py": "2\n"})
    for options in ((), ("--no-prefix",), ("-R",), ("-R", "--no-prefix")):
        change = diff_file(saved(diff_of(repo, *options, "HEAD~1", "HEAD")))
        assert [f.path for f in change.files] == ["a/x.py", "b/x.py", "i/w.py"], options


def test_quoted_names_of_gnu_diff(saved):
    text = '--- "old/t\\tab.py"\t2024-01-01\n+++ "new/t\\tab.py"\t2024-01-02\n@@ -1 +1 @@\n-a\n+b\n'
    assert [f.path for f in diff_file(saved(text)).files] == ["new/t\tab.py"]


def test_plain_diff(saved):
    change = diff_file(
        saved(
            "only in b: c\n"
            "--- old/x.c\t2024-01-01 00:00:00 +0000\n+++ new/x.c\t2024-01-02 00:00:00 +0000\n"
            "@@ -1,2 +1,3 @@ int main\n same\n-gone\n+come\n+more\n"
            "--- old/y.c\n+++ new/y.c\n@@ -1 +1 @@\n-a1\n\\ No newline at end of file\n+b1\n"
        )
    )
    assert by_path(change) == {"new/x.c": ("M", 2, 1), "new/y.c": ("M", 1, 1)}
    assert [f.tokens for f in change.files] == ["int main gone come more", "a1 b1"]


def test_crlf_and_mail_headers(saved):
    text = (
        "From 12 Mon Sep 17\nSubject: [PATCH] x\n\n---\n a.py | 2 +-\n\n"
        "diff --git a/a.py b/a.py\nindex 1..2 100644\n--- a/a.py\n+++ b/a.py\n"
        "@@ -1 +1 @@\n-old_name\n+new_name\n--\n2.39\n"
    )
    change = diff_file(saved(text.replace("\n", "\r\n")))
    assert by_path(change) == {"a.py": ("M", 1, 1)}
    assert change.files[0].tokens == "old_name new_name"


def test_empty_file_is_an_empty_change(saved):
    assert diff_file(saved(b"")).files == ()


def test_combined_diff_lists_the_file(saved):
    change = diff_file(
        saved("diff --cc a.py\nindex 1,2..3\n--- a/a.py\n+++ b/a.py\n@@@ -1,1 -1,1 +1,1 @@@\n++x\n")
    )
    assert [f.path for f in change.files] == ["a.py"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"hello\nworld\n", "not a unified diff"),
        (b"\0\1\2\xff" * 100, "not a unified diff"),
        (b"--- a/x\n+++ b/x\n@@ -1,5 +1,5 @@\n a\n", "some.diff:4: .* within a hunk"),
        (b"@@ -1," + b"9" * 5000 + b" +1 @@\n", "not a unified diff"),
    ],
)
def test_bad_files(saved, content, words):
    with pytest.raises(InputFileError, match=words):
        diff_file(saved(content))


def test_missing_file_and_folder(tmp_path):
    for path in (tmp_path / "none.diff", tmp_path):
        with pytest.raises(InputFileError, match="cannot be read"):
            diff_file(path)


def test_very_long_line(saved):
    line = b"+" + b"word " * 2_000_000
    change = diff_file(saved(b"--- a/x\n+++ b/x\n@@ -0,0 +1,2 @@\n" + line + b"\n+end\n"))
    assert by_path(change) == {"x": ("M", 2, 0)}
    assert len(change.files[0].tokens) <= 20_000
