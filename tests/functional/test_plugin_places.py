"""Suites in several folders, or installed elsewhere: ids cross to the store and back."""

from __future__ import annotations

import os

import pytest

from testopt.store import Store

pytestmark = pytest.mark.integration

TWO = "def test_1(): pass\ndef test_2(): assert 0\n"


def ids_in_store(real) -> set[str]:
    rows = Store.open(str(real.path / ".testopt")).read("results")
    return set(rows["case_id"].to_pylist())


def order_of(done) -> list[str]:
    return [line.split(" ")[0] for line in done.stdout.splitlines() if "%]" in line]


@pytest.fixture
def places(real, tmp_path, monkeypatch):
    """Two projects with settings of their own in one repository, and a package outside it."""
    (real.path / "test_it.py").unlink()
    for name in ("one", "two"):
        folder = real.path / name
        folder.mkdir()
        (folder / "pytest.ini").write_text("[pytest]\n")
        (folder / f"test_{name}.py").write_text(TWO)
    package = tmp_path / "site" / "installed"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "test_inside.py").write_text(TWO)
    known = [str(package.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(known))
    return real


# pytest names what is outside its root folder relative to the argument.
@pytest.mark.parametrize(
    ("args", "ids"),
    [
        (("one", "two"), ["one/test_one.py", "two/test_two.py"]),
        (("--rootdir=two", "one", "two"), ["one/test_one.py", "two/test_two.py"]),
        (("-o", "testpaths=two one"), ["one/test_one.py", "two/test_two.py"]),
        (("--rootdir=.", "--pyargs", "installed", "one"),
         ["test_inside.py", "one/test_one.py"]),
    ],
    ids=["two folders", "root in one of them", "testpaths", "installed elsewhere"],
)  # fmt: skip
def test_cases_of_any_place_are_recorded_and_ranked(places, args, ids):
    first = places.run("--testopt=record", *args)
    plain = places.run(*args)
    assert first.returncode == plain.returncode == 1, first.stdout + first.stderr
    assert order_of(first) == order_of(plain)
    expected = {f"{file}::test_{n}" for file in ids for n in (1, 2)}
    assert ids_in_store(places) == expected
    ranked = places.run("--testopt=rank", *args)
    assert ranked.returncode == 1
    assert sorted(order_of(ranked)) == sorted(order_of(plain))
    line, *_ = [x for x in ranked.stdout.splitlines() if x.startswith("testopt: ")]
    assert "original order" not in line
    assert "4 results recorded" in line
    assert ids_in_store(places) == expected
