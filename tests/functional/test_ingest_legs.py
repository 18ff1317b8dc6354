"""Several jobs under one run id: each is a run of its own, and nothing of them is lost."""

import json
import zipfile

import pytest
from test_store_migration import project, unpacked, url  # noqa: F401 - fixtures

from testopt.ingest.legs import job_of
from testopt.schema import Result, Run, RunRecord
from testopt.store import Store
from testopt.store.legs import leg_of, legs_of


def junit(*cases, timestamp="2026-01-05T10:00:00"):
    """Return a document of cases such as ``a``, ``b!`` (failed)."""
    elements = "".join(
        f'<testcase classname="k" name="{c.strip("!")}" time="0.5">'
        f"{'<failure/>' if c.endswith('!') else ''}</testcase>"
        for c in cases
    )
    return f'<testsuite name="s" timestamp="{timestamp}">{elements}</testsuite>'


@pytest.fixture
def folder(tmp_path):
    for job, cases in {"unit (3.11)": "ab", "unit (3.12)": ["a!", "b"], "lint": "c"}.items():
        (tmp_path / "results" / job).mkdir(parents=True)
        (tmp_path / "results" / job / "junit.xml").write_text(junit(*cases))
    return tmp_path / "results"


@pytest.fixture
def ingest(tmp_path, testopt, no_ci):
    def call(*args):
        done = testopt("--repo", tmp_path, "--store", tmp_path / "store", "ingest", "--json", *args)
        is_missing = any(not plan["ok"] for plan in done.document["plans"])
        assert done.code == (3 if is_missing else 0), done.err
        all_warnings = done.document["warnings"]  # that there is no repository is no matter of jobs
        kept = [
            text
            for text in all_warnings
            if not text.startswith("commit and change of these results")
        ]
        return {**done.document, "warnings": kept}

    return call


@pytest.fixture
def store(tmp_path):
    return lambda: Store.open(str(tmp_path / "store"))


def runs(store):
    return {run["run_id"]: run for run in store().read("runs").to_pylist()}


def results(store):
    rows = store().read("results").to_pylist()
    return {(r["run_id"], r["case_id"], r["attempt"]): r["outcome"] for r in rows}


class TestLegs:
    def test_each_job_is_a_run_of_its_own(self, folder, ingest, store):
        for job in ("unit (3.12)", "unit (3.11)"):
            document = ingest(folder / job, "--run-id", "900", "--job", job)
            assert document["runs"] == [f"900/{job}"]
            assert [file["run_id"] for file in document["files"]] == [f"900/{job}"]
        assert {k: (r["job"], r["failed"], r["pipeline_run"]) for k, r in runs(store).items()} == {
            "900/unit (3.11)": ("unit (3.11)", 0, "900"),
            "900/unit (3.12)": ("unit (3.12)", 1, "900"),
        }
        # the failure of one leg is no attempt of the other, in whatever order they come
        assert results(store) == {
            ("900/unit (3.11)", "k::a", 1): "passed",
            ("900/unit (3.11)", "k::b", 1): "passed",
            ("900/unit (3.12)", "k::a", 1): "failed",
            ("900/unit (3.12)", "k::b", 1): "passed",
        }
        assert legs_of(store(), "900") == {
            "900/unit (3.11)": "unit (3.11)",
            "900/unit (3.12)": "unit (3.12)",
        }

    def test_the_same_again_leaves_one_copy(self, folder, ingest, store):
        leg = (folder / "lint", "--run-id", "900", "--job", "lint")
        assert [ingest(*leg)["new_runs"] for _ in range(2)] == [1, 0]
        assert ingest(folder / "lint", "--run-id", "900/lint", "--job", "lint")["new_runs"] == 0
        assert len(results(store)) == 1

    def test_a_leg_may_come_in_parts(self, folder, ingest, store):
        (folder / "lint" / "more.xml").write_text(junit("c!", "d"))
        for name in ("junit.xml", "more.xml"):
            ingest(folder / "lint" / name, "--run-id", "900", "--job", "lint")
        assert sorted(results(store)) == [
            ("900/lint", "k::c", 1), ("900/lint", "k::c", 2), ("900/lint", "k::d", 1),
        ]  # fmt: skip

    def test_without_a_job_the_id_stays(self, folder, ingest, store):
        assert ingest(folder / "lint", "--run-id", "900")["warnings"] == []
        assert runs(store)["900"]["pipeline_run"] == "900"

    def test_jobs_of_ci_are_legs(self, folder, ingest, store, monkeypatch):
        monkeypatch.setenv("GITLAB_CI", "true")
        for job in ("unit 1/2", "unit 2/2", "lint"):
            monkeypatch.setenv("CI_JOB_NAME", job)
            name = "unit (3.11)" if job == "unit 1/2" else "lint"
            ingest(folder / name, "--run-id", "900")
        # shards are parts of one job
        assert sorted(runs(store)) == ["900/lint", "900/unit"]

    @pytest.mark.parametrize(
        ("first", "second", "words"),
        [
            ((), ("--job", "lint"), "no job already, and these are of job 'lint'"),
            (("--job", "lint"), (), "job 'lint' already, and these are of no job"),
            (("--job", "a"), ("--job", "b"), "job 'a' already, and these are of job 'b'"),
        ],
    )
    def test_differing_jobs_are_said(self, folder, ingest, first, second, words):
        assert ingest(folder / "lint", "--run-id", "900", *first)["warnings"] == []
        (warning,) = ingest(folder / "lint", "--run-id", "900", *second)["warnings"]
        assert words in warning
        assert ingest(folder / "lint", "--run-id", "9", *second)["warnings"] == []

    def test_changes_may_name_the_run_or_the_leg(self, folder, ingest, store):
        table = folder / "changes.csv"
        table.write_text("run_id,path\n900,src/a.py\n900/lint,src/b.py\n")
        for job in ("lint", "unit (3.11)"):
            ingest(folder / job, "--run-id", "900", "--job", job, "--changes", table)
        rows = store().read("run_changes").to_pylist()
        assert {(r["run_id"], r["path"]) for r in rows} == {
            ("900/lint", "src/b.py"), ("900/unit (3.11)", "src/a.py"),
        }  # fmt: skip

    def test_a_table_keeps_its_run_ids(self, tmp_path, ingest, store):
        table = tmp_path / "t.csv"
        ids = ["900", "900/unit", " 900 ", "a//b", "9OO/", "ü"]
        lines = [f'"{i}",2026-01-0{n + 1}T00:00:00Z,k::a,passed,1,unit' for n, i in enumerate(ids)]
        table.write_text("run_id,time,case_id,outcome,duration_s,job\n" + "\n".join(lines))
        ingest(table, "--format", "table")
        assert sorted(runs(store)) == sorted(ids)
        assert {run["pipeline_run"] for run in runs(store).values()} == {None}

    def test_what_format_1_had_under_the_id_alone_is_not_doubled(self, project, url, testopt):  # noqa: F811
        report = project / "r.xml"
        report.write_text(junit("a"))
        at = ("--repo", project, "--store", url, "ingest", "--json", report, "--run-id", "4711")
        assert testopt(*at, "--job", "unit (3.12)").document["runs"] == ["4711"]
        assert testopt(*at, "--job", "other").document["runs"] == ["4711/other"]


