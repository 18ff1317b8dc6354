"""The arrangement of cases: a permutation, ranked, and never with more set-ups."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from testopt.pytest_plugin.order import Case, CaseRanks, Use, arrange, count_setups


def module_case(module: str, *uses: Use) -> Case:
    return Case(frozenset({module}), uses)


def in_module(key: str, module: str, **kwargs) -> Use:
    return Use(key, module, **kwargs)


def param(key: str, value: int) -> Use:
    return Use(key, None, value, frozenset({(key, value)}))


def test_cases_without_wide_fixtures_follow_their_rank():
    cases = [Case(), Case(), Case(), Case()]
    assert arrange(cases, CaseRanks([2, 0, 3, 1])) == [1, 3, 0, 2]


def test_no_cases_give_no_order():
    assert arrange([], CaseRanks([])) == []


def test_users_of_one_module_fixture_stay_together_and_are_ranked_inside():
    shared = in_module("f", "a")
    cases = [module_case("a", shared), module_case("b"), module_case("a", shared)]
    assert arrange(cases, CaseRanks([2, 1, 0])) == [2, 0, 1]


def test_other_cases_of_the_module_may_leave_it():
    shared = in_module("f", "a")
    cases = [module_case("a", shared), module_case("a", shared), module_case("a")]
    assert arrange(cases, CaseRanks([1, 2, 0])) == [2, 0, 1]


def test_a_block_with_a_likely_case_among_many_unlikely_ones_comes_by_its_best_beginning():
    shared = in_module("f", "a")
    cases = [module_case("b")] * 3 + [module_case("a", shared)] * 3
    probability = [0.5, 0.2, 0.1, 0.3, 0.0, 0.0]
    ranking = CaseRanks([0, 2, 3, 1, 4, 5], probability, [1.0] * 6)
    assert arrange(cases, ranking) == [0, 3, 4, 5, 1, 2]


def test_a_slow_block_waits_for_its_value_per_second():
    shared = in_module("f", "a")
    cases = [module_case("a", shared), module_case("a", shared), module_case("b")]
    ranking = CaseRanks([1, 2, 0], [0.4, 0.4, 0.3], [100.0, 100.0, 1.0])
    assert arrange(cases, ranking) == [2, 0, 1]


def test_cases_of_one_level_keep_their_original_order():
    ranking = CaseRanks([5, 1, 4, 0, 3, 2], level=[1, 0, 1, 0, 1, 0])
    assert arrange([Case()] * 6, ranking) == [1, 3, 5, 0, 2, 4]


def test_parameters_of_a_session_fixture_keep_their_groups():
    cases = [Case(uses=(param("s", value),)) for value in (0, 0, 1, 1)]
    order = arrange(cases, CaseRanks([0, 3, 1, 2]))
    assert order == [0, 1, 2, 3]
    assert count_setups(cases, order) == {("s", 0): 1, ("s", 1): 1}


def test_a_pinned_case_is_not_crossed():
    assert arrange([Case()] * 5, CaseRanks([4, 3, 2, 1, 0]), {2}) == [1, 0, 2, 4, 3]


def test_a_block_around_a_pinned_case_stays_where_it_is():
    shared = in_module("f", "a")
    cases = [module_case("a", shared), module_case("b"), module_case("b"), module_case("a", shared)]
    order = arrange(cases, CaseRanks([3, 2, 1, 0]), {2})
    assert order == [0, 1, 2, 3]


def test_a_fixture_is_set_up_again_when_its_module_is_left():
    shared = in_module("f", "a")
    cases = [module_case("a", shared), module_case("b"), module_case("a", shared)]
    assert count_setups(cases, [0, 1, 2]) == {("f", None): 2}
    assert count_setups(cases, [0, 2, 1]) == {("f", None): 1}


def test_a_fixture_is_set_up_again_with_the_one_that_it_needs():
    def case(value: int) -> Case:
        below = param("s", value)
        return Case(uses=(below, Use("t", None, None, below.params, ("s",))))

    counts = count_setups([case(0), case(1)], [0, 1, 0])
    assert counts == {("s", 0): 2, ("s", 1): 1, ("t", None): 3}


@st.composite
def suites(draw):
    """Suites of cases in modules and classes, with fixtures of all scopes and parameters."""
    cases = []
    needs = {module: draw(st.sets(st.sampled_from("pq"))) for module in "ab"}
    for _ in range(draw(st.integers(1, 14))):
        module = draw(st.sampled_from("ab"))
        klass = draw(st.sampled_from(["", "C", "D"]))
        nodes = {module} | ({module + klass} if klass else set())
        with_module_fixture = draw(st.booleans())
        keys = draw(st.sets(st.sampled_from("pq"))) | (
            needs[module] if with_module_fixture else set()
        )
        uses = [param(key, draw(st.integers(0, 1))) for key in sorted(keys)]
        if with_module_fixture:
            params = frozenset().union(*(use.params for use in uses if use.key in needs[module]))
            uses.append(Use(f"m{module}", module, None, params, tuple(sorted(needs[module]))))
        if klass and draw(st.booleans()):
            value = draw(st.sampled_from([None, 0, 1]))
            own = frozenset() if value is None else frozenset({("c" + module + klass, value)})
            uses.append(Use("c" + module + klass, module + klass, value, own))
        cases.append(Case(frozenset(nodes), tuple(uses)))
    return cases


@settings(max_examples=200, deadline=None)
@given(suites(), st.randoms(use_true_random=False), st.booleans(), st.sets(st.integers(0, 13)))
def test_no_fixture_is_set_up_more_often(cases, random, valued, pinned):
    count = len(cases)
    rank = list(range(count))
    random.shuffle(rank)
    values = [random.random() for _ in rank] if valued else []
    pinned = {p for p in pinned if p < count} if random.random() < 0.3 else set()
    level = [r // 3 for r in rank] if random.random() < 0.5 else []
    order = arrange(cases, CaseRanks(rank, values, [1.0] * len(values), level), pinned)
    assert sorted(order) == list(range(count))
    before, after = count_setups(cases, range(count)), count_setups(cases, order)
    assert {k: n for k, n in after.items() if n > before[k]} == {}
    for place in pinned:
        assert order[place] == place
        assert set(order[:place]) == set(range(place))


@settings(max_examples=100, deadline=None)
@given(suites(), st.randoms(use_true_random=False))
def test_the_order_depends_on_nothing_but_its_input(cases, random):
    rank = list(range(len(cases)))
    random.shuffle(rank)
    renamed = [
        Case(
            frozenset(f"other {n}" for n in case.nodes),
            tuple(
                Use(
                    f"z{u.key}",
                    u.node and f"other {u.node}",
                    u.param,
                    frozenset(str(p) for p in u.params),
                    tuple(f"z{n}" for n in u.needs),
                )
                for u in case.uses
            ),
        )
        for case in cases
    ]
    assert arrange(cases, CaseRanks(rank)) == arrange(renamed, CaseRanks(rank))
