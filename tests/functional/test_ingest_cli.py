"""`testopt ingest` as users call it: real files, real stores, real repositories."""

import io
import json
import os
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from testopt.cli import cli
from testopt.store import Store

pytestmark = pytest.mark.integration

PREFIXES = ("GITHUB_", "GITLAB_", "CI_", "CIRCLE", "BUILDKITE", "TF_BUILD", "JENKINS_", "TESTOPT_")


@pytest.fixture(autouse=True)
def _no_ci(monkeypatch):
    for name in list(os.environ):
        if name.startswith(PREFIXES):
            monkeypatch.delenv(name)


@pytest.fixture
def ingest(tmp_path):
    """Return a function that calls the command and returns its exit code and JSON document."""

    def call(*args, exit_code=0, repo=None, stdin=None):
        head = ["--repo", str(repo or tmp_path), "--store", str(tmp_path / "store"), "ingest"]
        done = CliRunner().invoke(cli, [*head, "--json", *map(str, args)], input=stdin)
        assert done.exit_code == exit_code, (done.output, done.exception)
        return json.loads(done.stdout)

    return call


@pytest.fixture
def store(tmp_path):
    return lambda: Store.open(str(tmp_path / "store"))


def junit(*cases, timestamp="2026-01-05T10:00:00"):
    """Return a document of cases such as ``a``, ``b!`` (failed)."""
    elements = "".join(
        f'<testcase classname="k" name="{c.strip("!")}" time="0.5">'
        f"{'<failure/>' if c.endswith('!') else ''}</testcase>"
        for c in cases
    )
    return f'<testsuite name="s" timestamp="{timestamp}">{elements}</testsuite>'


def rows(store, table="results"):
    return store().read(table).to_pylist()


def test_the_report_of_a_file(tmp_path, ingest, store):
    path = tmp_path / "r.xml"
    path.write_text(junit("a", "b!", "b"))
    document = ingest(path)
    (run_id,) = document["runs"]
    assert document["files"] == [
        {
            "path": str(path),
            "run_id": run_id,
            "cases": 3,
            "failed": 1,
            "error": 0,
            "skipped": 0,
            "attempts": 3,
            "rejected": None,
        }
    ]
    # The last execution of a case counts.
    (run,) = rows(store, "runs")
    assert (run["cases"], run["failed"], run["duration_s"], run["complete"]) == (2, 0, 1.5, True)
    assert run["time"].isoformat() == "2026-01-05T10:00:00+00:00"
    attempts = {(r["case_id"], r["attempt"]): r["outcome"] for r in rows(store)}
    assert attempts == {("k::a", 1): "passed", ("k::b", 1): "failed", ("k::b", 2): "passed"}


def refused(count):
    cases = "".join(
        f'<testcase classname="k" name="t{n}"><error message="connection refused: db:{n}"/>'
        "</testcase>"
        for n in range(count)
    )
    return f'<testsuite name="s" timestamp="2026-01-05T10:00:00">{cases}</testsuite>'


def test_a_failure_of_the_environment_is_marked_and_said(tmp_path, ingest, store):
    (tmp_path / "away.xml").write_text(refused(30))
    (tmp_path / "fine.xml").write_text(junit("a", "b!"))
    document = ingest(tmp_path / "away.xml")
    assert "environment" in document["warnings"][-1]
    (warning,) = ingest(tmp_path / "fine.xml")["warnings"]
    assert "not in a git repository" in warning
    assert "--commit" in warning
    marks = {run["cases"]: run["environment_failure"] for run in rows(store, "runs")}
    assert marks == {30: True, 2: False}


