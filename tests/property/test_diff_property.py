"""What stands in the lines of a diff, and how it ends, cannot confuse its reader."""

from hypothesis import example, given
from hypothesis import strategies as st

from testopt.git.diff import read_patch, unquote

LINE = st.one_of(
    st.binary(max_size=12).map(lambda b: b.replace(b"\n", b"").replace(b"\r", b"")),
    st.sampled_from(
        [b"@@ -1 +1 @@", b"-- a/x", b"++ b/x", b"diff --git a/x b/x", b"\\ No newline"]
    ),
)
HUNK = st.tuples(st.lists(LINE, max_size=3), st.lists(LINE, max_size=3)).filter(any)


def written(hunks):
    """Return the patch of one file, a list of lines."""
    out, at = [b"diff --git a/f b/f", b"--- a/f", b"+++ b/f"], 1
    for old, new in hunks:
        out.append(b"@@ -%d,%d +%d,%d @@ somewhere" % (at, len(old), at, len(new)))
        out += [b"-" + line for line in old] + [b"+" + line for line in new]
        at += 10
    return [line + b"\n" for line in out]


def read(lines):
    return [
        (file.old, file.new, [(h.heading, list(h.lines), h.is_complete) for h in file.hunks])
        for file in read_patch(lines)
    ]


@given(st.lists(st.lists(HUNK, max_size=4), max_size=3))
def test_hunks_are_read_back_whatever_their_lines_look_like(files):
    found = read([line for hunks in files for line in written(hunks)])
    assert found == [
        (
            b"f",
            b"f",
            [
                (b" somewhere", [b"-" + x for x in old] + [b"+" + x for x in new], True)
                for old, new in hunks
            ],
        )
        for hunks in files
    ]


@given(st.lists(HUNK, min_size=1, max_size=4), st.data())
def test_a_diff_may_end_anywhere(hunks, data):
    lines = written(hunks)
    cut = lines[: data.draw(st.integers(0, len(lines)))]
    whole, part = read(lines), read(cut)
    for (_, _, kept), (_, _, known) in zip(part, whole, strict=False):
        assert [lines for _, lines, _ in kept[:-1]] == [lines for _, lines, _ in known][
            : max(len(kept) - 1, 0)
        ]
        assert all(complete for _, _, complete in kept[:-1])


@given(st.lists(st.lists(HUNK, max_size=4), max_size=3), st.data())
def test_what_is_not_read_is_passed_over(files, data):
    lines = [line for hunks in files for line in written(hunks)]
    seen = 0
    for file in read_patch(lines):
        seen += 1
        for _ in range(data.draw(st.integers(0, 2))):
            hunk = next(file.hunks, None)
            if hunk is not None and data.draw(st.booleans()):
                next(hunk.lines, None)
    assert seen == len(files)


PIECE = LINE | st.sampled_from([b"@@ -1,3 +1,3 @@", b"-dropped", b"+added", b"--- a/x", b"+++ b/x"])


@given(st.binary(max_size=400) | st.lists(PIECE, max_size=20).map(b"\n".join))
@example(b"@@ -1,3 +1,3 @@\n-dropped\n+added")
def test_nonsense_ends_and_nothing_is_made_up(content):
    lines = content.splitlines(keepends=True)
    read = [line for file in read_patch(lines) for hunk in file.hunks for line in hunk.lines]
    rest = iter(lines)
    assert all(any(line in whole for whole in rest) for line in read)  # in their order
    unquote(content)
