"""Every case of a plan says why it stands where it stands, in words that are made in one place."""

import pytest
from builders import run_features

from testopt.features.run_features import RunFeatures
from testopt.ranking.reasons import reasons
from testopt.reasons import Reason, ReasonKind, Role, left_out, sentence, summed_up, words

WITH_CHANGE = Reason(ReasonKind.FAILED_WITH_CHANGE, (4, 11, "billing/", "3f2a91c"))
BELOW = Reason(ReasonKind.BELOW_THRESHOLD, (0.25, 0.5))


def seen(runs, fails):
    return {"executions": runs, "failures": fails}


def in_words(features, cofailure=None):
    return [sentence(found) for found in reasons(features, cofailure=cofailure)]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "new case"),
        (seen(9, 0), "never failed in 9 runs"),
        (seen(1, 0), "never failed in 1 run"),
        (
            {**seen(9, 4), "runs_since_failure": 2},
            "failed in 4 of 9 runs, last 3 runs ago",
        ),
        ({**seen(9, 4), "runs_since_failure": 0}, "failed in 4 of 9 runs, last time it ran"),
        ({**seen(9, 4), "failing_in_parent": True}, "failed in the previous run"),
        ({**seen(9, 0), "in_change": 1.0}, "the test itself was changed; never failed in 9 runs"),
        ({"calls_share": 0.9, "words_share": 0.6}, "calls what was changed; new case"),
        ({"words_share": 0.4}, "new case"),
        (
            {**seen(214, 0), "hops": 10.0, "import_hops": 10.0, "words_share": 0.1},
            "never failed in 214 runs; nothing it names changed",
        ),
        (
            {**seen(214, 0), "hops": 10.0, "import_hops": 10.0, "words_share": 0.9},
            "shares words with the change; never failed in 214 runs",
        ),
    ],
)
def test_words(values, text):
    assert in_words(run_features(1, **values)) == [text]


def test_no_cases():
    assert reasons(run_features(0)) == []


def test_what_the_change_did_before_replaces_mere_rates():
    text = "failed in 4 of 11 changes to `billing/`, last at 3f2a91c"
    failed = run_features(1, **seen(9, 4), runs_since_failure=0)
    x = RunFeatures.concatenate([failed, run_features(1, **seen(9, 0))])
    assert in_words(x, {0: WITH_CHANGE}) == [text, "never failed in 9 runs"]
    fresh = run_features(1, **seen(9, 4), failing_in_parent=True)
    assert in_words(fresh, {0: WITH_CHANGE}) == [f"{text}; failed in the previous run"]


def test_the_strongest_evidence_comes_first_then_the_past():
    values = {**seen(9, 4), "failing_in_parent": True, "calls_share": 1.0}
    far = {**seen(9, 0), "hops": 10.0, "import_hops": 10.0, "words_share": 0.0}
    for x in (run_features(1, **values), run_features(1, **far)):
        (found,) = reasons(x, cofailure={0: WITH_CHANGE})
        roles = [reason.role for reason in found]
        assert roles == sorted(roles)
        assert Role.PAST in roles


def test_a_case_that_is_left_out_has_no_reason_for_running():
    near = run_features(1, **seen(9, 0), calls_share=1.0)
    (found,) = reasons(near)
    text = "its score 0.25 is below the threshold 0.5; never failed in 9 runs"
    assert sentence(left_out((BELOW, None), found)) == text


def test_reasons_are_summed_up_by_kind():
    found = [
        WITH_CHANGE,
        Reason(ReasonKind.FAILED, (3, 9, 2)),
        Reason(ReasonKind.FAILED, (4, 9, 0)),
        Reason(ReasonKind.NEVER_FAILED, (9,)),
        Reason(ReasonKind.NEVER_FAILED, (214,)),
        Reason(ReasonKind.NEVER_FAILED, (9,)),
        Reason(ReasonKind.IMPORTS, ("pkg/a.py", "pkg/b.py")),
        Reason(ReasonKind.RAN_FUNCTION, ("add", "pkg/a.py")),
        Reason(ReasonKind.CALLS_CHANGE),
    ]
    assert summed_up(found) == [
        ("never failed", 3),
        ("failed before", 2),
        ("calls what was changed", 1),
        ("failed when the same was changed", 1),
        ("imports or reads what changed", 1),
        ("ran what changed", 1),
    ]
    assert summed_up(found, most=1) == [("never failed", 3), ("other reasons", 6)]
    assert summed_up([]) == []


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (Reason(ReasonKind.IMPORTS, ("a.py", "")), "imports a.py"),
        (Reason(ReasonKind.IMPORTS, ("a.py", "b.py")), "imports a.py through b.py"),
        (Reason(ReasonKind.MAY_READ, ("a.json", "")), "may read a.json"),
        (Reason(ReasonKind.MAY_READ, ("{}.json", "b.py")), "may read {}.json (by way of b.py)"),
        (Reason(ReasonKind.TROUBLE, ("no {such} file",)), "no {such} file"),
        (
            Reason(ReasonKind.STARTS_PROCESSES, ("b.py",)),
            "starts processes, which may run anything (by way of b.py)",
        ),
        (
            Reason(ReasonKind.OVER_BUDGET, (0.25, 0.5, 60.0)),
            "its score 0.25 is below the threshold 0.5 that the budget of 1 min allows",
        ),
        (
            Reason(ReasonKind.LONGER_THAN_BUDGET, (90.0, 60.0)),
            "it takes 1 min 30 s, where the budget leaves 1 min",
        ),
    ],
)
def test_values_in_words(reason, text):
    assert words(reason) == text


def test_every_kind_has_a_role():
    assert all(isinstance(Reason(kind).role, Role) for kind in ReasonKind)