def test_a_store_from_before_that_mark_is_read(tmp_path, ingest, store, monkeypatch):
    from testopt import schema

    older = {k: v for k, v in schema.TABLES["runs"].items() if k != "environment_failure"}
    (tmp_path / "a.xml").write_text(junit("a"))
    (tmp_path / "b.xml").write_text(refused(30))
    with monkeypatch.context() as past:
        past.setitem(schema.TABLES, "runs", older)
        schema.arrow_schema.cache_clear()
        # what reads the store then has to be of that time too
        past.setattr("testopt.ingest.junit_runs.update_caches", lambda *_, **__: None)
        ingest(tmp_path / "a.xml")
    schema.arrow_schema.cache_clear()
    assert [run["environment_failure"] for run in rows(store, "runs")] == [None]
    ingest(tmp_path / "b.xml")
    assert store().check() == []
    store().compact()
    marks = {run["cases"]: run["environment_failure"] for run in rows(store, "runs")}
    assert marks == {1: None, 30: True}


def test_the_same_input_twice_leaves_one_copy(tmp_path, ingest, store):
    for n in range(3):
        (tmp_path / f"r{n}.xml").write_text(junit(f"a{n}", f"b{n}!"))
    first = ingest(tmp_path)
    again = ingest(tmp_path)
    assert (first["new_runs"], again["new_runs"]) == (1, 0)
    assert first["files"] == again["files"]
    assert len(rows(store)) == 6


def test_files_that_repeat_each_other_are_several_runs(tmp_path, ingest, store):
    for folder in "xy":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.xml").write_text(
            junit("a", "b", timestamp=f"2026-01-0{'_xy'.index(folder)}")
        )
        (tmp_path / folder / "2.xml").write_text(junit("c"))
    document = ingest(tmp_path)
    assert len(document["runs"]) == 2
    assert [run["cases"] for run in rows(store, "runs")] == [3, 3]
    assert len({f["run_id"] for f in document["files"]}) == 2
    # A few repeated cases are repeated executions in one run.
    more = [tmp_path / "m1.xml", tmp_path / "m2.xml"]
    more[0].write_text(junit("a", "b", "c!", "d"))
    more[1].write_text(junit("c"))
    assert len(ingest(*more)["runs"]) == 1
    assert len(ingest(*more, "--run-per", "file")["runs"]) == 2


def test_shards_of_a_named_run_may_come_late(tmp_path, ingest, store):
    one, two = tmp_path / "1.xml", tmp_path / "2.xml"
    one.write_text(junit("a", "b!"))
    two.write_text(junit("b", "c"))
    assert ingest(one, "--run-id", "42")["new_runs"] == 1
    assert ingest(one, two, "--run-id", "42")["new_runs"] == 0
    assert ingest(two, "--run-id", "42")["runs"] == ["42"]
    found = sorted(rows(store), key=lambda r: (r["case_id"], r["attempt"]))
    assert [(r["case_id"], r["outcome"]) for r in found] == [
        ("k::a", "passed"),
        ("k::b", "failed"),
        ("k::b", "passed"),  # the shard that came later
        ("k::c", "passed"),
    ]
    assert found[1]["attempt"] < found[2]["attempt"]
    assert {r["run_id"] for r in rows(store)} == {"42"}


def test_equal_files_of_two_commits_are_two_runs(tmp_path, ingest):
    path = tmp_path / "r.xml"
    path.write_text("<testsuite><testcase name='a'/></testsuite>")
    runs = {ingest(path, "--commit", c * 40)["runs"][0] for c in "ab"}
    assert len(runs) == 2


