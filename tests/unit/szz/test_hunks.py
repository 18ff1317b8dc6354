"""Which lines of a fix are suspect."""

from testopt.szz.hunks import (
    FileDiff,
    TextHunk,
    added_lines,
    meaningful_hunks,
    merge_ranges,
    surrounding_lines,
    suspect_lines,
)


def file(before, after, *hunks, language="c"):
    return FileDiff("a", language, hunks, tuple(before), tuple(after))


def test_an_insertion_has_no_old_lines():
    assert TextHunk(7, (), 9, ("come",)).span == range(8, 8)
    assert TextHunk(7, ("gone",), 9, ()).span == range(7, 8)


def test_layout_and_comments_do_not_count():
    before = ["int a;", "f( x );", "// old", "g(1);"]
    after = ["int a;", "f(x);", "// new", "g(2);"]
    edits = [TextHunk(n, (before[n - 1],), n, (after[n - 1],)) for n in (2, 3, 4)]
    assert meaningful_hunks(file(before, after, *edits)) == [edits[2]]


def test_a_python_file_with_the_same_tree_does_not_count():
    before, after = ["x = [1,", "2]", "y = 'a'"], ["x = [1, 2]", 'y = "a"']
    edit = TextHunk(1, tuple(before), 1, tuple(after))
    assert meaningful_hunks(file(before, after, edit, language="python")) == []
    changed = [*after[:1], 'y = "b"']
    edit = TextHunk(1, tuple(before), 1, tuple(changed))
    assert meaningful_hunks(file(before, changed, edit, language="python")) == [edit]


def test_moved_lines_are_innocent_unless_nothing_else_is_left():
    before = ["int counter = 0;", "start();", "wrong(counter);"]
    out = TextHunk(1, ("int counter = 0;",), 0, ())
    back = TextHunk(2, (), 2, ("int counter = 0;",))
    wrong = TextHunk(3, ("wrong(counter);",), 3, ("right(counter);",))
    whole = file(before, before, out, back, wrong)
    assert suspect_lines(whole, [out, back, wrong], added_lines([whole])) == [3]
    moved = file(before, before, out, back)
    assert suspect_lines(moved, [out, back], added_lines([moved])) == [1]


def test_brackets_count_where_nothing_else_was_deleted():
    one = TextHunk(2, ("}",), 1, ())
    assert suspect_lines(file(["f();", "}"], ["f();"], one), [one], {}) == [2]


def test_surroundings_stay_in_the_file():
    whole = file(["x"] * 40, ["x"] * 41, TextHunk(3, (), 4, ("y",)))
    assert surrounding_lines(whole, whole.hunks[0]) == range(1, 9)
    assert surrounding_lines(whole, TextHunk(40, (), 41, ("y",))) == range(36, 41)


def test_merge_ranges():
    assert merge_ranges([range(5, 8), range(1, 3), range(3, 4), range(9, 9), range(7, 10)]) == [
        range(1, 4),
        range(5, 10),
    ]