class TestJobFromFolder:
    def test_each_folder_is_a_job(self, folder, ingest, store):
        document = ingest(folder, "--run-id", "900", "--job-from", "folder")
        assert sorted(document["runs"]) == ["900/lint", "900/unit (3.11)", "900/unit (3.12)"]
        assert {run["job"] for run in runs(store).values()} == {
            "lint", "unit (3.11)", "unit (3.12)",
        }  # fmt: skip
        assert ingest(folder, "--run-id", "900", "--job-from", "folder")["new_runs"] == 0

    def test_without_a_run_id_too(self, folder, ingest, store):
        assert ingest(folder, "--job-from", "folder")["new_runs"] == 3
        assert {run["job"]: run["failed"] for run in runs(store).values()} == {
            "lint": 0, "unit (3.11)": 0, "unit (3.12)": 1,
        }  # fmt: skip

    def test_equal_reports_of_two_jobs(self, folder, ingest):
        (folder / "twin").mkdir()
        (folder / "twin" / "junit.xml").write_text((folder / "lint" / "junit.xml").read_text())
        document = ingest(folder, "--run-id", "900", "--job-from", "folder")
        named = {file["path"].split("/")[-2]: file["run_id"] for file in document["files"]}
        assert (named["twin"], named["lint"]) == ("900/twin", "900/lint")

    def test_archives(self, folder, ingest, tmp_path):
        with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
            for path in folder.rglob("*.xml"):
                archive.write(path, path.relative_to(folder))
        document = ingest(tmp_path / "all.zip", "--run-id", "900", "--job-from", "folder")
        assert sorted(document["runs"]) == ["900/lint", "900/unit (3.11)", "900/unit (3.12)"]

    @pytest.mark.parametrize(
        ("name", "given", "job"),
        [
            ("results/unit/junit.xml", ["results"], "unit"),
            ("results/unit/deep/junit.xml", ["results/"], "unit"),
            ("./results/unit/junit.xml", ["./results"], "unit"),
            ("/ci/results/unit/junit.xml", ["/ci/results"], "unit"),
            ("unit/junit.xml", ["."], "unit"),
            ("results/unit/junit.xml", ["results/unit", "results/lint"], "unit"),
            ("results/unit/junit.xml", ["results/unit/junit.xml"], "unit"),
            ("results/unit/junit.xml", ["results/*/junit.xml"], "unit"),
            ("all.zip!unit/junit.xml", ["all.zip"], "unit"),
            ("in/unit.zip!junit.xml", ["in/unit.zip"], "unit"),
            ("junit.xml", ["."], ""),
            ("-", ["-"], ""),
        ],
    )
    def test_the_folder_that_names_the_job(self, name, given, job):
        assert job_of(name, given) == job

    def test_a_report_in_no_folder_is_said(self, tmp_path, ingest, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "junit.xml").write_text(junit("a"))
        (warning,) = ingest("junit.xml", "--job-from", "folder")["warnings"]
        assert "no folder" in warning

    @pytest.mark.parametrize("more", [["--job", "x"], ["--format", "table"]])
    def test_what_excludes_it(self, folder, testopt, tmp_path, more):
        at = ("--repo", tmp_path, "--store", tmp_path / "store", "ingest", folder)
        done = testopt(*at, "--job-from", "folder", *more)
        assert done.code == 2
        assert "--job-from" in done.err