def test_bad_files_are_rejected_one_by_one(tmp_path, ingest, store):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "1good.xml").write_text(junit("a"))
    (folder / "2cut.xml").write_text(junit("b", "c")[:-30])
    (folder / "3empty.xml").write_text("")
    (folder / "4pom.xml").write_text("<project/>")
    (folder / "5bomb.xml").write_text("<!DOCTYPE a [<!ENTITY b 'c'>]><testsuite>&b;</testsuite>")
    (folder / "6control.xml").write_text(junit("d\x1b"))
    (folder / "notes.txt").write_text("no XML")
    files = ingest(folder, tmp_path / "absent.xml", tmp_path / "*.zip", exit_code=3)["files"]
    kept = {Path(f["path"]).name: (f["cases"], f["rejected"]) for f in files}
    assert kept["1good.xml"] == (1, None)
    assert kept["2cut.xml"][0] == 1
    assert "line 1" in kept["2cut.xml"][1]
    assert "ends early" in kept["3empty.xml"][1]
    assert "not JUnit XML" in kept["4pom.xml"][1]
    assert "entities" in kept["5bomb.xml"][1]
    assert kept["6control.xml"][0] == 1
    assert "invalid token" in kept["6control.xml"][1]
    assert "cannot be read" in kept["absent.xml"][1]
    assert kept["*.zip"] == (0, "matches no file")
    assert {r["case_id"] for r in rows(store)} == {"k::a", "k::b", "k::d"}
    assert [run["complete"] for run in rows(store, "runs")] == [False]


def test_a_broken_file_alone_is_no_run(tmp_path, ingest, store):
    (tmp_path / "cut.xml").write_text('<testsuite name="s"><testc')
    assert ingest(tmp_path / "cut.xml", exit_code=3)["new_runs"] == 0
    assert rows(store, "runs") == []
    (tmp_path / "none.xml").write_text(junit())
    assert ingest(tmp_path / "none.xml")["new_runs"] == 1


def test_where_nothing_is_found_is_said(tmp_path, ingest):
    (tmp_path / "none").mkdir()
    (tmp_path / "empty").write_text("")
    files = ingest(tmp_path / "none", tmp_path / "empty", "/dev/null", exit_code=3)["files"]
    assert files[0]["rejected"] == "holds no test reports (.xml, .trx, .jsonl)"
    assert ["ends early" in f["rejected"] for f in files[1:]] == [True, True]


def test_other_xml_alone_is_a_warning(tmp_path):
    (tmp_path / "pom.xml").write_text("<project/>")
    args = [
        "--repo",
        str(tmp_path),
        "--store",
        str(tmp_path / "s"),
        "ingest",
        str(tmp_path / "pom.xml"),
    ]
    done = CliRunner().invoke(cli, args)
    assert done.exit_code == 0
    assert "warning: " in done.stderr
    assert "0 cases" in done.stdout


def test_nothing_raw_reaches_the_terminal(tmp_path):
    path = tmp_path / "a\x1b[31m.xml"
    path.write_text("<\x1b[31m/>")
    args = ["--repo", str(tmp_path), "--store", str(tmp_path / "s"), "ingest", str(path)]
    done = CliRunner().invoke(cli, args)
    assert done.exit_code == 3
    assert "\x1b" not in done.output


def test_archives_and_standard_input(tmp_path, ingest, store):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x/1.xml", junit("zip"))
        archive.writestr("readme.txt", "no")
    for name, mode in (("b.tar", "w"), ("c.tar.gz", "w:gz"), ("d.tgz", "w:gz")):
        with tarfile.open(tmp_path / name, mode) as archive:
            data = junit(name).encode()
            member = tarfile.TarInfo("../../evil/2.xml")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
            link = tarfile.TarInfo("link.xml")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(link)
    names = ["a.zip", "b.tar", "c.tar.gz", "d.tgz"]
    document = ingest(*(tmp_path / n for n in names), "-", stdin=junit("stdin"))
    assert [f["rejected"] for f in document["files"]] == [None] * 5
    assert document["files"][0]["path"].endswith("a.zip!x/1.xml")
    assert document["files"][4]["path"] == "-"
    assert {r["case_id"] for r in rows(store)} == {f"k::{n}" for n in ["zip", *names[1:], "stdin"]}


