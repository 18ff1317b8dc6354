"""What speaks for a candidate, and who is chosen."""

import pytest

from testopt.git.objects import CommitObject
from testopt.szz.candidates import FileTrace, PastChange, find_candidates
from testopt.szz.hunks import FileDiff, TextHunk
from testopt.szz.ranking import (
    ADDING,
    DELETING,
    STATED,
    _calibrated,
    candidate_features,
    candidate_reasons,
    rank_candidates,
)

DAY = 86_400


def commit(sha, day, parents=("p",), subject="Change", files=1, author=b"ann"):
    return CommitObject(sha, parents, day * DAY, day * DAY, author, subject, files)


def trace(blame, past=(), weight=2, hunk=None, before=6):
    lines = tuple(f"call_{i}();" for i in range(1, before + 1))
    edit = hunk or TextHunk(3, (lines[2],), 3, ("called_3();",))
    diff = FileDiff("a.c", "c", (edit,), lines, lines)
    return FileTrace(diff, (edit,), tuple(edit.span), blame, past, weight)


FIX = commit("fix", 100)


def test_who_wrote_the_line_beats_who_wrote_its_neighbours():
    facts = {s: commit(s, 90) for s in "ab"}
    found = find_candidates(FIX, [trace({1: "b", 2: "b", 3: "a", 4: "b"})], facts)
    first = rank_candidates(found)[0]
    assert (first.candidate.facts.sha, first.chosen) == ("a", True)
    assert first.candidate.share == 1
    assert first.candidate.where == ["a.c:3"]


def test_of_two_that_wrote_as_much_the_later_is_chosen():
    facts = {"old": commit("old", 10), "new": commit("new", 99)}
    two = TextHunk(3, ("x();", "y();"), 3, ("z();",))
    found = find_candidates(FIX, [trace({3: "old", 4: "new"}, hunk=two)], facts)
    assert [s.candidate.facts.sha for s in rank_candidates(found)] == ["new", "old"]


def test_an_insertion_blames_the_lines_around():
    facts = {"near": commit("near", 50), "far": commit("far", 50)}
    blame = {1: "far", 2: "far", 3: "far", 4: "near", 5: "near", 6: "far"}
    found = find_candidates(FIX, [trace(blame, hunk=TextHunk(4, (), 5, ("guard();",)))], facts)
    best = rank_candidates(found)[0].candidate
    assert best.facts.sha == "near"
    assert (best.written, best.distance) == (0, 1)


def test_who_deleted_what_the_fix_brings_back_is_found_without_blame():
    facts = {"gone": commit("gone", 98), "rest": commit("rest", 5)}
    lines = ("guard(lock);", "hold(lock);", "check(lock);")
    past = (PastChange("gone", (TextHunk(4, lines, 4, ()),)),)
    fix = TextHunk(4, (), 5, lines)
    blame = dict.fromkeys(range(1, 7), "rest")
    best = rank_candidates(find_candidates(FIX, [trace(blame, past, hunk=fix)], facts))[0].candidate
    assert (best.facts.sha, best.restored, best.returned) == ("gone", 3, 6)
    assert "deleted 3 lines that the fix brings back" in candidate_reasons(best)


def test_whom_the_message_copies_is_rather_meant():
    facts = {s: commit(s, 90, author=f"{s}@x.org".encode()) for s in "ab"}
    message = "Fix it\n\nTold in the list.\n\nCc: A. Body <A@x.org>, stable@x.org\n"
    for said, answer in (("Fix it", "b"), (message, "a")):
        fix = commit("fix", 100, subject=said, author=b"c@x.org")
        best = rank_candidates(find_candidates(fix, [trace({2: "a", 3: "b", 4: "a"})], facts))[0]
        assert (best.candidate.facts.sha, best.candidate.copied) == (answer, answer == "a")
    assert "the message of the fix copies its author" in candidate_reasons(best.candidate)


def test_the_subject_that_a_message_tells_in_other_words_speaks_for_its_commit():
    facts = {
        "a": commit("a", 90, subject="Keep sessions of the proxy"),
        "b": commit("b", 90, subject="Read the settings twice"),
        "c": commit("c", 90, subject="Read the log"),
    }
    message = "Read once\n\nSessions were lost once the proxy was kept.\n\nCc: settings@x.org\n"
    found = find_candidates(
        commit("fix", 100, subject=message), [trace({2: "a", 3: "b", 4: "c"})], facts
    )
    told = {c.facts.sha: c.told for c in found}
    assert told["a"] > told["c"] > 0
    assert told["a"] > told["b"]
    reasons = {c.facts.sha: candidate_reasons(c) for c in found}
    assert "the message of the fix speaks of the same" in reasons["a"]
    assert "the message of the fix speaks of the same" not in reasons["b"]


