"""What layout, order and nonsense cannot change in the evidence against a commit."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from testopt.git.objects import CommitObject
from testopt.szz.candidates import FileTrace, PastChange, find_candidates
from testopt.szz.hunks import (
    FileDiff,
    TextHunk,
    added_lines,
    meaningful_hunks,
    merge_ranges,
    suspect_lines,
)
from testopt.szz.ranking import rank_candidates

CODE = st.sampled_from(
    ["total = first + 1;", "call(second);", "if (ready) {", "}", "", "// a remark", "return total;"]
)
GAPS = st.sampled_from(["", " ", "\t", "   "])
WRITERS = st.sampled_from(["a", "b", "c"])
FACTS = {
    sha: CommitObject(sha, ("p",), day * 86_400, day * 86_400, b"ann", "Change")
    for day, sha in enumerate("abc", 1)
}
FIX = CommitObject("fix", ("p",), 864_000, 864_000, b"bob", "Fix")


@st.composite
def edits(draw):
    """Return a file, one hunk of it (start, old and new lines) and who wrote each line."""
    before = draw(st.lists(CODE, min_size=1, max_size=12))
    start = draw(st.integers(1, len(before)))
    size = draw(st.integers(1, len(before) - start + 1))
    new = draw(st.lists(CODE, max_size=4))
    blame = {n: draw(WRITERS) for n in range(1, len(before) + 1)}
    return before, start, size, new, blame


def traced(before, start, size, new, blame):
    hunk = TextHunk(start, tuple(before[start - 1 : start - 1 + size]), start, tuple(new))
    after = (*before[: start - 1], *new, *before[start - 1 + size :])
    diff = FileDiff("a.c", "c", (hunk,), tuple(before), after)
    kept = tuple(meaningful_hunks(diff))
    lines = tuple(suspect_lines(diff, kept, added_lines([diff])))
    past = (PastChange("b", (hunk,)),)
    return lines, find_candidates(FIX, [FileTrace(diff, kept, lines, blame, past)], FACTS)


@given(edits(), st.data())
def test_layout_changes_neither_lines_nor_candidates_nor_confidence(edit, data):
    before, start, size, new, blame = edit
    loose = [data.draw(GAPS) + line + data.draw(GAPS) for line in before]
    spaced = [data.draw(GAPS) + line + data.draw(GAPS) for line in new]
    lines, found = traced(*edit)
    again, same = traced(loose, start, size, spaced, blame)
    assert again == lines
    assert same == found
    assert rank_candidates(same) == rank_candidates(found)


@given(edits())
def test_only_lines_of_the_hunk_are_suspect_and_shares_add_up(edit):
    _, start, size, *_ = edit
    lines, found = traced(*edit)
    assert set(lines) <= set(range(start, start + size))
    assert sum(c.written for c in found) == len(lines)
    if lines:
        assert abs(sum(c.share for c in found) - 1) < 1e-9
    ranked = rank_candidates(found)
    assert [s.chosen for s in ranked] == [True] * bool(ranked) + [False] * (len(ranked) - 1)
    assert all(a.confidence >= b.confidence for a, b in pairwise(ranked))


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 9)), max_size=12))
def test_merged_ranges_hold_the_same_numbers_apart_and_in_order(pairs):
    ranges = [range(start, start + size) for start, size in pairs]
    merged = merge_ranges(ranges)
    assert {n for r in merged for n in r} == {n for r in ranges for n in r}
    assert all(a.stop < b.start for a, b in pairwise(merged))
