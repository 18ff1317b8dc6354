"""The engine as a state machine, and what it makes of names and rows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from builders import make_record
from hypothesis import given
from hypothesis import strategies as st

from testopt.engine import PROTOCOL, Engine
from testopt.engine.node_ids import NodeIds
from testopt.engine.results import results_of
from testopt.engine.serving import serve
from testopt.schema import digest


@given(st.sampled_from(["", "sub", "a/b"]), st.text(), st.sampled_from(["", "::t", "::C::t[a::b]"]))
def test_names_cross_to_the_repository_and_back(prefix, rest, name):
    node_id = f"tests/test_x.py{name}{rest}"
    names = NodeIds(prefix)
    case_id = names.case_id(node_id)
    assert case_id.encode("utf-8")
    if "/" not in rest or name:
        assert case_id.startswith(f"{prefix}/tests/test_x.py" if prefix else "tests/test_x.py")
    if name:
        assert names.node_id(case_id) == node_id


def test_a_file_outside_the_root_folder_keeps_its_place_in_the_repository():
    names = NodeIds("sub/project")
    assert names.case_id("../shared/test_x.py::t") == "sub/shared/test_x.py::t"
    assert names.node_id("sub/shared/test_x.py::t") == "../shared/test_x.py::t"


def test_a_folder_beside_the_root_folder_is_named_by_its_own_place(tmp_path):
    for name in ("one/test_a.py", "two/test_b.py"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("")
    names = NodeIds("one", ("two",), tmp_path)
    for node_id, case_id in (
        ("test_a.py::t", "one/test_a.py::t"),
        ("test_b.py::t", "two/test_b.py::t"),
    ):
        assert names.case_id(node_id) == case_id
        assert names.node_id(case_id) == node_id


def test_lone_surrogates_become_text():
    assert NodeIds().case_id("test_x.py::t[\udc80]") == "test_x.py::t[\\udc80]"


def test_rows_of_one_case_are_its_attempts():
    rows = [
        ["t.py::a", "failed", 0.5, "boom", ""],
        ["t.py::b", "passed", 0.1, None, ""],
        ["t.py::a", "passed", 0.25, None, ""],
    ]
    first, second, other = results_of(rows, NodeIds("sub"))
    assert (first.case_id, first.outcome, first.attempt) == ("sub/t.py::a", "failed", 1)
    assert first.message == digest("boom")
    assert (second.outcome, second.attempt, second.duration_s) == ("passed", 2, 0.25)
    assert (other.case_id, other.file, other.attempt) == ("sub/t.py::b", "sub/t.py", 1)


def test_under_each_the_worst_outcome_counts_once():
    rows = [["a", o, 0.0, None, w] for o, w in [("passed", "0"), ("failed", "1"), ("passed", "2")]]
    (result,) = results_of(rows, NodeIds(), each=True)
    assert (result.outcome, result.attempt) == ("failed", 1)


def test_another_protocol_is_refused():
    engine = Engine()
    assert engine.handle({"op": "start", "protocol": 99, "mode": "rank", "root": "."}) is None
    answer = engine.handle({"op": "plan", "ids": ["a"]})
    assert answer is not None
    assert answer["re"] == "plan"
    assert "protocol 99" in answer["error"]


@pytest.mark.parametrize("request_", [{"op": "nonsense"}, {}, {"op": "end", "complete": True}])
def test_requests_out_of_turn_are_answered_by_an_error(request_):
    answer = Engine().handle(request_)
    assert answer is not None
    assert answer["error"]


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_lines_arrive_whole_in_pieces_of_any_size(monkeypatch, size):
    monkeypatch.setattr("testopt.engine.serving._CHUNK", size)
    source, to_engine = os.pipe()
    from_engine, sink = os.pipe()
    os.write(to_engine, b'{"op":"x"}\n{"op":"yy"}\n{"op":"unfinished"')
    os.close(to_engine)
    serve(Engine(), source, sink)
    os.close(sink)
    with os.fdopen(from_engine, "rb") as out:
        answers = [json.loads(line) for line in out]
    os.close(source)
    assert [a["re"] for a in answers] == ["x", "yy"]


@pytest.mark.integration
def test_an_engine_whose_pytest_has_gone_ends(monkeypatch):
    monkeypatch.setattr("testopt.engine.serving._WATCH_S", 0.01)
    gone = subprocess.Popen([sys.executable, "-S", "-c", ""])
    gone.wait()
    source, to_engine = os.pipe()
    serve(Engine(), source, 1, parent=gone.pid)  # nobody closes the pipe: it ends by itself
    os.close(source)
    os.close(to_engine)


@pytest.mark.integration
def test_a_start_brings_in_no_heavy_library(tmp_path):
    script = (
        "import sys\nfrom testopt.engine import Engine\nengine = Engine()\n"
        f"engine.handle({{'op': 'start', 'protocol': {PROTOCOL}, "
        "'mode': 'rank', 'root': sys.argv[1]})\n"
        "assert not engine._trouble, engine._trouble\n"
        "heavy = {'pandas', 'lightgbm', 'git', 'sklearn', 'click'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def started(real, monkeypatch):
    """An engine that has looked around in a repository whose store knows three cases."""
    monkeypatch.setattr("testopt.store.process_tuning.skip_pandas", lambda: None)
    real.learn()
    engine = Engine()
    request = {"op": "start", "protocol": PROTOCOL, "mode": "rank", "root": str(real.path)}
    assert engine.handle(request) is None
    return engine


@pytest.mark.integration
def test_the_plan_made_while_pytest_collects_is_the_one_that_is_asked_for(started, monkeypatch):
    made = []
    plan_for = Engine._plan_for

    def counted(engine, place, cases, required=()):
        made.append(list(cases))
        return plan_for(engine, place, cases, required)

    monkeypatch.setattr(Engine, "_plan_for", counted)
    known = [f"test_it.py::test_{n}" for n in (1, 2, 3)]
    started.plan_ahead()
    started.plan_ahead()
    assert made == [known]
    same = started.handle({"op": "plan", "ids": known[::-1]})
    assert made == [known]
    other = started.handle({"op": "plan", "ids": [*known, "test_it.py::test_new"]})
    assert len(made) == 2
    # in the order of the ids; the second case is the one that has failed
    assert same["rank"].index(0) == other["rank"].index(0) == 1
    assert len(other["rank"]) == 4


@pytest.mark.integration
def test_a_guess_that_is_not_asked_for_is_no_plan(started):
    started.plan_ahead()
    started.handle({"op": "results", "rows": [["test_it.py::test_1", "passed", 0.1, None, ""]]})
    answer = started.handle({"op": "end", "complete": True, "mode": "rank", "fell_back": ""})
    assert answer == {"re": "end", "note": "1 result recorded in .testopt", "first": []}
    store = started._recorded[0]
    assert store.read("predictions").num_rows == 0
    # what the next plan reads is made when nobody waits
    assert not [name for name in store._location.list("state/") if "features" in name]
    started.update_caches()
    assert any(name.startswith("state/features-") for name in store._location.list("state/"))


@pytest.mark.integration
def test_the_known_cases_are_those_of_the_command_line(started, testopt, real):
    """Many runs of one case at one commit hide no other."""
    store = started._session.store
    for minute in range(9):
        run = {"time": datetime(2026, 2, 1, 0, minute, tzinfo=UTC), "commit": "f" * 40}
        store.append_runs([make_record(f"again-{minute}", ["test_it.py::test_1"], **run)])
    answer = started.handle({"op": "known"})
    assert sorted(answer["ids"]) == [f"test_it.py::test_{n}" for n in (1, 2, 3)]
    ranked = json.loads(testopt("--repo", real.path, "rank", "--json").out)
    assert [case["case_id"] for case in ranked["cases"]] == answer["ids"]