class TestKeptPlans:
    @pytest.fixture
    def plan_for(self, tmp_path, testopt, no_ci, store):
        cases = [f"k::{c}" for c in "abc"]
        (tmp_path / "cases.txt").write_text("\n".join(cases))
        Store.open(str(tmp_path / "store"), create=True)

        def keep(*args):
            at = ("--repo", tmp_path, "--store", tmp_path / "store", "select")
            done = testopt(*at, "--cases", tmp_path / "cases.txt", "--run-id", "900", *args)
            assert done.code == 0, done.err
            return done.err

        return keep

    def planned(self, store):
        rows = store().read("predictions").to_pylist()
        return {run: sorted(r["case_id"] for r in rows if r["run_id"] == run) for run in
                {r["run_id"] for r in rows}}  # fmt: skip

    def test_a_plan_of_its_own_job(self, folder, ingest, store, plan_for):
        assert "kept for the run 900/lint" in plan_for("--job", "lint")
        assert ingest(folder / "lint", "--run-id", "900", "--job", "lint")["warnings"] == []
        assert list(self.planned(store)) == ["900/lint"]

    def test_one_plan_for_all_legs(self, folder, ingest, store, plan_for):
        plan_for()
        ingest(folder, "--run-id", "900", "--job-from", "folder")
        assert self.planned(store) == {
            f"900/{job}": ["k::a", "k::b", "k::c"] for job in ("lint", "unit (3.11)", "unit (3.12)")
        }
        ingest(folder, "--run-id", "900", "--job-from", "folder")
        assert store().check() == []

    def test_the_only_plan_where_no_job_is_named(self, folder, ingest, store, plan_for):
        plan_for("--job", "lint")
        (warning,) = ingest(folder / "lint", "--run-id", "900")["warnings"]
        assert "job 'lint' is taken" in warning
        assert list(self.planned(store)) == ["900"]

    def test_the_plan_of_another_job_is_not_taken(self, folder, ingest, store, plan_for):
        plan_for("--job", "test")
        (warning,) = ingest(folder / "lint", "--run-id", "900", "--job", "lint")["warnings"]
        assert "job 'test', and not for 900/lint" in warning
        assert self.planned(store) == {}

    def test_the_part_that_has_a_case_is_kept(self, store, plan_for):
        plan_for("--shard", "1/2")
        assert "has a plan already" in plan_for("--shard", "2/2")
        rows = store().read("predictions", unfinished=True).to_pylist()
        assert [row["shard"] for row in rows] == ["2/2"] * 3  # they are of one file

    def test_a_plan_that_format_1_kept(self, project, url, testopt, no_ci):  # noqa: F811
        report = project / "r.xml"
        report.write_text(junit("a"))
        at = ("--repo", project, "--store", url, "ingest", report, "--run-id", "4713")
        assert testopt(*at, "--job", "unit").code == 3  # it planned other cases
        assert Store.open(url).read("predictions", where=[("run_id", "=", "4713/unit")]).num_rows


def test_ids_of_legs():
    assert [leg_of("9", ""), leg_of("9", "a"), leg_of("9/a", "a"), leg_of("9a", "a")] == [
        "9", "9/a", "9/a", "9a/a",
    ]  # fmt: skip


def test_a_run_whose_id_only_begins_alike_is_no_leg(tmp_path):
    from datetime import UTC, datetime

    store = Store.open(str(tmp_path), create=True)
    for name in ("90", "900", "900/a", "9001"):
        run = Run(
            name, datetime(2026, 1, 1, tzinfo=UTC), pipeline_run="900" if "/" in name else None
        )
        store.append_runs([RunRecord(run, [Result("k::a", "passed")])])
    assert set(legs_of(store, "900")) == {"900", "900/a"}
    assert json.dumps(legs_of(store, "7")) == "{}"
