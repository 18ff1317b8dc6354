"""Parts of a test run: of pytest, in all modes and with a broken engine, and of what is printed."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess

import pytest

from testopt.parts import node_unit, part_of

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("no_ci")]

SUITE = """
import pytest

@pytest.mark.parametrize("n", range(6))
def test_numbers(n): pass

class TestStack:
    def test_push(self): pass
    def test_pop(self): pass

@pytest.mark.testopt_always
def test_always(): pass
""" + "".join(f"def test_{n}(): pass\n" for n in range(12))
COUNT = 3


@pytest.fixture
def parts(pytester, with_plugin, fake_engine):
    """Return a function that runs each part in turn and returns the cases of each."""
    pytester.makepyfile(test_a=SUITE, test_b=SUITE)

    def run(*args: str, how: str = "reverse", at: str = "") -> list[list[str]]:
        found = []
        for index in range(1, COUNT + 1):
            fake_engine(how, at)
            shard = f"--testopt-shard={index}/{COUNT}"
            done = pytester.runpytest_inprocess(*with_plugin, "-v", shard, *args)
            lines = [line for line in done.outlines if "::" in line and "%]" in line]
            found.append([next(w for w in line.split() if "::" in w) for line in lines])
            assert done.ret == 0
            said = f"testopt: part {index} of {COUNT}: {len(lines)} of * cases*"
            done.stdout.fnmatch_lines([said])
        return found

    return run


def own(ids: list[str], index: int) -> list[str]:
    return [i for i in ids if part_of(node_unit(i), COUNT) == index]


def whole(found: list[list[str]]) -> list[str]:
    """Return the cases of all parts, none of which is in two."""
    ids = [name for part in found for name in part]
    assert len(ids) == len(set(ids))
    return ids


@pytest.mark.parametrize(
    ("mode", "how", "at"),
    [
        ("rank", "reverse", ""),
        ("record", "reverse", ""),
        ("shadow", "reverse", ""),
        ("rank", "die", "plan"),
    ],
)
def test_parts_are_the_whole_in_all_modes_and_where_the_engine_breaks(parts, mode, how, at):
    found = parts(f"--testopt={mode}", how=how, at=at)
    assert len(whole(found)) == 42
    assert all(own(ids, index) == ids for index, ids in enumerate(found, 1))
    for file in "ab":
        stack = [f"test_{file}.py::TestStack::test_{name}" for name in ("push", "pop")]
        assert sum(set(stack) <= set(ids) for ids in found) == 1


def test_what_is_selected_and_what_is_marked_is_run_by_the_part_that_has_it(parts):
    found = parts("--testopt=select", how="select", at="test_numbers,test_1")
    named = {i for i in whole(found) if "test_numbers" in i or "::test_1" in i}
    assert set(whole(found)) == named | {f"test_{file}.py::test_always" for file in "ab"}
    assert len(named) == 2 * (6 + 3)


def test_durations_of_the_project_divide_what_they_name(parts, pytester):
    """In workers, too, which are told the parts; all else is divided by name."""
    pytest.importorskip("xdist")
    heavy = ["test_a.py::TestStack", "test_a.py::test_numbers", "test_b.py::test_0"]
    text = json.dumps(dict.fromkeys(heavy, 60) | {"test_gone.py::test_x": 1})
    (pytester.path / "durations.json").write_text(text)
    pytester.makeini("[pytest]\ntestopt_shard_durations = durations.json\n")
    for found in (parts("--testopt=rank"), parts("--testopt=record", "-n", "1")):
        assert len(whole(found)) == 42
        held = [{node_unit(i) for i in ids} & set(heavy) for ids in found]
        assert [len(units) for units in held] == [1, 1, 1]
        for index, ids in enumerate(found, 1):
            others = [i for i in ids if node_unit(i) not in heavy]
            assert own(others, index) == others


def test_a_part_without_a_case_ends_well_and_says_so(pytester, with_plugin, fake_engine):
    pytester.makepyfile(test_a="def test_one(): pass\n")
    index = part_of("test_a.py::test_one", 2)
    fake_engine("reverse")
    for way in ((), ("-n", "1")):
        args = (*with_plugin, "-q", "--testopt=rank", *way)
        done = pytester.runpytest_inprocess(*args, f"--testopt-shard={3 - index}/2")
        assert done.ret == 0
        done.assert_outcomes(deselected=0 if way else 1)
        line = f"testopt: *part {3 - index} of 2: 0 of 1 cases, so nothing runs*"
        done.stdout.fnmatch_lines([line])
    # no case at all is another thing
    pytester.makepyfile(test_a="")
    done = pytester.runpytest_inprocess(*with_plugin, "--testopt=rank", "--testopt-shard=1/2")
    assert done.ret == 5


@pytest.mark.parametrize(
    ("ini", "args", "why"),
    [
        ("testopt_shard = 3/2", ("--testopt=rank",), "Invalid part '3/2' (example: 2/5)"),
        ("", ("--testopt-shard=1/2",), "the mode is off"),
        (
            "testopt_shard_durations = gone.json",
            ("--testopt=rank", "--testopt-shard=1/2"),
            "cannot read the durations *gone.json: *",
        ),
    ],
)
def test_where_no_part_can_be_told_everything_runs_and_it_is_said(
    pytester, with_plugin, fake_engine, ini, args, why
):
    pytester.makepyfile(test_a="def test_one(): pass\ndef test_two(): pass\n")
    pytester.makeini(f"[pytest]\n{ini}\n")
    fake_engine("reverse")
    done = pytester.runpytest_inprocess(*with_plugin, *args)
    done.assert_outcomes(passed=2)
    done.stdout.fnmatch_lines([f"testopt: no parts, everything runs: {why}*"])


@pytest.mark.slow
def test_parts_of_go_run_each_test_once(tmp_path, testopt, git_here, monkeypatch):
    """Real packages, with subtests; each part is planned with a store that knows other cases."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("go is not installed")
    monkeypatch.setenv("GOFLAGS", "-mod=mod")
    monkeypatch.setenv("GOCACHE", str(tmp_path / "cache"))
    top = tmp_path / "repo"
    top.mkdir()
    (top / "go.mod").write_text("module example.org/m\n\ngo 1.21\n")
    for name in "abcde":
        (top / name).mkdir()
        body = 't.Run("one", func(t *testing.T) {}); t.Run("two", func(t *testing.T) {})'
        (top / name / "x_test.go").write_text(
            f'package {name}\n\nimport "testing"\n\n'
            f"func TestX(t *testing.T) {{ {body} }}\n\nfunc TestY(t *testing.T) {{}}\n"
        )
    git_here(top)

    def run(*args: str) -> list[str]:
        command = [go, "test", "-json", *args]
        done = subprocess.run(command, cwd=top, capture_output=True, text=True, check=True)
        (top / "report.json").write_text(done.stdout)
        events = [json.loads(line) for line in done.stdout.splitlines()]
        return [
            f"{e['Package']}::{e['Test']}" for e in events if e["Action"] == "pass" and "Test" in e
        ]

    everything = run("./...")
    assert len(everything) == 5 * 4
    for count in (2, 4):
        found = []
        for index in range(1, count + 1):
            store = tmp_path / f"store-{count}-{index}"
            run(*(f"./{name}" for name in "abcde"[index % 2 :]))
            at = ("--repo", top, "--store", store)
            assert testopt(*at, "ingest", "--format", "auto", top / "report.json").code == 0
            monkeypatch.chdir(top)
            done = testopt(*at, "rank", "--shard", f"{index}/{count}", "--format", "go")
            assert done.code == 0, done.err
            found.append([t for line in done.out.splitlines() for t in run(*shlex.split(line))])
            # one store in two has not seen the first package, which is said by the part that has it
            is_own = part_of("example.org/m/a", count) == index
            assert ("such as a/x_test.go" in done.err) == (is_own and index % 2 == 1)
        ids = whole(found)
        own = part_of("example.org/m/a", count) % 2 == 0
        assert set(ids) == {i for i in everything if own or "/m/a::" not in i}
