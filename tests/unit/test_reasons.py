"""Every case of a plan says why it stands where it stands."""

import pytest
from builders import run_features

from testopt.features.reasons import reasons, summed_up
from testopt.features.run_features import RunFeatures


def seen(runs, fails):
    return {"executions": runs, "failures": fails}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "new case"),
        (seen(9, 0), "never failed in 9 runs"),
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
def test_words(values, words):
    assert reasons(run_features(1, **values)) == [words]


def test_no_cases():
    assert reasons(run_features(0)) == []


def test_what_the_change_did_before_replaces_mere_rates():
    words = "failed in 4 of 11 changes to `billing/`, last at 3f2a91c"
    failed = run_features(1, **seen(9, 4), runs_since_failure=0)
    x = RunFeatures.concatenate([failed, run_features(1, **seen(9, 0))])
    assert reasons(x, told={0: words}) == [words, "never failed in 9 runs"]
    fresh = run_features(1, **seen(9, 4), failing_in_parent=True)
    assert reasons(fresh, told={0: words}) == [f"{words}; failed in the previous run"]


def test_reasons_are_summed_up_by_kind():
    said = [
        "failed in 4 of 11 changes to `billing/`, last at 3f2a91c; new case",
        "failed in 3 of 9 runs, last 3 runs ago",
        "failed in 4 of 9 runs, last time it ran",
        "never failed in 9 runs",
        "never failed in 214 runs; nothing it names changed",
        "never failed in 7 runs",
        "imports pkg/a.py through pkg/b.py; new case",
        "ran `add` of pkg/a.py; new case",
        "calls what was changed; never failed in 2 runs",
    ]
    assert summed_up(said) == [
        ("never failed", 3),
        ("failed before", 2),
        ("calls what was changed", 1),
        ("failed when the same was changed", 1),
        ("imports or reads what changed", 1),
        ("ran what changed", 1),
    ]
    assert summed_up(said, most=1) == [("never failed", 3), ("other reasons", 6)]
    assert summed_up([]) == []