@pytest.mark.parametrize("kind", ["zip", "gz", "tar.gz"])
def test_damaged_archives_are_rejected(tmp_path, ingest, kind):
    import gzip

    path = tmp_path / f"r.xml.{kind}"
    if kind == "gz":
        path.write_bytes(gzip.compress(junit(*map(str, range(5000))).encode())[:-4000])
    elif kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.xml", junit(*map(str, range(500))))
        data = bytearray(path.read_bytes())
        data[200:260] = bytes(60)
        path.write_bytes(data)
    else:
        with tarfile.open(path, "w:gz") as archive:
            data = os.urandom(50_000)
            member = tarfile.TarInfo("a.xml")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        path.write_bytes(path.read_bytes()[:-2000])
    (file,) = [f for f in ingest(path, exit_code=3)["files"] if f["rejected"]]
    assert file["path"].startswith(str(path))


def test_git_supplies_commit_branch_and_change(tmp_path, ingest, store, git_here, monkeypatch):
    repo = tmp_path / "repo"
    (repo / "tests").mkdir(parents=True)
    (repo / "tests" / "test_x.py").write_text("def test_y(): pass\n")
    base = git_here(repo, "one")
    (repo / "app.py").write_text("def apply(order):\n    return order\n")
    head = git_here(repo, "two")
    path = tmp_path / "r.xml"
    path.write_text("<testsuite><testcase classname='tests.test_x' name='test_y'/></testsuite>")
    ingest(path, repo=repo)
    (run,) = rows(store, "runs")
    assert (run["commit"], run["base"], run["branch"]) == (head, base, "main")
    (change,) = rows(store, "run_changes")
    assert (change["path"], change["added"]) == ("app.py", 2)
    assert "apply" in change["tokens"]
    (result,) = rows(store)
    assert (result["case_id"], result["file"]) == ("tests/test_x.py::test_y", "tests/test_x.py")
    # Results that are older than the commit are not of it.
    old = tmp_path / "old.xml"
    old.write_text(junit("a", timestamp="2001-01-01T00:00:00Z"))
    assert "older than the commit" in ingest(old, repo=repo)["warnings"][0]
    # CI knows better, if it speaks of what is checked out.
    monkeypatch.setenv("CIRCLECI", "true")
    monkeypatch.setenv("CIRCLE_JOB", "unit")
    for named, known in ((head, head), (base, None)):
        monkeypatch.setenv("CIRCLE_SHA1", named)
        new = ingest(old, repo=repo)["runs"]
        run = next(r for r in rows(store, "runs") if r["run_id"] in new)
        assert (run["commit"], run["job"]) == (known, "unit")


def test_a_bare_repository_knows_its_files(tmp_path, ingest, store, git_here):
    repo = tmp_path / "repo"
    (repo / "tests").mkdir(parents=True)
    (repo / "tests" / "test_x.py").write_text("def test_y(): pass\n")
    git_here(repo)
    path = tmp_path / "r.xml"
    path.write_text("<testsuite><testcase classname='tests.test_x' name='test_y'/></testsuite>")
    bare = tmp_path / "bare.git"
    subprocess.run(["git", "clone", "-q", "--bare", str(repo), str(bare)], check=True)
    ingest(path, repo=bare)
    assert [r["case_id"] for r in rows(store)] == ["tests/test_x.py::test_y"]


def test_an_unknown_commit_is_a_warning(tmp_path, ingest, store, git_here):
    repo = tmp_path / "repo"
    repo.mkdir()
    git_here(repo)
    path = tmp_path / "r.xml"
    path.write_text(junit("a"))
    assert "--output=x" in ingest(path, "--commit=--output=x", repo=repo)["warnings"][0]
    assert rows(store, "run_changes") == []


def table(tmp_path, *lines, head="run_id,time,case_id,outcome,duration_s", name="t.csv"):
    path = tmp_path / name
    path.write_text("\n".join([head, *lines, ""]))
    return path


