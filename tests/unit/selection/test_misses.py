"""Which change is charged with a case that fails after it had been left out."""

from dataclasses import replace

import pytest

from testopt.selection.misses import REACH, CasePrediction, PastRun, parents, regressions

CASE = "tests/test_a.py::test_1"


def chain(*outcomes: str, **given) -> list[PastRun]:
    """Return runs of one branch: ``p`` passed, ``f`` failed, ``-`` left out, ``?`` not planned."""
    runs = []
    for n, outcome in enumerate(outcomes):
        guess = {CASE: CasePrediction(selected=outcome in "pf", probability=0.01, score=0.1)}
        run = PastRun(
            f"r{n}",
            float(n),
            "job",
            "main",
            commit=f"c{n}",
            base=f"c{n - 1}",
            changed=frozenset({"src/x.py"}),
            failed={CASE} if outcome == "f" else frozenset(),
            passed={CASE} if outcome == "p" else frozenset(),
            predictions={} if outcome == "?" else guess,
        )
        runs.append(replace(run, **given))
    return runs


def found(runs):
    return list(regressions(runs))


def likely(runs, at, probability):
    """Return the runs with another probability of the case in one of them."""
    guess = replace(runs[at].predictions[CASE], probability=probability)
    runs[at] = replace(runs[at], predictions={CASE: guess})
    return runs


def test_a_failure_right_after_a_pass_is_of_its_own_change():
    (one,) = found(chain("p", "f"))
    assert (one.found, one.cause, len(one.candidates), one.late) == (1, 1, 1, False)


@pytest.mark.parametrize("outcomes", ["f", "ff", "-f", "pff", "f-f"])
def test_without_a_pass_in_an_ancestor_nothing_regressed(outcomes):
    assert [one for one in found(chain(*outcomes)) if one.found == len(outcomes) - 1] == []


def test_a_pass_further_back_than_the_reach_is_no_label():
    assert found(chain("p", *"-" * (REACH - 1), "f"))
    assert not found(chain("p", *"-" * REACH, "f"))


def test_a_full_run_of_the_same_commit_charges_the_run_that_left_it_out():
    runs = chain("p", "-", "f")
    runs[2] = replace(runs[2], commit="c1", base="c0")
    (one,) = found(runs)
    assert (one.found, one.cause, len(one.candidates), one.late) == (2, 1, 1, True)


def test_the_change_of_the_cases_own_file_is_the_cause():
    runs = chain("p", "-", "-", "f")
    runs[1] = replace(runs[1], changed=frozenset({"tests/test_a.py"}))
    (one,) = found(runs)
    assert (one.cause, len(one.candidates)) == (1, 1)


def test_the_odds_of_the_plans_single_a_change_out():
    (one,) = found(likely(chain("p", "-", "-", "f"), 3, 0.9))
    assert (one.cause, len(one.candidates), one.late) == (3, 1, False)
    (one,) = found(likely(chain("p", "-", "-", "f"), 2, 0.5))
    assert (one.cause, len(one.candidates), one.late) == (2, 1, True)


def test_else_all_candidates_are_named_with_their_shares():
    (one,) = found(likely(chain("p", "-", "-", "f"), 1, 0.02))
    assert len(one.candidates) > 1
    assert one.cause == 1
    assert [at for at, _ in one.candidates] == [1, 3, 2]
    odds = [0.02 / 0.98, 0.01 / 0.99, 0.01 / 0.99]
    assert [share for _, share in one.candidates] == pytest.approx([o / sum(odds) for o in odds])


def test_the_finder_is_charged_where_it_is_likelier_than_the_others_together():
    (one,) = found(likely(chain("p", "-", "-", "f"), 3, 0.1))
    assert one.cause == 3
    assert len(one.candidates) > 1


def test_runs_that_did_not_plan_the_case_are_candidates_too():
    runs = chain("p", "?", "f")
    assert {at for at, _ in found(runs)[0].candidates} <= {1, 2}
    assert found(likely(runs, 2, 0.3))[0].cause == 2


def test_a_case_of_both_outcomes_at_one_commit_is_flaky():
    runs = chain("p", "f", "p")
    runs[2] = replace(runs[2], commit="c1", base="c0")
    assert not found(runs)


def test_edits_that_are_in_no_commit_are_changes_of_their_own():
    runs = [
        replace(run, commit="c0", base="c0" if n else "c9")
        for n, run in enumerate(chain("p", "-", "f", "p"))
    ]
    (one,) = found(runs)
    assert {at for at, _ in one.candidates} == {1, 2}


def test_other_branches_and_jobs_say_nothing():
    runs = chain("p", "f")
    for given in ({"branch": "other", "base": "elsewhere"}, {"job": "other"}):
        assert not found([runs[0], replace(runs[1], **given)])


def test_a_new_branch_descends_from_its_base():
    runs = chain("p", "p", "f")
    runs[2] = replace(runs[2], branch="feature", base="c0")
    assert parents(runs) == [None, 0, 0]
    assert [one.cause for one in found(runs)] == [2]


def test_a_seeded_variant_descends_from_what_it_was_made_from_and_has_no_heirs():
    runs = chain("p", "f", "p")
    runs[1] = replace(runs[1], made_from="r0")
    assert parents(runs) == [None, 0, 0]


def test_only_the_runs_that_are_asked_for_are_judged():
    runs = chain("p", "f", "p", "f")
    assert [one.found for one in regressions(runs, only={3})] == [3]


def test_the_part_of_a_suite_that_planned_the_case_answers_for_it():
    """Two parts run at each commit; the case belongs to the second."""
    runs = chain("p", "?", "f")
    runs[2] = replace(runs[2], commit="c1", base="c0")
    (one,) = found(runs)
    assert (one.found, one.cause, len(one.candidates)) == (2, 2, 1)


def test_the_same_tree_is_the_same_code_whatever_the_commit():
    runs = [replace(run, tree="t") for run in chain("p", "f")]
    assert found(runs) == []  # flaky
    assert found([replace(runs[0], tree="u"), runs[1]])
    # edits of no commit: equal ones are the same code, others are not
    edited = [replace(run, commit="c", base="c") for run in runs]
    assert found(edited) == []
    assert found([replace(edited[0], tree="u"), edited[1]])


def test_what_changed_nothing_by_its_tree_is_not_charged():
    trees = ("a", "b", "b")
    runs = [replace(r, tree=t) for r, t in zip(chain("p", "-", "f"), trees, strict=True)]
    (one,) = found(runs)
    assert (one.cause, one.candidates) == (1, ((1, 1.0),))


def test_a_run_of_edits_is_no_ancestor_of_what_begins_at_its_commit():
    runs = chain("p", "f", "f")
    runs[1] = replace(runs[1], commit="c0", base="c0", branch="other", tree="t")
    runs[2] = replace(runs[2], base="c0", branch="new")
    assert parents(runs) == [None, 0, 0]
    runs[1] = replace(runs[1], tree=None)  # of format 1 that is not known
    assert parents(runs) == [None, 0, 1]
