"""A kept plan is compared with what came back: what is missing, and why."""

import pytest
from builders import append_rows, new_store, prediction_row

from testopt.store import Store

CASES = [f"tests/test_{m}.py::test_{n}" for m in "ab" for n in (1, 2, 3)]

UNCOLLECTED = (
    '<testsuite name="pytest"><testcase classname="" name="tests.test_b">'
    '<error message="collection failure"/></testcase></testsuite>'
)


def report(*cases, tail="</testsuite>", **messages):
    """Return what pytest writes of node ids; `messages` are failures by the last name."""
    elements = []
    for case in cases:
        file, _, name = case.partition("::")
        module = file.removesuffix(".py").replace("/", ".")
        text = messages.get(name)
        inner = f'<failure message="{text}"/>' if text else ""
        if text == "skip":
            inner = "<skipped/>"
        elements.append(
            f'<testcase classname="{module}" name="{name}" file="{file}">{inner}</testcase>'
        )
    return f'<testsuite name="pytest" tests="{len(cases)}">{"".join(elements)}{tail}'


@pytest.fixture
def repo(make_repo, no_ci):
    made = make_repo()
    for module in "ab":
        tests = "".join(f"def test_{n}():\n    pass\n" for n in (1, 2, 3))
        made.write(f"tests/test_{module}.py", tests)
    made.write(".gitignore", ".testopt/\n*.xml\n*.txt\n")
    made.commit()
    return made