def test_tables_with_scattered_runs_and_repeated_cases(tmp_path, ingest, store):
    path = table(
        tmp_path,
        "r1,2026-01-01T00:00:09,c,failed,1",
        "r2,2026-01-02,c,passed,1",
        "r1,2026-01-01T00:00:01,c,passed,2",
        "r1,2026-01-01T00:00:05,c,passed,2",
        "r1,2026-01-01T00:00:05,d,skipped,",
    )
    document = ingest("--format", "table", path)
    assert (document["runs"], document["new_runs"]) == (["r1", "r2"], 2)
    assert ingest("--format", "table", path)["new_runs"] == 0
    one = sorted(
        (r["case_id"], r["attempt"], r["outcome"]) for r in rows(store) if r["run_id"] == "r1"
    )
    # Any failing one counts: it stands last.
    assert one == [("c", 1, "passed"), ("c", 2, "passed"), ("c", 3, "failed"), ("d", 1, "skipped")]
    run = next(r for r in rows(store, "runs") if r["run_id"] == "r1")
    assert (run["cases"], run["failed"], run["skipped"], run["duration_s"]) == (2, 1, 1, 5.0)
    assert run["time"].isoformat() == "2026-01-01T00:00:01+00:00"
    assert run["source"] == "table"


def test_attempts_of_a_table_are_kept(tmp_path, ingest, store):
    head = "run_id,time,case_id,outcome,duration_s,attempt,commit,branch,job"
    ingest(
        "--format",
        "table",
        table(
            tmp_path,
            "r,2026-01-01,c,passed,1,3,,,",
            f"r,2026-01-01,c,failed,1,2,{'a' * 40},main,unit",
            head=head,
        ),
    )
    assert sorted((r["attempt"], r["outcome"]) for r in rows(store)) == [
        (2, "failed"),
        (3, "passed"),
    ]
    (run,) = rows(store, "runs")
    assert (run["failed"], run["commit"], run["branch"], run["job"]) == (
        0,
        "a" * 40,
        "main",
        "unit",
    )


def test_bad_rows_of_a_table_are_named(tmp_path, ingest, store):
    path = table(tmp_path, "r,2026-01-01,c,passed,1", "r,2026-01-01,d,broken,1")
    (file,) = ingest("--format", "table", path, exit_code=3)["files"]
    assert file["cases"] == 1
    assert "row 2: unknown outcome ('broken')" in file["rejected"]
    assert len(rows(store)) == 1


def test_a_table_of_changes_wins_over_git(tmp_path, ingest, store, git_here):
    repo = tmp_path / "repo"
    repo.mkdir()
    (repo / "a.py").write_text("x = 1\n")
    commit = git_here(repo)
    head = "run_id,time,case_id,outcome,duration_s,commit"
    results = table(
        tmp_path,
        f"r1,2026-01-01,c,passed,1,{commit}",
        f"r2,2026-01-02,c,passed,1,{commit}",
        f"r3,2026-01-03,c,passed,1,{'f' * 40}",
        head=head,
    )
    changes = table(tmp_path, "r1,other.py,3,1", head="run_id,path,added,deleted", name="c.csv")
    document = ingest("--format", "table", results, "--changes", changes, repo=repo)
    assert "1 commits is unknown" in document["warnings"][0]
    found = {(r["run_id"], r["path"], r["added"]) for r in rows(store, "run_changes")}
    assert found == {("r1", "other.py", 3), ("r2", "a.py", 1)}


@pytest.mark.parametrize("args", [["--time", "soon"], ["--format", "table", "--run-id", "x"]])
def test_usage_errors(tmp_path, args):
    path = tmp_path / "r.xml"
    path.write_text(junit("a"))
    done = CliRunner().invoke(cli, ["--repo", str(tmp_path), "ingest", str(path), *args])
    assert done.exception.exit_code == 2
    assert not (tmp_path / ".testopt").exists()


def test_native_formats_are_read_when_asked_for(ingest):
    path = Path(__file__).parents[1] / "data" / "junit" / "trx.trx"
    (file,) = ingest(path)["files"]
    assert "--format auto" in file["rejected"]
    assert file["cases"] == 0
    (file,) = ingest("--format", "auto", path)["files"]
    assert file["rejected"] is None
    assert file["cases"] > 0
