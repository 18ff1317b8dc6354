"""Forgetting removes the bytes, not only the rows, and survives an interruption anywhere."""

import json
import shutil
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from builders import (
    append_rows,
    arrow_rows,
    commit_row,
    link_row,
    make_record,
    new_store,
    prediction_row,
)

from testopt.errors import DataError, StoreError
from testopt.features.state_store import current_state, save_state
from testopt.forget import find_forgettable
from testopt.forget import forget as forget_found
from testopt.store import Store
from testopt.store.forgotten import COPIES, NOBODY
from testopt.train import _check_forgotten

CASE, OTHER = "tests/test_a.py::test_0canary", "tests/test_a.py::test_b"
PERSON = "0123456789abcdef01234567"


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """Make the store once: Parquet uncompressed, so that its bytes can be searched, all of them."""
    with pytest.MonkeyPatch.context() as patched:
        plain_files(patched)
        return filled(tmp_path_factory.mktemp("forget"))


@pytest.fixture
def store(example, tmp_path):
    return Store.open(shutil.copytree(example.url, tmp_path / "store"))


def plain_files(monkeypatch):
    plain = {"compression": "NONE", "compression_level": None}
    for name in ("write_table", "ParquetWriter"):  # of these the latter writes tables
        write = partial(_call_with, getattr(pq, name), plain)
        monkeypatch.setattr(pq, name, write)


def _call_with(function, plain, *args, **named):
    return function(*args, **{**named, **plain})


def filled(folder):
    """Return a store with the case and the person in each place that there is."""
    store = new_store(folder)
    for number in range(3):
        plan = [prediction_row(case) for case in (CASE, OTHER)]
        store.append_runs([make_record(f"r{number}", [CASE, OTHER], [CASE], predictions=plan)])
    store.append_runs([make_record("only", [CASE])])
    append_rows(store, "predictions", [prediction_row(CASE) | {"run_id": "waits"}], "waits")
    append_rows(store, "links", [link_row(CASE, "a.py"), link_row(OTHER, "a.py")])
    append_rows(store, "commits", [commit_row("1", author=PERSON), commit_row("2", author="else")])
    store.compact()  # so that there are replaced files
    store._logs["results"].create().create_checkpoint()
    rows = arrow_rows("results", store.read("results").to_pylist())
    for name in ("runs-1/results.parquet", "results/part-1-2.parquet"):
        path = Path(store.url) / "damaged" / name
        path.parent.mkdir(parents=True)
        pq.write_table(rows, path)
    (path.parent / "part-2-3.parquet").write_bytes(b"PAR1" + CASE.encode())
    for name in ("state/.tmp-0", "models/m/.tmp-0"):  # of writers that died
        path = Path(store.url) / name
        path.parent.mkdir(parents=True)
        path.write_bytes(CASE.encode())
    return store


def holders(store, *texts):
    """Return the files of a store in which one of the texts stands."""
    files = [p for p in Path(store.url).rglob("*") if p.is_file()]
    return {
        path.relative_to(store.url).as_posix()
        for path in files
        if any(text.encode() in path.read_bytes() for text in texts)
    }


def forget(store, cases=(CASE,), authors=(PERSON,)):
    with store.forgetting(cases=cases, authors=authors):
        pass


def test_no_byte_of_it_is_left(store, monkeypatch):
    plain_files(monkeypatch)
    places = {name.partition("/")[0] for name in holders(store, CASE, PERSON)}
    assert places == {"results", "predictions", "links", "commits", "damaged", "state", "models"}
    assert any("_delta_log" in name and ".json" in name for name in holders(store, CASE))
    assert any("checkpoint" in name for name in holders(store, CASE))
    forget(store)
    assert holders(store, CASE, PERSON) == set()


