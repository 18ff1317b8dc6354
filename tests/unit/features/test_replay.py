"""A history replayed in parts, by workers that share nothing, gives the features of one pass."""

import pickle
from dataclasses import fields
from functools import partial

import numpy as np
import pytest
from builders import make_change, make_record, new_store

from testopt.errors import RepositoryError
from testopt.features import replay as module
from testopt.features.frames import frames
from testopt.features.replay import History, replay
from testopt.features.training_set import TrainingSet, read_rows
from testopt.schema import FileChange
from testopt.store import Store


class Elsewhere:
    """Tasks get copies of what they are given, as another process would, and run when asked."""

    def __init__(self, workers=2):
        self.workers = workers

    def submit(self, function, /, *arguments):
        return _Task(function, arguments)


class _Task:
    def __init__(self, function, arguments):
        self._call, self._value = (function, arguments), None

    def result(self):
        if self._call is not None:
            function, arguments = self._call
            values = [a.result() if isinstance(a, _Task) else a for a in arguments]
            self._value = pickle.dumps(function(*copy_of(values)))
            self._call = None
        return pickle.loads(self._value)  # noqa: S301 - what this test has written


def copy_of(value):
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - what this test has written


def record_of(i):
    random = np.random.default_rng(i)
    cases = [f"t/test_{c % 5}.py::a{c}" for c in random.permutation(12 + i // 4)[:14]]
    outcomes = random.choice(["passed"] * 6 + ["failed", "skipped"], len(cases))
    made = i % 7 == 5  # a fault that was seeded into the commit before
    files = [FileChange(f"src/{random.integers(4)}.py", added=3, deleted=1)]
    if i == 11:
        files.append(FileChange("t/test_9.py", status="R", old_path="t/test_4.py"))
    return make_record(
        f"r{i:02}",
        dict(zip(cases, outcomes.tolist(), strict=True)),
        hours=i,
        seconds=float(random.random()),
        change=make_change(*files),
        duration_s=float(random.choice([60.0, 9000.0])),  # some end after the next two began
        job=str(random.choice(["unit", "slow"])),
        branch=str(random.choice(["main", "topic"])),
        commit=f"{i:040x}",
        base=f"{i - 1 - made:040x}",
        kind="mutant" if made else "real",
        environment_failure=True if i == 17 else None,
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return new_store(tmp_path_factory.mktemp("replay"), records=[record_of(i) for i in range(40)])


def read(store, pool, *, share=1.0):
    rows = partial(read_some, share=share)
    parts, state = replay(History(store), rows, pool)
    return TrainingSet.concatenate(list(parts)), state, len(parts)


def read_some(first, frames_of_part, state, *, share):
    return read_rows(frames_of_part, state, first=first, share=share)


def arrays_of(rows):
    facts = {f.name: getattr(rows.features, f.name) for f in fields(rows.features)}
    names = ("y", "run", "weight", "is_seeded", "stopped_early")
    return facts | {name: getattr(rows, name) for name in names}


def assert_same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        assert array.dtype == theirs[name].dtype, name
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)


@pytest.mark.parametrize(("workers", "share"), [(1, 0.3), (10, 1.0)])
def test_features_and_state_are_those_of_one_process(store, workers, share):
    whole, state, parts = read(store, module.THIS_PROCESS, share=share)
    assert parts == 1
    ours, ended, many = read(store, Elsewhere(workers), share=share)
    assert many >= min(2 * workers, 39)
    assert_same(arrays_of(whole), arrays_of(ours))
    assert_same(state.dump(), ended.dump())


def test_one_process_reads_part_by_part_too(store, monkeypatch):
    whole, state, _ = read(store, module.THIS_PROCESS)
    monkeypatch.setattr(module, "RESULTS_AT_ONCE", 50)
    ours, ended, parts = read(store, module.THIS_PROCESS)
    assert parts > 10
    assert_same(arrays_of(whole), arrays_of(ours))
    assert_same(state.dump(), ended.dump())


class NoSources:
    """Sources that say nothing."""

    def __init__(self, *_, **__):
        self.asked = 0

    def add(self, query):
        self.asked += 1
        return query

    def keep(self):
        assert self.asked


def test_sources_are_read_once_and_let_go(store, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(module, "RESULTS_AT_ONCE", 200)
    monkeypatch.setattr(module, "Sources", lambda *_, **__: made.append(NoSources()) or made[-1])
    found, _ = replay(History(store, tmp_path), partial(read_some, share=1.0))
    assert len(found) > 1
    assert [sources.asked for sources in made] == [40]
    assert not vars(module._last)


def test_a_state_says_what_it_waits_for(store):
    """The test above means something only where a border of parts has runs that are not over."""
    state = module.FeatureState()
    waiting = []
    for frame in frames(*(store.read(t) for t in ("runs", "results", "run_changes"))):
        state.pass_by(frame)
        snapshot = state.snapshot()
        waiting.append((len(snapshot.running) > 1, len(snapshot.variants) > 0))
    assert all(map(any, zip(*waiting, strict=True)))


def test_progress_counts_runs(store):
    told = []
    replay(
        History(store),
        partial(read_some, share=1.0),
        Elsewhere(4),
        progress=lambda done, total: told.append((done, total)),
    )
    assert told[-1] == (40, 40)
    assert len(told) > 4


def test_an_empty_history_has_no_parts(tmp_path):
    found, state = replay(History(new_store(tmp_path)), lambda *_: 1, Elsewhere(2))
    assert found == []
    assert state.history.tick == 0


def test_the_order_of_rows_in_the_store_changes_nothing(tmp_path):
    records = [record_of(i) for i in range(8)]
    whole = new_store(tmp_path, "whole", records)
    bits = new_store(tmp_path, "bits")
    for one in records:
        bits.append_runs([one])
    bits.compact()
    ours, _, _ = read(Store.open(whole.url), module.THIS_PROCESS)
    theirs, _, _ = read(Store.open(bits.url), module.THIS_PROCESS)
    assert_same(arrays_of(ours), arrays_of(theirs))


def test_a_worker_without_the_repository_says_so(store, tmp_path):
    with pytest.raises(RepositoryError, match="a worker has no folder"):
        replay(History(store, tmp_path / "elsewhere"), lambda *_: 1, Elsewhere(2))
