"""One case has one id, whoever tells of it, and its runner accepts that id."""

from __future__ import annotations

import subprocess
import sys
import zipfile

import pytest

from testopt.store import Store
from tests.builders import printed

SUITE = """
import pytest

class Thing:
    pass

THINGS = [Thing(), Thing()]

@pytest.mark.parametrize("u", ["550e8400-e29b-41d4-a716-446655440000", "0x7fff12345678",
                               "2026-01-05T10:00:03", "a.b::c/d", "x@y", "a b"])
def test_literal(u): pass

@pytest.mark.parametrize("path", ["/src/mod.py", "/other/x.py"])
def test_get(path): pass

@pytest.mark.parametrize("a", [1, 2], ids=map(repr, THINGS))
def test_object(a): pass

class TestC:
    @pytest.mark.xdist_group("db")
    def test_grouped(self): pass
"""
FILES = {
    "pytest.ini": "[pytest]\naddopts = --doctest-glob=*.txt --doctest-modules\n",
    "tests/test_u.py": SUITE,
    "tests/docs.txt": ">>> 1 + 1\n2\n",
    "src/mod.py": 'def f():\n    """\n    >>> 1 + 1\n    2\n    """\n',
}


def cases(store) -> list[str]:
    rows = Store.open(str(store)).read("results").to_pylist()
    return sorted({row["case_id"] for row in rows})


@pytest.fixture
def package(real, git_here):
    """A package in a repository that has files of the same names at its top."""
    (real.path / "test_it.py").unlink()
    for folder in (real.path, real.path / "services" / "b"):
        for name, text in FILES.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    git_here(real.path, "services")
    return real


def run(real, folder, *args: str):
    command = [sys.executable, "-m", "pytest", *real.args, "-q", "-p", "no:cacheprovider", *args]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_plugin_report_and_runner_agree(package, tmp_path, testopt, monkeypatch):
    folder = package.path / "services" / "b"
    one, two = tmp_path / "plugin", tmp_path / "report"
    done = run(package, folder, "--testopt=record", f"--testopt-store={one}", "--junitxml=j.xml")
    assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.chdir(folder)
    assert testopt("--store", two, "ingest", "--commit", "HEAD", "j.xml").code == 0
    ids = cases(one)
    assert cases(two) == ids
    assert all(i.startswith("services/b/") for i in ids)
    assert "services/b/tests/docs.txt::docs.txt" in ids
    assert "services/b/tests/test_u.py::test_get[/src/mod.py]" in ids
    assert "services/b/tests/test_u.py::test_object[<test_u.Thing object at 0x…>]#2" in ids
    printed = testopt("--store", two, "rank", "--format", "pytest")
    assert printed.code == 0
    again = run(package, folder, *printed.out.splitlines())
    assert again.returncode == 0, again.stdout + again.stderr
    assert f"{len(ids)} passed" in again.stdout


def test_ids_are_accepted_from_the_top_and_from_beside(package):
    names = [f"services/b/tests/test_u.py::test_literal[{p}]" for p in ("x@y", "a b", "a.b::c/d")]
    for folder in ("", "services/b", "services/b/tests", "src"):
        lines = printed("pytest", *names, root=package.path, folder=folder)
        done = run(package, package.path / folder, *lines)
        assert (done.returncode, "3 passed" in done.stdout) == (0, True), done.stdout + done.stderr


@pytest.mark.parametrize("mode", ["off", "record"])
def test_a_store_behind_a_space_moves_no_root(package, tmp_path, mode):
    store = tmp_path / "elsewhere" / "store"
    store.mkdir(parents=True)
    refused = run(package, package.path, f"--testopt={mode}", "--testopt-store", str(store))
    assert refused.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"write --testopt-store={store}" in refused.stderr
    assert not list(store.iterdir())
    done = run(package, package.path, f"--testopt={mode}", f"--testopt-store={store}", "tests")
    assert done.returncode == 0, done.stdout + done.stderr
    if mode == "record":
        assert all(case.startswith("tests/") for case in cases(store))


@pytest.mark.parametrize("mode", ["record", "rank"])
def test_groups_of_xdist_are_in_no_id(package, tmp_path, mode):
    pytest.importorskip("xdist")
    store = tmp_path / "store"
    args = [
        "-n1",
        "--dist=loadgroup",
        f"--testopt-store={store}",
        "--deselect",
        "x",
        "-k",
        "grouped",
    ]
    done = run(package, package.path, *args, f"--testopt={mode}", "tests")
    assert done.returncode == 0, done.stdout + done.stderr
    assert cases(store) == ["tests/test_u.py::TestC::test_grouped"]
    again = run(package, package.path, *args, "--testopt=rank", "tests")
    assert "new case" not in again.stdout


def test_a_renamed_folder_keeps_its_history_and_its_cases(real, testopt, git_here, monkeypatch):
    (real.path / "test_it.py").unlink()
    (real.path / "tests").mkdir()
    (real.path / "tests" / "test_a.py").write_text("def test_a(): assert 0\ndef test_b(): pass\n")
    (real.path / "tests" / "test_gone.py").write_text("def test_c(): pass\n")
    git_here(real.path, "tests")
    real.run("--testopt=record")
    (real.path / "tests" / "test_gone.py").unlink()
    (real.path / "tests").rename(real.path / "unit")
    git_here(real.path, "Rename tests to unit")
    monkeypatch.chdir(real.path)
    ranked = testopt("rank", "--json")
    assert ranked.code == 0, ranked.err
    first, second = ranked.document["cases"]
    assert (first["case_id"], second["case_id"]) == (
        "unit/test_a.py::test_a",
        "unit/test_a.py::test_b",
    )
    assert "failed in the previous run" in first["reason"]
    assert "new case" not in second["reason"]


@pytest.mark.parametrize("packed", [False, True])
def test_each_report_is_of_the_package_it_lies_in(package, tmp_path, testopt, monkeypatch, packed):
    (package.path / "services" / "a" / "tests").mkdir(parents=True)
    (package.path / "services" / "a" / "tests" / "test_u.py").write_text("def test_a(): pass\n")
    case = '<testsuite name="pytest"><testcase classname="tests.test_u" name="{}"/></testsuite>'
    reports = {f"services/{p}/out/j.xml": case.format(f"test_{p}") for p in "ab"}
    for name, text in reports.items():
        (package.path / name).parent.mkdir()
        (package.path / name).write_text(text)
    paths = [str(package.path / "services")]
    if packed:
        paths = [str(tmp_path / "reports.zip")]
        with zipfile.ZipFile(paths[0], "w") as archive:
            for name, text in reports.items():
                archive.writestr(name, text)
    monkeypatch.chdir(package.path)
    assert testopt("--store", tmp_path / "store", "ingest", *paths).code == 0
    expected = [f"services/{p}/tests/test_u.py::test_{p}" for p in "ab"]
    assert cases(tmp_path / "store") == expected
