"""Parts are the whole without overlap, whatever each machine knows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testopt.parts import Division, durations_text, node_unit, part_of, read_durations
from testopt.plan.shards import Parts, file_unit
from testopt.runners.arguments import arguments_for
from testopt.runners.protocol import Request
from testopt.runners.registry import RUNNERS

any_text = st.text(st.characters(codec=None), max_size=30)  # lone surrogates too
node_ids = st.builds(
    "{}::{}{}{}".format,
    st.sampled_from(["a.py", "tests/a.py", "tests/[b].py", "\udcff.py"]),
    st.sampled_from(["", "A::", "A::B::"]),
    st.sampled_from(["test_1", "test_2", "test_é"]),
    st.one_of(st.just(""), any_text.map("[{}]".format)),
)
ids = st.one_of(node_ids, any_text)
counts = st.integers(1, 9)

# ids as each runner's reports have them, with what it cannot tell apart and names that come twice
FAMILIES = {
    "pytest": ["t/a.py::test_1[1]", "t/a.py::test_1[<o at 0x7fffdeadbeef>]", "t/a.py::A::test_2",
               "t/b.py::test_1", "t/b.py::A::test_2"],
    "unittest": ["t/a.py::A::test_1", "t/a.py::A::test_1 (i=2)", "t.b.A::test_1", "t.b.A::test_2"],
    "go": ["m/a::TestX", "m/a::TestX/one", "m/a::TestY", "m/b::TestX", "m/b::TestX/two/three"],
    "surefire": ["p.A::one", "p.A::one[2]", "p.A::one(int)", "p.A$In::one", "p.B::one"],
    "gradle": ["p.A::one", "p.A::one[2]", "p.A::one(int)[3]", "p.A$In::one", "p.B::one"],
    "jest": ["a.test.js::adds", "b.test.js::adds", "a.test.js::drops", "keeps"],
    "mocha": ["test/a.js::adds", "test/b.js::adds", "test/a.js::drops", "keeps::it keeps"],
    "playwright": ["a.spec.ts::adds", "b.spec.ts::adds", "a.spec.ts::a \u203a b", "a.spec.ts::a b"],
    "nextest": ["c::m::one", "c::n::one", "d::m::one", "c::m::two"],
    "phpunit": ["N.ATest::test1", "N.ATest::test1 with data set #0", "N\\ATest::test2",
                "BTest::test1"],
    "ctest": ["one::one", "A.two::A.two", "A.three"],
    "googletest": ["A::one", "P/A::two/0", "P/A::two/1", "T/0::one", "T/1::one"],
    "cargo": ["c::m::one", "c::n::one", "d::m::one", "c::m::two", "src/a.rs::two (line 3)"],
    "failsafe": ["p.AIT::one", "p.AIT::one[2]", "p.BIT::one"],
    "minitest": ["ATest::test_1", "ATest::test_2", "B::ATest::test_1"],
    "dotnet": ["N.A::One", "N.A::One(1)", "N.A::Two", "N.B+C::One"],
    "robot": ["S.A::One x", "S.A::one_x", "S.A::Two", "S.B::One x"],
    "rspec": ["spec.a_spec::A one", "spec.a_spec::A two", "spec.b.c_spec::A one"],
}  # fmt: skip


@given(any_text, counts)
def test_any_name_is_in_one_part(text, count):
    assert 1 <= part_of(text, count) <= count


@given(
    st.lists(st.lists(ids, max_size=20), min_size=1, max_size=9),
    st.sampled_from(["text", *RUNNERS]),
    st.dictionaries(ids, st.floats(0.0, 1e6), max_size=9),
)
def test_machines_that_know_different_cases_leave_no_gap_and_no_overlap(known, form, durations):
    """Part i of as many as there are machines runs on machine i, which knows what it knows."""
    unit = RUNNERS[form].undivided if form in RUNNERS else file_unit
    parts = Parts(Division.by_durations(len(known), durations.items()), unit)
    ran = [[case for case in own if parts.of(case) == i] for i, own in enumerate(known, 1)]
    again = [
        [case for case in reversed(own) if parts.of(case) == i] for i, own in enumerate(known, 1)
    ]
    assert list(map(sorted, ran)) == list(map(sorted, again))
    for i, mine in enumerate(ran):
        for theirs in ran[i + 1 :]:
            assert not set(mine) & set(theirs)
    everywhere = set(known[0]).intersection(*known[1:])
    assert everywhere <= {case for mine in ran for case in mine}


@given(st.dictionaries(ids, st.floats(0.0, 1e6), max_size=30), counts)
def test_durations_that_all_agree_on_balance(durations, count):
    """Whatever the order of the file; no part is longer than its share by more than one unit."""
    division = Division.by_durations(count, durations.items())
    assert division == Division.by_durations(count, reversed(durations.items()))
    assert set(division.placed) == set(durations)
    loads = [
        sum(s for u, s in durations.items() if division.of(u) == i) for i in range(1, count + 1)
    ]
    longest = max(durations.values(), default=0.0)
    assert max(loads) <= sum(loads) / count + longest + 0.1


def test_a_file_of_durations_is_read_as_it_was_written(tmp_path):
    cases = [
        ("a.py::A::t", 3.0),
        ("a.py::A::u", 1.234),
        ("b.py::\udcff[1]", 5.0),
        ("c.py::t", 0.001),
    ]
    path = tmp_path / "durations.json"
    path.write_text(durations_text(cases))
    assert read_durations(path) == {"a.py::A": 4.2, "b.py::\udcff": 5.0}
    for text in ("", "[]", '{"a": -1}', '{"a": "1"}', '{"a": Infinity}', '{"a": true}', "[" * 9999):
        path.write_text(text)
        with pytest.raises(ValueError, match="durations"):
            read_durations(path)
    with pytest.raises(ValueError, match=r"cannot read the durations .*none"):
        read_durations(tmp_path / "none")


@given(node_ids, any_text, counts)
def test_parameters_and_methods_stay_together(node_id, other, count):
    parts = Parts(Division(count), node_unit)
    if node_id.endswith("]"):
        changed = f"{node_id[: node_id.index('[', node_id.index('::'))]}[{other}]"
        assert parts.of(changed) == parts.of(node_id)
    assert Parts(Division(count)).of(node_id) == Parts(
        Division(count), RUNNERS["pytest"].undivided
    ).of(node_id)


@pytest.mark.parametrize("form", RUNNERS)
def test_no_argument_asks_for_a_case_of_another_part(form, tmp_path):
    """Cases that the same argument runs are never divided; and several parts have something."""
    runner, family = RUNNERS[form], FAMILIES["jest" if form == "vitest" else form]
    printed = {
        c: arguments_for(runner, Request(cases=[c], known=family, root=tmp_path)).text
        for c in family
    }
    units = {case: runner.undivided(case) for case in family}
    for one in family:
        for other in family:
            if printed[one] == printed[other]:
                assert units[one] == units[other], (one, other)
    assert len(set(units.values())) > 1


def test_a_name_stays_in_its_part_from_version_to_version():
    """Machines may run different versions of testopt: the numbers are those of the first one."""
    names = ["tests/test_a.py", "tests/test_b.py::Test", "é\udcff"]
    assert [[part_of(name, count) for count in (2, 3, 7)] for name in names] == [
        [2, 1, 4],
        [2, 1, 2],
        [2, 2, 4],
    ]
