"""Workers of Dask: the same results as in one process, and nothing lost with a worker."""

import os
import shutil
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from builders import Suite

from testopt.backtesting import backtest
from testopt.errors import UsageError
from testopt.features.replay import History, replay
from testopt.pool import THIS_PROCESS, open_pool
from testopt.store import Store
from testopt.train import _read, train

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.integration


def test_a_bundle_made_on_a_worker_is_the_same(testopt, trained, tmp_path):
    store = tmp_path / "store"
    shutil.copytree(trained / "store", store)
    at = ("--repo", tmp_path, "--store", store)
    done = testopt(*at, "train", "--scheduler", "local:1", "--json")
    assert done.code == 0, done.err
    assert done.err == ""
    here = testopt(*at, "train", "--json").document
    assert done.document == here


class Killing:
    """A pool of which a worker is killed when a task is asked for; the others know nothing."""

    def __init__(self, pool, at):
        self.pool, self.workers, self.left = pool, pool.workers, at

    def submit(self, function, /, *arguments):
        self.left -= 1
        task = self.pool.submit(function, *arguments)
        if self.left == 0:
            pids = self.pool._client.run(os.getpid)
            os.kill(next(iter(pids.values())), signal.SIGKILL)
        return task


@pytest.fixture
def longer(tmp_path, testopt):
    """Return a store of 200 runs."""
    table = Suite.write(tmp_path / "runs.csv", range(200))
    at = ("--repo", tmp_path, "--store", tmp_path / "store")
    assert testopt(*at, "ingest", "--format", "table", table).code == 0
    return Store.open(str(tmp_path / "store"))


@pytest.mark.slow
@pytest.mark.parametrize("at", [4, 12, 30])
def test_a_worker_that_is_killed_loses_nothing(longer, at):
    whole = train(store=longer)
    with open_pool("local:2") as pool:
        killing = Killing(pool, at)
        ours = train(store=longer, pool=killing)
        assert killing.left <= 0
    assert ours.bundle_id == whole.bundle_id


@pytest.mark.slow
def test_a_backtest_is_the_same(longer):
    whole = backtest(store=longer)
    with open_pool("local:2") as pool:
        ours = backtest(store=longer, pool=Killing(pool, 12))
    assert ours.predictions.equals(whole.predictions)
    assert ours.report == whole.report


@pytest.mark.slow
def test_a_scheduler_that_runs_elsewhere(longer):
    whole = train(store=longer)
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
    ) as cluster:
        with open_pool(cluster.scheduler_address) as pool:
            assert pool.workers == 2
            assert train(store=longer, pool=pool).bundle_id == whole.bundle_id
        cluster.scale(0)
        cluster.sync(cluster._correct_state)
        with (
            pytest.raises(UsageError, match="has no workers"),
            open_pool(cluster.scheduler_address),
        ):
            pass


@pytest.mark.slow
def test_features_of_a_real_history(tmp_path, testopt):
    if not os.environ.get("TESTOPT_BENCH_DATA"):
        pytest.skip("TESTOPT_BENCH_DATA names no folder")
    table = Path(os.environ["TESTOPT_BENCH_DATA"]) / "ranking" / "dune-common_total.parquet"
    at = ("--repo", tmp_path, "--store", tmp_path / "store")
    assert testopt(*at, "ingest", "--format", "table", table).code == 0
    history = History(Store.open(str(tmp_path / "store")))
    rows = partial(_read, share=1.0, seed=0, late=frozenset())
    whole, state = replay(history, rows, THIS_PROCESS)
    with open_pool("local:2") as pool:
        parts, ended = replay(history, rows, pool)
    assert len(parts) > 3
    ours = np.concatenate([part.features.matrix for part, _ in parts])
    np.testing.assert_array_equal(ours, whole[0][0].features.matrix)
    ours, theirs = ended.dump(), state.dump()
    assert ours.keys() == theirs.keys()
    assert all(
        np.array_equal(ours[k], theirs[k], equal_nan=ours[k].dtype.kind == "f") for k in ours
    )