def test_merges_are_passed_over_while_there_is_another():
    facts = {"m": commit("m", 99, ("p", "q")), "a": commit("a", 50)}
    assert [c.facts.sha for c in find_candidates(FIX, [trace({3: "m", 2: "a"})], facts)] == ["a"]
    assert [c.facts.sha for c in find_candidates(FIX, [trace({3: "m"})], facts)] == ["m"]


def test_tests_count_only_where_there_is_no_code():
    facts = {"a": commit("a", 9), "t": commit("t", 99)}
    both = [trace({3: "a"}), trace({3: "t"}, weight=1)]
    assert [c.facts.sha for c in find_candidates(FIX, both, facts)] == ["a"]
    assert [c.facts.sha for c in find_candidates(FIX, both[1:], facts)] == ["t"]


def test_what_was_written_after_the_report_is_innocent():
    facts = {"early": commit("early", 10), "late": commit("late", 90)}
    found = find_candidates(FIX, [trace({3: "late", 2: "early"})], facts)
    assert rank_candidates(found)[0].candidate.facts.sha == "late"
    (only,) = rank_candidates(found, before=20 * DAY)
    assert (only.candidate.facts.sha, only.chosen) == ("early", True)
    assert rank_candidates(found, before=DAY) == []


def test_confidences_add_up_and_one_is_chosen():
    facts = {s: commit(s, 10 + i) for i, s in enumerate("abcd")}
    suspects = rank_candidates(find_candidates(FIX, [trace(dict(enumerate("abcd", 1)))], facts))
    assert 0.5 < sum(s.confidence for s in suspects) < 1  # the rest: none of these
    assert [s.chosen for s in suspects] == [True, False, False, False]


def test_middling_confidences_are_raised_and_high_ones_lowered():
    """So right as they say on projects that taught nothing; the order and the sum stay."""
    for raw, told in ((0.4, 0.481), (0.97, 0.933)):
        first, second = _calibrated([raw, (1 - raw) / 2])
        assert first == pytest.approx(told, abs=0.002)
        assert first + 2 * second == pytest.approx(1)
    assert _calibrated([1.0])[0] <= 1


def test_a_named_commit_is_chosen_whatever_else_speaks():
    facts = {"a": commit("a", 99), "b": commit("b", 1, files=300)}
    found = find_candidates(FIX, [trace({3: "a", 6: "b"})], facts)
    next(c for c in found if c.facts.sha == "b").stated = True
    first, second = rank_candidates(found)
    assert (first.candidate.facts.sha, first.confidence) == ("b", pytest.approx(STATED))
    assert second.confidence < 0.02


def test_who_wrote_all_of_the_lines_is_not_outweighed_by_the_last_commit_of_the_file():
    """Who wrote all lines 1,494 days before, against a sibling of the series of the fix."""
    fix = CommitObject("fix", ("p",), 1500 * DAY, 1500 * DAY, b"ann", "Fix name of port")
    facts = {"wrote": commit("wrote", 6), "sibling": commit("sibling", 1500)}
    edit = TextHunk(9, ("port = name;",), 9, ("port = other_name(name);",))
    past = (PastChange("sibling", (TextHunk(40, ("other_name(name);",), 40, ()),)),)
    blame = dict.fromkeys(range(1, 20), "wrote")
    found = find_candidates(fix, [trace(blame, past, hunk=edit, before=20)], facts)
    first, second = rank_candidates(found)
    assert (first.candidate.facts.sha, second.candidate.sibling) == ("wrote", True)


def test_a_fix_that_only_adds_blames_who_wrote_the_function():
    """Not who wrote the function below, however close it is."""
    lines = ("int f(void)", "{", *(f"    step_{i}(x);" for i in range(9)), "}", "int g(void)", "{")
    facts = {s: commit(s, 50) for s in "fg"}
    edit = TextHunk(10, (), 11, ("    if (!x) return;",))
    diff = FileDiff("a.c", "c", (edit,), lines, lines)
    blame = {n: "g" if n > 10 else "f" for n in range(1, 15)}
    found = find_candidates(FIX, [FileTrace(diff, (edit,), (), blame)], facts)
    assert rank_candidates(found)[0].candidate.facts.sha == "f"


def test_features_are_those_that_have_weights():
    facts = {"a": commit("a", 9, (), "Reformat code")}
    (row,) = candidate_features(find_candidates(FIX, [trace({3: "a"})], facts))
    assert set(row) == DELETING.keys() | ADDING.keys()
    assert (row["root"], row["mechanical"]) == (1, 1)