def test_the_rest_stays_and_it_does_not_come_in_again(store):
    before = store.read("results", where=[("case_id", "!=", CASE)]).sort_by("run_id")
    forget(store)
    assert store.read("results").sort_by("run_id").equals(before)
    runs = {row["run_id"]: row for row in store.read("runs").to_pylist()}
    assert {run: (row["cases"], row["failed"]) for run, row in runs.items()} == {
        **{f"r{n}": (1, 0) for n in range(3)},
        "only": (0, 0),
    }
    authors = {row["sha"]: row["author"] for row in store.read("commits").to_pylist()}
    assert authors == {"1": NOBODY, "2": "else"}
    assert store.check() == []
    assert pq.read_table(next(Path(store.url).rglob("damaged/runs-1/*"))).num_rows == 3
    again = make_record("new", [CASE, OTHER], [CASE], predictions=[prediction_row(CASE)])
    assert store.append_runs([again, make_record("r1", [CASE, OTHER])]) == 1
    append_rows(store, "commits", [commit_row("3", author=PERSON)], "later")
    append_rows(store, "links", [link_row(CASE, "b.py")], "later")
    for table in ("results", "predictions", "links"):
        assert CASE not in store.read(table, unfinished=True)["case_id"].to_pylist()
    assert store.read("commits", where=[("sha", "=", "3")])["author"].to_pylist() == [NOBODY]
    run = store.read("runs", where=[("run_id", "=", "new")]).to_pylist()[0]
    assert (run["cases"], run["failed"]) == (1, 0)
    assert store.check() == []


def test_an_interruption_is_named_and_finished(store, monkeypatch):

    def die(*_args, **_named):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("testopt.store.forget.erase_traces", die)
        with pytest.raises(KeyboardInterrupt):
            forget(store)
    store = Store.open(store.url)
    assert [p.kind for p in store.check()] == ["forget"]
    store.check(repair=True)
    assert len(store.run_ids()) == 4
    forget(store, (), ())  # the list tells what
    assert store.check() == []
    assert CASE not in store.read("results")["case_id"].to_pylist()
    assert PERSON not in store.read("commits")["author"].to_pylist()


def test_a_reader_that_is_at_it_reads_on(store):
    reader = Store.open(store.url)
    assert reader.read("results").num_rows == 7
    forget(store)
    assert reader.read("results").num_rows == 3
    assert reader.append_runs([make_record("late", [OTHER])]) == 1
    assert Store.open(store.url).read("results").num_rows == 4
    assert store.check() == []


def test_other_ends_of_lines_in_a_log_are_text(store):
    entry = max(Path(store.url).glob("results/_delta_log/*.json"))
    odd = json.dumps({"commitInfo": {"by": "one\u2028\x85two"}}, ensure_ascii=False)
    entry.write_text(f"{odd}\n{entry.read_text()}", encoding="utf-8", newline="")
    forget(store)
    assert odd in entry.read_text(encoding="utf-8").split("\n")
    assert store.check() == []


def test_a_state_that_was_read_before_is_not_kept_after(store):
    state, version = current_state(store).state, store.version("runs")
    save_state(store, state, version=version)
    assert {name for name in holders(store, CASE) if name.startswith("state/features-")}
    forget_found(store=store, found=find_forgettable(store=store, repo=None, cases=[CASE]))
    save_state(store, state, version=version)
    with pytest.raises(DataError, match="forgotten during the training"):
        _check_forgotten(store, state)
    assert holders(store, CASE) == set()
    save_state(store, current_state(store).state, version=store.version("runs"))
    assert store.blobs("state")


def test_a_damaged_store_is_refused(store):
    for path in Path(store.url).glob("results/*.parquet"):
        path.write_bytes(b"PAR1")
    with pytest.raises(StoreError, match="damaged"):
        forget(store)
    assert not store.forgotten()


def test_the_list_outlives_damage_to_one_copy(store):
    forget(store)
    copy = Path(store.url) / COPIES[0]
    copy.write_bytes(copy.read_bytes()[:-9])
    assert store.forgotten().among([CASE]) == [CASE]
    assert [(p.kind, p.file) for p in store.check()] == [("list", COPIES[0])]
    assert all(p.mended for p in store.check(repair=True))
    assert store.check() == []
    assert store.forgotten().among([CASE]) == [CASE]


def test_a_lost_list_stops_writers_until_it_is_put_aside(store):
    forget(store)
    for name in COPIES:
        (Path(store.url) / name).write_bytes(b"[]")
    with pytest.raises(StoreError, match="told to forget"):
        store.append_runs([make_record("late", [CASE])])
    assert {p.kind for p in store.check()} == {"list"}
    assert "testopt store forget" in store.check(repair=True)[0].done
    assert store.check() == []
