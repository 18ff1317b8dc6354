"""Many processes on one store: nothing lost, nothing doubled, whatever dies when."""

import random
import resource
import signal
import subprocess
import sys
import time

import pytest

from testopt.errors import StoreError
from testopt.store import Store

pytestmark = pytest.mark.integration

# Appends COUNT runs named PREFIX-i, and says so after each: what is said must survive.
WRITER = """
import sys
from datetime import UTC, datetime, timedelta
from testopt.store.process_tuning import skip_pandas
skip_pandas()
from testopt.schema import Change, FileChange, Result, Run, RunRecord
from testopt.store import Store

url, prefix, count, cases, compact_files = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
change = Change(files=(FileChange("a.py", 1, 1),))
for i in range(count):
    store = Store.open(url, create=True, compact_files=compact_files)
    run = Run(f"{prefix}-{i}", datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=i))
    results = [Result(f"tests/test_a.py::test_{j}", "passed", j / 7) for j in range(cases)]
    new = store.append_runs([RunRecord(run, results, change)])
    print(run.run_id, new, flush=True)
"""


def start(url, prefix, count, *, cases=30, compact_files=8):
    arguments = [str(x) for x in (url, prefix, count, cases, compact_files)]
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(children):
    """Return the lines that the processes printed; none of them may have failed."""
    lines = []
    for child in children:
        out, err = child.communicate(timeout=600)
        assert child.returncode == 0, err
        lines += out.split("\n")[:-1]
    return lines


def assert_whole(url, expected, *, cases=30):
    """Each expected run is there once with all its rows, and nothing else is."""
    store = Store.open(url)
    runs = store.read("runs", columns=["run_id"])["run_id"].to_pylist()
    assert sorted(runs) == sorted(expected)
    counts = store.read("results", columns=["run_id"])["run_id"].value_counts()
    assert {c["values"].as_py(): c["counts"].as_py() for c in counts} == dict.fromkeys(
        expected, cases
    )
    assert store.read("run_changes").num_rows == len(expected)
    assert store.check() == []


def many_writers(url, processes, count):
    lines = finish([start(url, f"p{i}", count) for i in range(processes)])
    assert len(lines) == processes * count
    assert all(line.endswith(" 1") for line in lines)
    assert_whole(url, [f"p{i}-{j}" for i in range(processes) for j in range(count)])


def test_several_writers(tmp_path):
    many_writers(tmp_path / "s", 4, 5)


def checked_meanwhile(url, processes, count):
    """Check and repair in turn while others write: no false alarm, and no run is dropped."""
    children = [start(url, f"p{i}", count) for i in range(processes)]
    while not (url / "runs").exists():
        time.sleep(0.01)
    checks = 0
    while any(child.poll() is None for child in children) or not checks:
        assert Store.open(url).check(repair=checks % 2 == 1) == []
        checks += 1
    lines = finish(children)
    assert len(lines) == processes * count
    assert_whole(url, [f"p{i}-{j}" for i in range(processes) for j in range(count)])


def test_check_and_repair_beside_writers(tmp_path):
    checked_meanwhile(tmp_path / "s", 3, 4)


@pytest.mark.slow
def test_check_and_repair_beside_eight_writers(tmp_path):
    checked_meanwhile(tmp_path / "s", 8, 30)


@pytest.mark.slow
def test_eight_writers_of_fifty_runs(tmp_path):
    many_writers(tmp_path / "s", 8, 50)


def test_the_same_runs_from_several_processes_are_written_once(tmp_path):
    url = tmp_path / "s"
    lines = finish([start(url, "same", 5) for _ in range(3)])
    assert sum(line.endswith(" 1") for line in lines) == 5
    assert_whole(url, [f"same-{j}" for j in range(5)])


def killed(url, times, seed):
    """Kill writers at random moments; return the runs that they acknowledged."""
    chance = random.Random(seed)
    said = set()
    for i in range(times):
        child = start(url, f"k{i}", 1000, cases=200, compact_files=6)
        said.add(child.stdout.readline().split()[0])  # start-up is over
        time.sleep(chance.uniform(0, 0.25))
        child.send_signal(signal.SIGKILL)
        said |= {line.split()[0] for line in child.communicate()[0].split("\n")[:-1]}
    return said


def check_after_kills(url, said):
    store = Store.open(url)
    # a run is there as a whole, or a repair completes it
    assert {p.kind for p in store.check()} <= {"lost"}
    store.check(repair=True)
    assert store.check() == []
    runs = store.run_ids()
    assert said <= runs  # what was acknowledged is there
    assert len(runs) <= len(said) + 40
    counts = store.read("results", columns=["run_id"])["run_id"].value_counts()
    assert {c["values"].as_py(): c["counts"].as_py() for c in counts} == dict.fromkeys(runs, 200)
    store.compact()
    finish([start(url, "after", 2, cases=200)])  # the next command works
    assert Store.open(url).run_ids() == runs | {"after-0", "after-1"}
    assert store.check() == []


def test_kill_leaves_each_run_complete_or_absent(tmp_path):
    check_after_kills(tmp_path / "s", killed(tmp_path / "s", 4, seed=1))


@pytest.mark.slow
def test_thirty_kills(tmp_path):
    check_after_kills(tmp_path / "s", killed(tmp_path / "s", 30, seed=2))


@pytest.fixture
def small_files_only():
    """Let files grow to 6,000 bytes at most for a while: writing more fails as on a full disk."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, old)


@pytest.mark.parametrize("size", [0, 100, 600, 6000])
def test_full_disk(tmp_path, small_files_only, size):
    url = str(tmp_path / "s")
    finish([start(url, "before", 3)])
    store = Store.open(url)
    rows = store.read("results").slice(0, 1)
    part = rows.set_column(1, "case_id", [[random.Random(0).randbytes(9000).hex()]])
    small_files_only(size)
    began = time.monotonic()
    with pytest.raises(StoreError, match="no space left") as caught:
        store.append("results", {"big": part})
    with pytest.raises(StoreError, match="no space left"):
        store.write_blob("state/x", b"x" * 7000)
    small_files_only(resource.RLIM_INFINITY)
    assert time.monotonic() - began < 20  # it does not wait for space
    assert "free some space" in caught.value.hint
    assert store.read_blob("state/x") is None
    assert_whole(url, ["before-0", "before-1", "before-2"])
    assert store.append("results", {"big": part}) == {"big"}
    assert list((tmp_path / "s").rglob(".tmp-*")) == []


def test_a_commit_that_does_not_fit_loses_nothing(tmp_path, small_files_only):
    """The data file fits, the log entry does not."""
    url = str(tmp_path / "s")
    finish([start(url, "before", 2)])
    store = Store.open(url)
    rows = store.read("results").slice(0, 2)
    parts = {f"run#{i}": rows for i in range(200)}  # two hundred keys make a long log entry
    small_files_only(9000)
    with pytest.raises(StoreError, match="no space left"):
        store.append("results", parts)
    small_files_only(resource.RLIM_INFINITY)
    assert_whole(url, ["before-0", "before-1"])
    assert store.append("results", parts) == set(parts)


def test_plain_reading_leaves_pandas_out(tmp_path):
    finish([start(tmp_path / "s", "r", 1)])
    code = (
        "import sys; from testopt.store.process_tuning import skip_pandas; skip_pandas();"
        "from testopt.store import Store; s = Store.open(sys.argv[1]);"
        "s.read('results', where=[('run_id', 'in', ['r-0'])], dictionary=['case_id']).to_pydict();"
        "print([m for m in ('pandas', 'pyarrow.dataset', 'lightgbm') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "s")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
