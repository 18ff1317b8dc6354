"""Plans beside what came of them, on hand-made tables with known answers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from builders import START, make_change, make_run, prediction_row

from testopt.errors import EmptyStoreError, SettingsError
from testopt.learning.metrics import wilson
from testopt.monitor import monitor
from testopt.monitor.calibration import LEAST_RUNS
from testopt.schema import Result, RunRecord
from testopt.selection import plan_log
from testopt.selection.plan_log_file import load
from testopt.selection.plan_log_tables import LoggedPlan
from testopt.selection.policy import Policy
from testopt.selection.promotion import PlanOutcome, Rules
from testopt.selection.trust import trust_now
from testopt.settings import Settings
from testopt.store import Store

CASES = ("test_a.py::test_1", "test_b.py::test_2", "test_c.py::test_3", "test_d.py::test_4")
SHADOW = Policy(mode="shadow", bundle="b1", kind="promise", recall=0.95, threshold=0.5)
SELECT = Policy(mode="select", bundle="b1", kind="promise", recall=0.95, threshold=0.5)
EXPLORED = Policy(
    mode="select", bundle="b1", kind="promise", recall=0.95, threshold=0.5, explored=True
)
DRAWN = 0.25  # propensity of what is left out


class Story:
    """A store that is told run by run what each of four cases did.

    One letter a case: ``p`` and ``f`` for what was selected, ``P`` and ``F`` for what was left out
    and ran all the same, ``-`` for what was left out.
    """

    def __init__(self, path) -> None:
        self.store = Store.open(path, create=True)
        self.count = 0
        self.waiting: list[RunRecord] = []

    def run(self, marks: str, policy: Policy | None = SHADOW, **given) -> str:
        n, self.count = self.count, self.count + 1
        outcomes = {"p": "passed", "f": "failed"}
        results = [
            Result(case, outcomes[mark.lower()], 1.0 + place)
            for place, (case, mark) in enumerate(zip(CASES, marks, strict=True))
            if mark != "-"
        ]
        rows = [self.row(place, mark, policy) for place, mark in enumerate(marks)] if policy else []
        ids = {"commit": f"{n + 1:040d}", "base": f"{n:040d}", "branch": "main", **given}
        run = make_run(f"run {n}", 12 * n, source="pytest", **ids)
        self.waiting.append(RunRecord(run, results, make_change("src.py"), rows))
        return run.run_id

    def settle(self) -> None:
        """Record what was told so far; the plugin does so run by run."""
        self.store.append_runs(self.waiting)
        plan_log.update_log(self.store)
        self.waiting.clear()

    def trust(self, rules=None):
        self.settle()
        log = load(self.store)
        return trust_now(log, rules or Rules(), None), log

    @staticmethod
    def row(place, mark, policy):
        selected = mark in "pf"
        return prediction_row(
            CASES[place], place + 1, reason="", selected=selected, executed=mark != "-",
            probability=0.25 if selected else 0.01, score=0.9 if selected else 0.1,
            policy=policy.dump(),
            propensity=1.0 if selected or policy.mode == "shadow" else DRAWN,
        )  # fmt: skip

    def report(self, **given):
        self.settle()
        return monitor(store=self.store, rules=Rules(days=1, regressions=2), **given)

    def kept_equals_rebuilt(self):
        kept = self.trust()[1]
        assert kept == plan_log.rebuild(self.store)[0]
        assert kept == load(self.store)
        return kept


@pytest.fixture
def story(tmp_path):
    return Story(tmp_path / "store")


def test_shadow_says_what_would_have_been_missed_and_saved(story):
    story.run("ppPP")
    story.run("fpPP")  # caught
    story.run("ppPP")
    story.run("ppPF")  # missed: a false green
    story.run("fpPF")  # the other is known to fail: one new regression, caught
    story.run("ppPP")
    story.run("pfFP")  # caught, one of two cases selected
    report = story.report()
    (every, only) = report.shadow
    assert (only.mode, only.bundle, only.recall) == ("shadow", "b1", 0.95)
    assert (every.runs, report.plans, report.runs) == (7, 7, 7)
    assert (every.caught.count, every.caught.of) == (3, 4)
    assert (every.caught.low, every.caught.high) == wilson(3, 4)
    assert (every.cases.count, every.cases.of) == (3, 5)
    assert (every.false_greens.count, every.false_greens.of) == (1, 4)
    assert (every.kept.count, every.kept.of) == (14, 28)
    assert (every.seconds, every.saved_s) == (70.0, 49.0)
    (miss,) = report.misses
    assert (miss.run_id, miss.commit, miss.cases) == ("run 3", f"{4:040d}", (CASES[3],))
    assert (miss.found_in, len(miss.candidates)) == ("run 3", 1)
    assert report.select is None
    story.kept_equals_rebuilt()


def test_a_miss_that_is_found_late_is_charged_to_its_change_and_moves_the_evidence(story):
    story.run("pppp", SELECT)
    story.run("ppp-", SELECT)  # it breaks here
    story.run("pppF", EXPLORED, commit=f"{2:040d}", base=f"{1:040d}")  # and is found here
    report = story.report()
    (miss,) = report.misses
    assert (miss.run_id, miss.mode, miss.found_in) == ("run 1", "select", "run 2")
    assert len(miss.candidates) == 1
    (verdict,) = story.kept_equals_rebuilt().outcomes
    assert (verdict.run_id, verdict.missed, verdict.source) == ("run 1", True, "late")
    assert verdict.known == (START + timedelta(hours=24)).timestamp()
    assert verdict.scores == pytest.approx((0.1,))
    assert verdict.allowed == pytest.approx(0.05)
    late = plan_log.late_misses(story.store)
    assert late.found == {("run 2", CASES[3])}
    assert late.owners == {"run 1": verdict}
    assert not plan_log.late_misses(story.store, until=START + timedelta(hours=13)).found


def test_a_miss_of_several_changes_names_them_all(story):
    story.run("pppp", SELECT)
    story.run("ppp-", SELECT)
    story.run("ppp-", SELECT)
    story.run("pppF", EXPLORED)
    (miss,) = story.report().misses
    assert [run for run, _, _ in miss.candidates] == ["run 3", "run 2", "run 1"]
    assert sum(share for _, _, share in miss.candidates) == pytest.approx(1.0)
    assert miss.run_id == "run 2"  # the latest that left it out
    story.kept_equals_rebuilt()


def test_select_counts_what_ran_and_weighs_what_was_drawn(story):
    story.run("pppp", SELECT)
    story.run("fpPF", EXPLORED)  # all ran: one kept, one left out
    story.run("pp-p", SELECT)
    story.run("ppF-", SELECT)  # found by the draw alone
    story.run("fp--", SELECT)
    select = story.report().select
    assert (select.runs, select.explored, select.refreshed) == (5, 1, 1)
    assert (select.executed, select.left_out) == (16, 4)
    # the third case takes 3 s, the fourth 4
    assert (select.saved_s, select.seconds) == (3.0 + 4.0 + 3.0 + 4.0, 50.0 - 14.0)
    assert (select.explored_recall.count, select.explored_recall.of) == (1, 1)
    weighted = select.weighted
    assert (weighted.selected, weighted.found) == (2, 2)
    assert weighted.missed == pytest.approx(2 / DRAWN)
    assert weighted.recall == pytest.approx(2 / (2 + 8))
    assert weighted.low < weighted.recall < weighted.high


def test_promotion_then_misses_then_back(story):
    rules = Rules(days=1, regressions=2)
    states = []
    for marks in ("pppp", "fppP", "pppP", "fppP", "pppP", "fppP"):
        states.append(story.trust(rules)[0].state)
        story.run(marks)
    # the third regression would be needed only if the first had been missed
    assert states == ["shadow"] * 4 + ["select"] * 2
    story.run("pppP", SELECT)
    for _ in range(3):
        story.run("pppF", EXPLORED)
        story.run("pppP", EXPLORED)
    trust, _ = story.trust(rules)
    assert (trust.state, trust.fallen) == ("shadow", True)
    assert "rolled back" in trust.why
    report = story.report()
    assert report.trust == trust
    assert set(report.troubles) >= {"misses"}
    assert "3 of 6 regressions missed" in report.troubles["misses"]


def test_a_plan_without_a_threshold_is_no_evidence(story):
    everything = Policy(mode="shadow", bundle="b1", kind="none", recall=0.95)
    story.run("pppp", everything)
    story.run("fppp", everything)
    report = story.report()
    assert (report.plans, report.shadow, report.trust.regressions) == (0, (), 0)


def test_a_plan_that_leaves_cases_out_without_a_promise_is_judged_all_the_same(story):
    safe = Policy(mode="shadow", bundle="b1", kind="none", recall=1.0)
    story.run("ppPP", safe)
    story.run("ppPF", safe)
    assert story.report().plans == 2
    assert [(v.missed, v.allowed) for v in story.kept_equals_rebuilt().outcomes] == [(True, 0.05)]


def test_an_estimate_is_held_to_the_lower_end_of_its_interval(story):
    estimate = Policy(mode="shadow", bundle="b1", kind="estimate", recall=0.95, low=0.6)
    story.run("pppP", estimate)
    story.run("fppP", estimate)
    (verdict,) = story.kept_equals_rebuilt().outcomes
    assert verdict.allowed == pytest.approx(0.4)


def test_what_was_kept_in_spite_of_its_score_counts_as_always_caught(story):
    story.run("pppp", SHADOW)
    strict = Policy(mode="shadow", bundle="b1", kind="promise", recall=0.95, threshold=0.95)
    story.run("fppF", strict)
    (verdict,) = story.kept_equals_rebuilt().outcomes
    assert verdict.scores == (np.inf, pytest.approx(0.1))
    assert not verdict.missed


def test_a_plan_that_was_not_followed_is_no_evidence_and_is_counted(story):
    story.run("pppp", Policy(mode="shadow", fell_back="the engine hangs"))
    story.run("fppP", Policy(mode="shadow", fell_back="the engine hangs"))
    report = story.report()
    assert report.plans == 0
    assert report.fallbacks == (("the engine hangs", 2),)
    assert "2 of the last 2 plans" in report.troubles["fallback"]


def test_seeded_variants_stand_apart(story):
    base = story.run("pppp")
    story.run("pppF", kind="mutant", parent_run=base)
    story.run("fppP", kind="reverse", parent_run=base)
    report = story.report()
    assert (report.seeded.caught.count, report.seeded.caught.of) == (1, 2)
    assert report.shadow[0].caught.of == 0
    assert report.misses == ()
    assert story.kept_equals_rebuilt().outcomes == ()


def test_a_broken_environment_is_no_regression(story):
    story.run("pppp")
    story.run("ffFF", environment_failure=True)
    assert story.report().shadow[0].caught.of == 0


def test_probabilities_are_compared_where_everything_ran(story):
    ranked = Policy(mode="rank", bundle="b1")
    for marks in ("pppp", "fppp", "pppp", "pppp"):
        story.run(marks, ranked)
    story.run("ffff", SELECT)  # what runs because it is likely to fail is no sample
    found = story.report().calibration
    assert (found.runs, found.cases, found.failed) == (4, 16, 1)
    assert found.expected == pytest.approx(4.0)
    assert found.brier == pytest.approx((15 * 0.25**2 + 0.75**2) / 16)
    assert found.brier_of_rate == pytest.approx((15 + 15**2) / 16**3)
    assert found.error in (pytest.approx(0.25), pytest.approx(0.25 + 0.5 / 16))  # by its bin
    assert found.trouble == ""


def test_far_too_few_failures_are_said_when_there_are_enough_runs(story):
    for _ in range(LEAST_RUNS - 1):
        story.run("pppp", Policy(mode="rank", bundle="b1"))
    assert "calibration" not in story.report().troubles
    story.run("pppp", Policy(mode="rank", bundle="b1"))
    assert "0 cases failed where 10.0 were expected" in story.report().troubles["calibration"]


def test_what_there_is_too_little_to_judge_by_is_not_fine(story):
    ranked = Policy(mode="rank", bundle="b1")
    for _ in range(3):
        story.run("pppp", ranked)
    report = story.report()
    assert not report.troubles
    assert report.unjudged == {
        "misses": "needs 2 regressions (0 so far)",
        "calibration": "needs 10 runs of everything with a plan by a bundle (3 so far)",
        "drift": "needs 20 plans by one bundle that could leave cases out (0 so far)",
        "fallback": "needs 10 plans (3 so far)",
        "missing": "needs 1 plan kept for a run (select --run-id) (0 so far)",
    }
    for _ in range(7):
        story.run("pppp", ranked)
    assert {"calibration", "fallback"}.isdisjoint(story.report().unjudged)
    for marks in ("fppp", "pppp", "fppp", *["pppp"] * 17):
        story.run(marks, SHADOW)
    assert list(story.report().unjudged) == ["missing"]
    # what is wrong is said, however little there is
    story.run("pppp", Policy(fell_back="no git"))
    assert "misses" in story.report(since=START + timedelta(days=100)).unjudged


def test_a_few_expected_failures_that_did_not_come_may_be_chance(story):
    for _ in range(LEAST_RUNS):
        story.run("PPPP", Policy(mode="rank", bundle="b1"))  # 0.01 each
    report = story.report()
    assert "calibration" not in report.troubles
    needs = "needs 5 failures, expected or seen (0.4 and 0 so far)"
    assert report.unjudged["calibration"] == needs


def test_since_limits_the_report_but_not_the_trust(story):
    for marks in ("ppPP", "ppPF", "ppPP", "fpPP"):
        story.run(marks)
    report = story.report(since=START + timedelta(hours=10))
    assert (report.runs, report.misses[0].run_id) == (3, "run 1")
    report = story.report(since=START + timedelta(hours=20))
    assert (report.runs, report.misses, report.shadow[0].caught.of) == (2, (), 1)
    assert report.trust == story.report().trust


def test_without_a_plan_there_is_nothing_to_say(story):
    story.run("pppp", None)
    with pytest.raises(EmptyStoreError, match="no plan has been recorded"):
        story.report()


PLAN = '{"run_id": "r", "time": 1, "policy": "{}", "cases": 1, "selected": 1, "histogram": [1]}'


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"format": 9}',
        b'{"format": 1, "seen": 3}',
        b'{"format": 1, "seen": [], "first": 1e999, "plans": [], "verdicts": [], "drift": ""}',
        b'{"format": 1, "seen": [], "first": 1, "plans": [%s], "verdicts": [], "drift": ""}'
        % PLAN.encode(),
    ],
)
def test_a_damaged_record_is_made_again(story, content):
    for marks in ("ppPP", "ppPF"):
        story.run(marks)
    story.settle()
    story.store.write_blob("state/track.json", content)
    assert load(story.store).outcomes == ()
    assert len(plan_log.rebuild(story.store)[0].outcomes) == 1
    assert len(load(story.store).outcomes) == 1


def test_runs_that_nobody_judged_are_judged_with_the_next_one(story):
    story.run("ppPP")
    story.settle()
    story.run("ppPF")
    story.run("ppPP")
    story.store.append_runs(story.waiting)  # as a process does that dies then
    assert load(story.store).outcomes == ()
    story.waiting.clear()
    story.run("fpPP")
    assert [v.missed for v in story.kept_equals_rebuilt().outcomes] == [True, False]


def test_run_by_run_gives_what_all_at_once_gives(story):
    rng = np.random.default_rng(3)
    for n in range(12):
        policy = (SHADOW, SELECT, EXPLORED, None)[rng.integers(4)]
        shares = [0.4, 0.1, 0.05, 0.05, 0.4] if policy == SELECT else [0.5, 0.1, 0.25, 0.15, 0.0]
        marks = rng.choice(list("pfPF-"), len(CASES), p=shares)
        story.run("".join(marks), policy, branch="main" if n % 3 else "other")
        story.settle()
    outcomes = story.kept_equals_rebuilt().outcomes
    assert {v.source for v in outcomes} >= {"shadow", "explored"}


def test_a_stale_bundle_is_said(story):
    story.run("pppp")
    kept = story.trust()[1]
    many = plan_log.PlanLog(
        seen=tuple((f"run {n}", float(n)) for n in range(plan_log.STALE_RUNS + 2))
    )
    first = datetime.fromtimestamp(0.0, UTC)
    assert plan_log.stale_of(kept, START) == ""
    assert plan_log.stale_of(many, None) == ""
    assert f"{plan_log.STALE_RUNS + 1} runs have come" in plan_log.stale_of(many, first)


def test_drift_is_looked_for_among_the_plans_of_one_bundle():
    low, high = (100, *[0] * 11), (0, 0, 0, 0, 100, *[0] * 7)

    def plan(n, histogram, bundle):
        return LoggedPlan(f"run {n}", float(n), Policy(bundle=bundle), 100, 9, histogram)

    moved = [plan(n, high if n >= 30 else low, "b1") for n in range(40)]
    assert "probabilities of the last 10 plans have shifted" in plan_log.drift_of(
        plan_log.PlanLog(plans=tuple(moved))
    )
    trained = [plan(n, high if n >= 30 else low, f"b{n // 30}") for n in range(60)]
    assert plan_log.drift_of(plan_log.PlanLog(plans=tuple(trained))) == ""
    worse = [PlanOutcome(f"run {n}", float(n), n >= 30) for n in range(40)]
    assert "missed more often among the last 10" in plan_log.drift_of(
        plan_log.PlanLog(outcomes=tuple(worse))
    )


@pytest.mark.parametrize(
    "given", [{"promote": "sometimes"}, {"rollback_level": 0.0}, {"rollback_level": 1.5}]
)
def test_rules_that_make_no_sense_are_refused(given):
    with pytest.raises(SettingsError, match=next(iter(given))):
        plan_log.rules_of(Settings(**given))


def test_rules_follow_the_settings():
    settings = Settings(promote="never", shadow_days=3.0, shadow_regressions=4, rollback_level=0.01)
    assert plan_log.rules_of(settings) == Rules("never", 3.0, 4, 0.01)


@pytest.mark.parametrize("policy", [Policy(), SHADOW, EXPLORED, Policy(fell_back="why: not")])
def test_a_policy_is_read_back(policy):
    assert Policy.parse(policy.dump()) == policy


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("bundle 0abc rank", Policy(bundle="0abc")),
        ("untrained shadow", Policy(mode="shadow")),
        ("none rank: git hangs: why", Policy(fell_back="git hangs: why")),
        ('{"mode":3,"recall":true,"explored":1,"more":0}', Policy()),
        ("[1]", Policy()),
    ],
)
def test_other_texts_are_read_as_far_as_they_go(text, policy):
    assert Policy.parse(text) == policy


@pytest.mark.integration
def test_the_command_shows_it_all_and_gates(story, testopt):
    for marks in ("ppPP", "ppPF", "ppPP", "ppPF"):
        story.run(marks)
    story.run("pp-p", SELECT)
    story.settle()
    at = ("--store", story.store.url, "monitor")
    shown = testopt(*at)
    assert shown.code == 0, shown.err
    for text in (
        "shadow: everything runs since 2026-01-02 for its misses",
        "regressions caught  0 of 2",
        "would have saved    28.0 of 40.0 s (70%), keeping 8 of 16 cases (50%)",
        "where cases were left out: 1 run,",
        "missed",
        CASES[3],
    ):
        assert text in shown.out
    assert "drift       not judged yet: needs 20 plans by one bundle" in shown.out
    gate = testopt(*at, "--fail-on", "misses", "--fail-on", "drift")
    assert gate.code == 1
    assert "2 of 2 regressions missed where 0.1 are allowed" in gate.err
    assert testopt(*at, "--fail-on", "drift").code == 0
    assert testopt(*at, "--fail-on", "luck").code == 2
    document = testopt(*at, "--json").document
    assert document["version"] == 1
    assert "drift" in document["unjudged"]
    assert "misses" not in document["unjudged"]  # too many are missed already
    assert [miss["run_id"] for miss in document["misses"]] == ["run 1", "run 3"]
    assert document["trust"]["state"] == "shadow"


@pytest.mark.integration
def test_where_no_durations_are_known_the_cases_are_counted(story, testopt):
    story.run("ppPP")
    story.run("pp--", SELECT)
    for record in story.waiting:
        record.results[:] = [replace(one, duration_s=0.0) for one in record.results]
    story.settle()
    shown = testopt("--store", story.store.url, "monitor").out
    unknown = "a time that is not known (0 of 4 cases have a duration)"
    assert f"would have saved    {unknown}, keeping 2 of 4 cases (50%)" in shown
    assert f"saved               {unknown}" in shown
    assert "2 ran, 2 of 4 cases (50%) were left out" in shown


def test_what_a_step_alone_has_caught_is_no_catch_of_the_promise(story):
    """The cases of a score of 0.1 are kept by the cap, those of 0.9 by the threshold."""
    capped = replace(SELECT, cap=0.5, floor=0.1)
    for _ in range(3):
        story.run("pppp", SHADOW)
    story.run("pfPP", capped)  # the promise catches it
    story.run("ppPp", replace(capped, explored=True))
    caught = story.trust()[1].outcomes
    score = float(np.float32(0.9))
    assert [(v.missed, v.averted, v.scores) for v in caught] == [(False, False, (score,))]
    story.run("fppp", replace(capped, threshold=0.95))
    averted = story.kept_equals_rebuilt().outcomes[-1]
    assert (averted.missed, averted.averted, averted.scores) == (False, True, (score,))
    assert story.trust(Rules("gradual"))[0].state == "shadow"  # there is no bundle


def test_full_runs_confirm_the_plans_before_them(story):
    for _ in range(3):
        story.run("ppPP", SHADOW)
    for _ in range(4):
        story.run("pp--", SELECT)
    story.run("pppp", None)  # recorded, nothing was planned
    story.run("pppp", None, complete=False)
    story.run("p---", None)  # one test was named
    story.run("pp--", SELECT)
    story.run("pppp", replace(SELECT, explored=True))
    log = story.kept_equals_rebuilt()
    assert [run.plans for run in log.full] == [1, 1, 1, 4, 2]
