"""A case that did not come back is reported exactly where it should be."""

from hypothesis import given
from hypothesis import strategies as st

from testopt.selection.came_back import Fate, check_parts


@st.composite
def stories(draw, *, is_coarse=False):
    """Return a plan in parts, what is gone, and what each of several ingestions brings.

    Of each part either nothing comes, or all that is there, or a cut of it; parts may come twice.
    A coarse runner runs whole files, whatever was asked for of them.
    """
    count = draw(st.integers(1, 4))
    files = draw(st.integers(1, 5))
    cases = [
        f"t{f}.py::test_{f}[{n}]" for f in range(files) for n in range(draw(st.integers(1, 4)))
    ]
    part = {case: draw(st.integers(0, count)) for case in cases}  # 0: left out
    planned = {case: f"{n}/{count}" for case, n in part.items() if n}
    gone = set(draw(st.lists(st.sampled_from(cases), unique=True)))
    calls, cut = [], set()
    for number in draw(st.permutations(range(1, count + 1))):
        own = [c for c in cases if part[c] == number and c not in gone]
        how = draw(st.sampled_from(["nothing", "whole", "whole", "cut", "twice"]))
        if how == "nothing" or not own:
            continue
        if how == "cut" and not is_coarse:
            own = own[: draw(st.integers(1, len(own)))]
            cut.add(number)
        if is_coarse:
            names = {c.partition("::")[0] for c in own}
            own = [c for c in cases if c.partition("::")[0] in names and c not in gone]
        calls += [(number, own)] * (2 if how == "twice" else 1)
    return planned, gone, calls, [c for c in cases if not part[c]]


def fates(gone):
    return lambda cases: {c: Fate.GONE if c in gone else Fate.THERE for c in cases}


def alone(case):
    """Return a case that shares no function, file or name with another one."""
    file, _, name = case.partition("::")
    own = name.replace("[", "_").replace("]", "")
    return f"{own}_{file}::{own}"


@given(stories())
def test_what_is_missing_is_that_of_the_parts_that_came(story):
    planned, gone, calls, left_out = story
    planned = {alone(case): part for case, part in planned.items()}
    gone, left_out = {alone(c) for c in gone}, [alone(c) for c in left_out]
    came, numbers = set(), set()
    for number, own in calls:
        fresh = {alone(c) for c in own}
        came, numbers = came | fresh, {*numbers, number}
        parts = check_parts(planned, came, left_out=left_out, fates=fates(gone), fresh=fresh)
        for part in parts:
            has_come = int(part.name.partition("/")[0]) in numbers
            of_part = {c for c, name in planned.items() if name == part.name}
            assert set(part.missing) == of_part - came - gone
            assert set(part.gone) == of_part & gone
            assert part.is_to_come == (bool(of_part - came - gone) and not has_come)


@given(stories(is_coarse=True))
def test_what_a_coarse_runner_brings_along_is_no_part(story):
    planned, gone, calls, left_out = story
    came, numbers = set(), set()
    for number, own in calls:
        came, numbers = came | set(own), {*numbers, number}
        for seen in (None, set(own)):
            parts = check_parts(planned, came, left_out=left_out, fates=fates(gone), fresh=seen)
            for part in parts:
                has_come = int(part.name.partition("/")[0]) in numbers
                assert not (has_come and part.missing)
                assert part.is_to_come == bool(part.missing)


@given(stories())
def test_no_lost_case_is_forgotten(story):
    planned, gone, calls, left_out = story
    came = {case for _, own in calls for case in own}
    parts = check_parts(planned, came, left_out=left_out, fates=fates(gone))
    told = {case for part in parts for case in (*part.missing, *part.gone)}
    assert told >= set(planned) - came - gone
    assert sum(part.came for part in parts) == len(planned.keys() & came)
