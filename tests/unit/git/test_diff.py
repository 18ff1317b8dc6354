"""One reader of unified diffs: where hunks end, how paths are quoted, what headers say."""

from io import BytesIO

import pytest

from testopt.git.diff import read_patch, unquote

PATCH = b"""\
@@ -2 +2,2 @@ def f():
-    return a
+    if a:
+        return b
@@ -7,0 +9 @@
+--- looks like a header
@@ -10,2 +11,0 @@
---x
-y\r
\\ No newline at end of file
"""


def read(patch):
    return [(file, [(h, list(h.lines)) for h in file.hunks]) for file in read_patch(BytesIO(patch))]


def test_counts_say_where_a_hunk_ends():
    ((file, hunks),) = read(PATCH)
    assert (file.old, file.new) == (None, None)
    assert [lines for _, lines in hunks] == [
        [b"-    return a", b"+    if a:", b"+        return b"],
        [b"+--- looks like a header"],
        [b"---x", b"-y"],
    ]
    assert [h.heading for h, _ in hunks] == [b" def f():", b"", b""]
    assert [h.old_lines for h, _ in hunks] == [range(2, 3), range(7, 7), range(10, 12)]
    assert [h.new_lines for h, _ in hunks] == [range(2, 4), range(9, 10), range(11, 11)]
    assert all(h.is_complete for h, _ in hunks)


def test_a_cut_hunk_ends_and_says_so():
    ((_, ((hunk, lines),)),) = read(b"@@ -1,3 +1 @@\n-a\n")
    assert (lines, hunk.is_complete) == ([b"-a"], False)


def test_context_counts_for_both_sides():
    ((_, hunks),) = read(b"--- x\n+++ x\n@@ -1,3 +1,3 @@\n a\n-b\n+c\n\n+no line of the hunk\n")
    assert [lines for _, lines in hunks] == [[b"-b", b"+c"]]


@pytest.mark.parametrize(
    ("header", "old", "new", "status"),
    [
        (b"diff --git a/x y b/x y\nold mode 1\nnew mode 2\n", b"x y", b"x y", "M"),
        (b"diff --git a/x b/x\nnew file mode 100644\nindex 0..e\n", b"x", b"x", "A"),
        (b"diff --git a/x b/y\nrename from x\nrename to y\n", b"x", b"y", "R"),
        (b"diff --git a/x b/y\ncopy from x\ncopy to y\n", b"x", b"y", "C"),
        (b'diff --git "a/\\303\\244" "b/\\303\\244"\n', b"\xc3\xa4", b"\xc3\xa4", "M"),
        (b"--- /dev/null\n+++ b/x\n", None, b"x", "A"),
        (b"--- a/x\n+++ /dev/null\n", b"x", None, "D"),
        (b"--- i/x\n+++ w/x\n", b"x", b"x", "M"),
        (b"--- old/x\t2024-01-01\n+++ new/x\t2024-01-02\n", b"old/x", b"new/x", "M"),
        (b"--- a/x y\t\n+++ b/x y\t\n", b"x y", b"x y", "M"),
        (b'--- "a/x \\ty"\t\n+++ "b/x \\ty"\t\n', b"x \ty", b"x \ty", "M"),
    ],
)
def test_headers(header, old, new, status):
    ((file, hunks),) = read(header)
    assert (file.old, file.new, file.status, hunks) == (old, new, status, [])


def test_objects_and_binary_files():
    ((file, _),) = read(b"diff --git a/x b/x\nindex 12ab..34cd 100644\nBinary files differ\n")
    assert (file.old_object, file.new_object, file.is_binary) == ("12ab", "34cd", True)


def test_files_without_a_line_of_git_begin_behind_a_hunk():
    one = b"--- x\n+++ x\n@@ -1 +1 @@\n-a\n+b\n"
    found = read(one + one.replace(b"x", b"y"))
    assert [file.new for file, _ in found] == [b"x", b"y"]


def test_what_stands_behind_a_hunk_says_nothing_of_its_file():
    text = b"--- x\n+++ x\n@@ -1 +1 @@\n-a\n+b\nBinary files old/y and new/y differ\n"
    ((file, _),) = read(text)
    assert not file.is_binary


def test_unquote():
    assert unquote(rb'"\"a\\\t\303"') == b'"a\\\t\xc3'
    assert unquote(b"plain") == b"plain"