class Project:
    """A repository with a store: keeps plans, reads reports."""

    def __init__(self, repo, testopt):
        self.repo, self.testopt, self.at = repo, testopt, ("--repo", repo.path)
        new_store(repo.path, ".testopt")

    def store(self):
        return Store.open(str(self.repo.path / ".testopt"))

    def plan(self, cases=CASES, *, run_id="900", parts=1):
        """Keep a plan that runs all cases, cut into parts of neighbours; return the first part."""
        size = -(-len(cases) // parts)
        rows = [
            prediction_row(case, n + 1, run_id=run_id, shard=f"{n // size + 1}/{parts}")
            for n, case in enumerate(cases)
        ]
        append_rows(self.store(), "predictions", rows, run_id)
        return cases[:size]

    def ingest(self, text, *args, run_id="900", name="r.xml"):
        path = self.repo.path / name
        path.write_text(text)
        return self.testopt(*self.at, "ingest", path, "--run-id", run_id, *args)

    def check(self, text, *args, **given):
        """Ingest a report; return the exit code and what is said of the plan."""
        done = self.ingest(text, "--json", *args, **given)
        (plan,) = done.document["plans"]
        assert done.code == (0 if plan["ok"] else 3), done.err
        return plan

    def results(self):
        return self.store().read("results").num_rows


@pytest.fixture
def project(repo, testopt, monkeypatch):
    monkeypatch.chdir(repo.path)
    return Project(repo, testopt)


class TestWhole:
    def test_of_the_command_line(self, project, testopt):
        """What `select` prints is what has to come back."""
        listed = project.repo.path / "cases.txt"
        listed.write_text("\n".join(CASES))
        args = ("select", "--cases", listed, "--run-id", "900", "--shard", "1/3", "--json")
        done = testopt(*project.at, *args)
        first = [case["case_id"] for case in done.document["cases"]]
        plan = project.check(report(*first))
        assert (plan["planned"], plan["to_come"]) == (6, [{"part": "3/3", "cases": 3}])
        assert project.check(report(first[0]), run_id="900")["ok"]
        assert project.check(report(*CASES), name="all.xml")["ok"]

    def test_nothing_is_missing(self, project):
        project.plan()
        done = project.ingest(report(*CASES, "tests/test_b.py::test_new"))
        assert (done.code, done.out) == (0, "1 file, 7 cases, 1 run: 1 new\n")
        plan = project.check(report(*CASES, "tests/test_b.py::test_new"))
        assert (plan["planned"], plan["unplanned"], plan["missing"]) == (6, 1, [])

    def test_a_skipped_case_has_come(self, project):
        project.plan()
        assert project.check(report(*CASES, test_2="skip"))["ok"]

    def test_what_a_second_report_brings_has_come(self, project):
        project.plan()
        first = project.check(report(*CASES[:4], test_2="boom"))
        assert first["missing"] == CASES[4:]
        # the attempts of one case stand for no other one
        again = project.check(report(*CASES[:4]), name="attempt-2.xml")
        assert again["missing"] == CASES[4:]
        assert project.check(report(*CASES[4:]), name="attempt-3.xml")["ok"]

    def test_a_run_without_a_plan_is_not_judged(self, project):
        done = project.ingest(report(*CASES), "--json")
        assert (done.code, done.document["plans"]) == (0, [])


class TestMissing:
    def test_it_is_an_error_and_what_came_is_stored(self, project):
        project.plan()
        done = project.ingest(report(*CASES[:4]))
        assert done.code == 3
        assert "run 900: 2 of 6 planned cases have no result, such as tests/test_b.py" in done.err
        assert project.results() == 4
        assert "no result: tests/test_b.py::test_3" not in done.err
        (project.repo.path / "r.xml").write_text(report(*CASES[:4]))
        more = project.testopt(
            "-v", *project.at, "ingest", project.repo.path / "r.xml", "--run-id", "900"
        )
        assert "no result: tests/test_b.py::test_3" in more.err

    @pytest.mark.parametrize(
        ("text", "kind", "words"),
        [
            (report(), "ran_nothing", "ran nothing"),
            (report(*(c.replace("tests/", "") for c in CASES)), "named_otherwise", "another way"),
            (report("docs/x.py::test_y"), "other_suite", "another suite"),
            (report(*CASES[:4], tail="<testca"), "report_broken", "r.xml is not whole (line 1"),
            (
                report(*CASES[:4], test_2="worker 'gw1' crashed while running 'a.py::test_2'"),
                "worker_crashed",
                "worker 'gw1' crashed while running 'a.py::test_2'",
            ),
            (
                report(*CASES[:4], "tests/test_b.py::test_2", test_2="boom"),
                "stopped_at_failure",
                "after tests/test_b.py::test_2 failed",
            ),
            (report(*CASES[:3]), "file_not_run", "no case of tests/test_b.py came"),
            (report(CASES[0], CASES[3]), "left_out_by_runner", "-k, -m, --deselect"),
            (
                UNCOLLECTED,
                "uncollected",
                "tests/test_b.py could not be collected",
            ),
        ],
        ids=lambda value: value if isinstance(value, str) and value.isidentifier() else "",
    )
    def test_causes(self, project, text, kind, words):
        project.plan()
        plan = project.check(text)
        assert plan["cause"]["kind"] == kind
        assert words in plan["cause"]["words"]

    def test_cases_of_a_file_that_could_not_be_collected_have_failed(self, project):
        project.plan()
        assert project.check(UNCOLLECTED)["missing"] == CASES[:3]
        assert project.results() == 3

    def test_no_result_is_never_fine(self, project, testopt):
        assert project.check(report(), run_id="1")["cause"]["kind"] == "ran_nothing"
        project.plan(run_id="2")
        assert project.check(report(*CASES), run_id="2")["ok"]
        assert project.check(report(), run_id="2", name="empty.xml")["ok"]  # it has all
        path = project.repo.path / "e.xml"
        path.write_text(report())
        assert testopt(*project.at, "ingest", path).code == 0  # nobody said that it is a run


class TestGone:
    @pytest.fixture
    def after(self, project):
        """Return a function that runs all cases, then plans for another state of the tests."""

        def change(*cases, **files):
            for job in ("a", "b"):
                project.ingest(report(*cases), "--job", job, run_id="1")
            for name, text in files.items():
                path = f"tests/{name}.py"
                if text is None:
                    (project.repo.path / path).unlink()
                else:
                    project.repo.write(path, text)
            project.repo.commit("change")
            project.plan(cases)
            return project

        return change

    def test_files_and_functions(self, after):
        project = after(*CASES, test_b=None, test_a="def test_1(): pass\ndef test_2(): pass\n")
        plan = project.check(report(CASES[0]))
        assert (plan["missing"], plan["gone"]) == ([CASES[1]], CASES[2:])
        assert project.check(report(*CASES[:2]))["ok"]

    def test_a_run_whose_cases_are_all_gone(self, after):
        project = after(*CASES[3:], test_b=None)
        assert project.check(report())["ok"]

    def test_an_untouched_file_excuses_nothing(self, after):
        project = after(*CASES, test_b=None)
        assert project.check(report(CASES[0]))["missing"] == CASES[1:3]

    def test_parameters(self, after):
        old = [f"tests/test_a.py::test_1[{n}]" for n in "xyz"]
        project = after(*old, CASES[3], test_a="def test_1(v): pass\n# other values\n")
        assert project.check(report(old[0], CASES[3]))["gone"] == old[1:]

    def test_parameters_of_an_untouched_file_do_not_vanish(self, after):
        old = [f"tests/test_a.py::test_1[{n}]" for n in "xyz"]
        project = after(*old, CASES[3], test_b="def test_1(): pass\n")
        assert project.check(report(old[0], CASES[3]))["missing"] == old[1:]
        # but they may be named anew, as those made of data are
        assert project.check(report(f"{CASES[0]}[1-new]"), name="more.xml")["ok"]

    def test_names_that_code_makes(self, after):
        old = [f"tests/test_a.py::test_add_{n}_it" for n in range(3)]
        project = after(*old, CASES[3], test_a="# makes others\n")
        assert project.check(report(CASES[3]))["missing"] == old
        assert project.check(report(old[0]), name="more.xml")["gone"] == old[1:]

    def test_what_stood_for_a_package_that_did_not_build(self, project):
        project.plan(["m/lib", CASES[0]])
        assert project.check(report(CASES[0]))["gone"] == ["m/lib"]

    def test_subtests_of_go_end_with_their_test(self, project):
        project.plan(["m/x::TestA", "m/x::TestA/one", "m/x::TestB"])
        go = '<testsuite name="m/x"><testcase classname="m/x" name="{}"/></testsuite>'
        assert project.check(go.format("TestA"))["missing"] == ["m/x::TestB"]


class TestParts:
    def test_what_has_not_begun_is_awaited(self, project):
        for job in ("one", "two"):
            first = project.plan(run_id=f"900/{job}", parts=2)
        second = [case for case in CASES if case not in first]
        done = project.ingest(report(*first), "--job", "one")
        assert done.code == 0
        assert "part 2/2 with 3 cases has still to come" in done.out
        assert "nothing has come yet of 900/two with 6 planned cases" in done.out
        # a part that is cut short is an error, also when the others have come
        cut = project.check(report(second[0]), "--job", "one", name="cut.xml")
        assert cut["missing"] == second[1:]
        assert project.check(report(*second), "--job", "one", name="all.xml")["ok"]
        assert project.check(report(second[0]), "--job", "two")["to_come"] == [
            {"part": "1/2", "cases": 3}
        ]
        last = project.ingest(report(*CASES), "--job", "two", "--json", name="rest.xml")
        assert (last.code, last.document["waiting"]) == (0, [])

    def test_an_empty_report_is_of_no_part(self, project):
        first = project.plan(parts=2)
        project.ingest(report(*first))
        assert project.check(report(), name="empty.xml")["cause"]["kind"] == "ran_nothing"

    def test_a_plan_that_jobs_share_asks_of_each_what_it_ran_before(self, project):
        for job, cases in {"one": CASES[:3], "two": CASES[3:]}.items():
            project.ingest(report(*cases), "--job", job, run_id="1")
        project.plan()
        assert project.check(report(*CASES[:3]), "--job", "one")["ok"]
        assert project.check(report(*CASES[3:5]), "--job", "two")["missing"] == CASES[5:]
        assert project.check(report(CASES[0]), "--job", "new")["ok"]


def test_a_job_of_another_name_is_said(project, testopt):
    project.ingest(report(*CASES), "--job", "unit", run_id="1")
    left = [prediction_row(CASES[5], 6, run_id="900/other", selected=False)]
    append_rows(project.store(), "predictions", left, "left")
    project.plan(CASES[:5], run_id="900/other")
    done = project.ingest(report(*CASES[:5]), "--job", "other", "--json")
    assert done.code == 0
    assert any("job 'unit' did" in text for text in done.document["warnings"])
    # a plan of one job, results of another one: the plan waits
    project.plan(run_id="901/unit")
    done = project.ingest(report(*CASES[:5]), "--job", "other", "--json", run_id="901")
    assert [plan["run_id"] for plan in done.document["waiting"]] == ["901/unit"]
    assert any("a plan is kept for run 901 and job 'unit'" in w for w in done.document["warnings"])
    done = testopt(*project.at, "monitor", "--fail-on", "jobs", "--json")
    assert (done.code, [plan["run_id"] for plan in done.document["kept"]["open"]]) == (
        1, ["901/unit"],
    )  # fmt: skip


def test_a_run_in_parts_is_counted_as_a_whole(project):
    def row():
        (run,) = project.store().read("runs").to_pylist()
        return run["cases"], run["failed"], run["complete"]

    assert project.ingest(report(*CASES[:2])).out == "1 file, 2 cases, 1 run: 1 new\n"
    more = report(*CASES[2:], test_3="boom")
    assert (
        project.ingest(more, name="2.xml").out == "1 file, 4 cases, 1 run: 4 results added to 900\n"
    )
    assert row() == (6, 2, True)
    assert project.ingest(more).out == "1 file, 4 cases, 1 run: 0 new, 1 known already\n"
    assert row() == (6, 2, True)
    again = project.ingest(report(CASES[2], CASES[5]), "--json", name="retry-1.xml")
    assert again.document["added"] == {"900": 2}
    assert row() == (6, 0, True)
    project.ingest(report("tests/test_b.py::test_4", tail="<testc"), name="cut.xml")
    assert row() == (7, 0, False)
