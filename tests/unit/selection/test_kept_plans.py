"""What became of kept plans, seen long after: by monitor and doctor."""

from datetime import timedelta

import pytest
from builders import START, append_rows, make_record, new_store, prediction_row

from testopt.doctor import check_health
from testopt.errors import EmptyStoreError
from testopt.monitor import monitor
from testopt.reasons import ReasonKind
from testopt.selection.job_history import strange_jobs
from testopt.selection.kept_plans import LATE, past_plans
from testopt.selection.policy import Policy

CASES = ["a.py::test_1", "a.py::test_2", "b.py::test_3", "b.py::test_4"]
POLICY = Policy(mode="select", bundle="b", kind="promise", recall=0.95, threshold=0.5).dump()
SOON, LATER = START + timedelta(hours=1), START + 2 * LATE


def keep(store, run_id, cases=CASES, *, parts=1, left_out=()):
    size = -(-len(cases) // parts)
    rows = [
        prediction_row(c, n + 1, run_id=run_id, shard=f"{n // size + 1}/{parts}", policy=POLICY)
        for n, c in enumerate(cases)
    ]
    rows += [
        prediction_row(c, len(rows) + 1, run_id=run_id, selected=False, policy=POLICY, score=0.1)
        for c in left_out
    ]
    append_rows(store, "predictions", rows, run_id)


def run(store, run_id, cases, failing=(), **facts):
    store.append_runs([make_record(run_id, cases, failing, **facts)], seen=START)


@pytest.fixture
def store(tmp_path):
    return new_store(tmp_path)


class TestPastPlans:
    def test_all_came(self, store):
        keep(store, "1")
        run(store, "1", CASES)
        found = past_plans(store, now=LATER)
        assert (found.plans, found.unanswered, found.trouble) == (1, (), "")

    def test_missing_cases(self, store):
        keep(store, "1")
        run(store, "1", CASES[:3])
        found = past_plans(store, now=SOON)
        assert found.unanswered[0].missing == (CASES[3],)
        assert found.trouble.startswith(
            "1 of the last 1 kept plan lacks results: run 1: 1 of 4 planned cases has no result"
        )
        assert past_plans(store, now=SOON, since=SOON).plans == 0

    def test_an_incomplete_run(self, store):
        keep(store, "1")
        run(store, "1", CASES[:3], complete=False)
        (check,) = past_plans(store, now=SOON).unanswered
        assert check.cause.kind is ReasonKind.RUN_INCOMPLETE

    def test_a_part_is_awaited_for_some_hours(self, store):
        keep(store, "1", parts=2)
        run(store, "1", CASES[:2])
        assert past_plans(store, now=SOON).unanswered == ()
        (check,) = past_plans(store, now=LATER).unanswered
        assert (check.missing, check.cause.kind) == (tuple(CASES[2:]), ReasonKind.PART_NOT_COME)
        assert "nothing of part 2/2 came" in past_plans(store, now=LATER).trouble

    def test_so_is_a_job(self, store):
        for job in ("x", "y"):
            keep(store, f"1/{job}")
        run(store, "1/x", CASES, job="x", pipeline_run="1")
        soon, later = (past_plans(store, now=now) for now in (SOON, LATER))
        assert [plan.run_id for plan in soon.open] == ["1/y"]
        assert soon.trouble == ""
        assert [plan.run_id for plan in later.waiting] == ["1/y"]
        assert "nothing has come yet of 1/y with 4 planned cases" in later.trouble

    def test_a_plan_that_nobody_asked_of_again(self, store):
        keep(store, "1")
        found = past_plans(store, now=LATER)
        assert (found.trouble, [plan.cases for plan in found.open]) == ("", [4])

    def test_what_the_plugin_recorded_is_no_kept_plan(self, store):
        rows = [prediction_row(CASES[0], executed=False)]
        store.append_runs([make_record("1", [], predictions=rows)])
        assert past_plans(store, now=LATER).plans == 0

    def test_plans_of_before_name_no_parts(self, store):
        rows = [prediction_row(c, n + 1, run_id="1", selected=n < 2) for n, c in enumerate(CASES)]
        append_rows(store, "predictions", rows, "1")
        run(store, "1", CASES[:1])
        assert past_plans(store, now=LATER).unanswered[0].missing == (CASES[1],)

    def test_monitor_and_doctor_say_it(self, store):
        keep(store, "1", left_out=["c.py::test_5"])
        run(store, "1", CASES[:3])
        assert monitor(store=store).troubles["missing"] == past_plans(store, now=SOON).trouble
        found = {f.slug: f for f in check_health(repo=None, store=store).findings}
        assert found["missing-results"].warns
        assert CASES[3] in found["missing-results"].message

    def test_a_store_of_nothing_but_a_kept_plan(self, store):
        keep(store, "1/x")
        with pytest.raises(EmptyStoreError, match="nothing has come yet of 1/x with 4 planned"):
            monitor(store=store)


class TestStrangeJobs:
    def history(self, store, job, runs=3):
        for n in range(runs):
            run(store, f"{job}{n}", [*CASES, "c.py::test_5"], hours=n, job=job)

    def test_a_job_whose_past_another_one_has(self, store):
        self.history(store, "unit")
        keep(store, "1/other", left_out=["c.py::test_5"])
        run(store, "1/other", CASES, hours=9, job="other", pipeline_run="1")
        (found,) = strange_jobs(store, ["1/other"])
        assert (found.job, found.other, found.plans) == ("other", "unit", 1)
        report = monitor(store=store)
        assert "job 'other' never ran" in report.troubles["jobs"]
        assert "strange-job" in {f.slug for f in check_health(repo=None, store=store).findings}

    def test_a_job_with_a_past_of_its_own(self, store):
        for job in ("unit", "other"):
            self.history(store, job)
        keep(store, "1/other", left_out=["c.py::test_5"])
        run(store, "1/other", CASES, hours=9, job="other")
        assert strange_jobs(store, ["1/other"]) == ()

    def test_cases_that_nobody_ran(self, store):
        self.history(store, "unit")
        keep(store, "1/other", left_out=["new.py::test_9"])
        run(store, "1/other", CASES, hours=9, job="other")
        assert strange_jobs(store, ["1/other"]) == ()
