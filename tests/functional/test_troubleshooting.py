"""Each row of the troubleshooting page's table has a test, most of them here."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from builders import make_record

from testopt.selection.policy import Policy
from testopt.store import Store
from testopt.store.arrays import dump_arrays

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parent.parent.parent
TROUBLES = {
    "no store",
    "damaged store",
    "damaged, truncated or hostile bundle",
    "engine killed",
    "engine hangs",
    "engine prints garbage",
    "disk full",
    "read-only file system",
    "git missing",
    "git hangs",
    "unknown base",
    "clock going backwards",
    "two versions of testopt on one store",
    "different PYTHONHASHSEED",
}
RANKED = ["test_2", "test_1", "test_3"]


def test_the_table_names_a_test_for_each_trouble():
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in page.splitlines()
        if line.startswith("| ")
    ][2:]
    assert {row[0] for row in rows} >= TROUBLES
    tests = "\n".join(path.read_text() for path in ROOT.glob("tests/**/test_*.py"))
    for trouble, seen, remedy, test in rows:
        assert seen, trouble
        assert remedy, trouble
        name = re.fullmatch(r"`(test_\w+)`", test)
        assert name, test
        assert f"\ndef {name[1]}(" in tests, test


def test_a_sound_store_orders(real):
    """Without any trouble the failing case is first: the tests below can tell the difference."""
    real.learn()
    names, line = real.order_and_line("--testopt=rank")
    assert names == RANKED
    assert line == (
        "testopt: ordered by recent failures: no trained model yet (testopt train); "
        "3 results recorded in .testopt"
    )
    assert "testopt: first: test_it.py::test_2 - failed in 2 of 3 runs" in real.said[1]
    # what makes this order worse than it could be is said in a verbose run
    assert any(text.startswith("testopt: no-bundle: ") for text in real.said)


def test_no_store(real):
    line = real.line("--testopt=rank")
    assert line == "testopt: original order: there is no store yet; 3 results recorded in .testopt"
    assert (real.path / ".testopt" / ".gitignore").read_text().strip() == "*"
    rows = Store.open(str(real.path / ".testopt")).read("predictions").to_pylist()
    assert {Policy.parse(row["policy"]).fell_back for row in rows} == {"there is no store yet"}


@pytest.mark.parametrize("damage", ["format", "runs"])
def test_damaged_store(real, damage):
    store = real.learn()
    if damage == "format":
        (store / "format.json").write_text("{")
    for path in (store / "runs").glob("*.parquet") if damage == "runs" else ():
        path.write_bytes(path.read_bytes()[:50])
    line = real.line("--testopt=rank")
    assert line.startswith("testopt: original order")
    assert "is damaged" in line
    assert "testopt store check --repair" in line


class Pickled:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (os.mkdir, ("/tmp/testopt-was-here",))


def replaced(models: Path, name: str, data: bytes) -> None:
    """Replace a file of a bundle, with size and checksum that fit."""
    (manifest,) = models.glob("*/manifest.json")
    document = json.loads(manifest.read_bytes())
    document["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    manifest.write_text(json.dumps(document))
    (manifest.parent / name).write_bytes(data)


def altered(models: Path) -> None:
    (path,) = models.glob("*/forest.npz")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncated(models: Path) -> None:
    (path,) = models.glob("*/manifest.json")
    path.write_bytes(path.read_bytes()[:100])


def loops(models: Path) -> None:
    """A tree whose node is its own child."""
    (path,) = models.glob("*/forest.npz")
    with np.load(path) as arrays:
        forest = dict(arrays)
    forest["left"] = np.zeros_like(forest["left"])
    replaced(models, "forest.npz", dump_arrays(forest))


def executes(models: Path) -> None:
    replaced(models, "state.npz", pickle.dumps(Pickled()))


def leads_astray(models: Path) -> None:
    (models / "current.json").write_text('{"bundle": "../../../../etc"}')


def deep(models: Path) -> None:
    (path,) = models.glob("*/manifest.json")
    path.write_text("[" * 100_000)


@pytest.mark.parametrize("damage", [altered, truncated, loops, executes, leads_astray, deep])
def test_damaged_bundle(real, trained, damage):
    store = real.learn()
    shutil.copytree(trained / "store" / "models", store / "models")
    damage(store / "models")
    line = real.line("--testopt=rank")
    assert line.startswith("testopt: original order: ")
    assert "3 results recorded" in line
    assert not Path("/tmp/testopt-was-here").exists()


def test_full_disk_or_quota(real):
    """Files that grow past a limit fail as they do on a full disk."""
    real.learn()
    script = (
        "import os, resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))\n"
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    real.prefix = (sys.executable, "-c", script)
    env = {"PYTHONDONTWRITEBYTECODE": "1"}
    args = ("--testopt=rank", "-p", "no:cacheprovider", "--capture=sys")
    line = real.line(*args, **env)
    assert re.search("original order: .* no space left .*; not recorded: .* no space left", line)
    assert len(Store.open(str(real.path / ".testopt")).run_ids()) == 3
    assert Store.open(str(real.path / ".testopt")).check() == []


def test_read_only_file_system(real):
    store = real.learn()
    script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    command = ("unshare", "-rm", "sh", "-c", script, str(store))
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets nobody mount anything")
    real.prefix = command
    line = real.line("--testopt=rank")
    assert re.search("original order: .* read-only; not recorded: .* read-only", line)


def test_git_is_missing(real, tmp_path):
    real.learn()
    line = real.line("--testopt=rank", PATH=str(tmp_path))
    assert "original order: the change is unknown: git was not found" in line
    assert "3 results recorded in .testopt" in line


def test_git_hangs(real, tmp_path):
    real.learn()
    git = tmp_path / "git"
    git.write_text("#!/bin/sh\nexec sleep 300\n")
    git.chmod(0o755)
    line = real.line("--testopt=rank", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert "original order: the change is unknown: git rev-parse did not answer in 4 s" in line
    assert "3 results recorded in .testopt" in line


def test_unknown_base(real):
    real.learn()
    line = real.line("--testopt=rank", "--testopt-base=no-such-branch")
    assert "original order: the change is unknown: unknown revision 'no-such-branch'" in line
    assert "3 results recorded in .testopt" in line


def test_clock_goes_backwards(real):
    store = Store.open(str(real.learn()))
    run = {"time": datetime.now(UTC) + timedelta(days=400), "commit": real.commit}
    case = "test_it.py::test_2"
    store.append_runs([make_record("ahead", [case], [case], **run)])
    line = real.line("--testopt=rank")
    assert "original order: the last run is 400 days ahead of the clock" in line
    assert "3 results recorded in .testopt" in line


@pytest.mark.parametrize("what", ["tables", "bundle", "state"])
def test_two_versions(real, trained, what):
    store = real.learn()
    if what == "tables":
        (store / "format.json").write_text('{"format": "testopt store", "schema_version": 99}')
        line = real.line("--testopt=rank")
        assert "original order" in line
        assert "upgrade testopt; nothing was changed" in line
    elif what == "bundle":
        shutil.copytree(trained / "store" / "models", store / "models")
        (path,) = (store / "models").glob("*/manifest.json")
        path.write_text(json.dumps({**json.loads(path.read_text()), "features": "others"}))
        line = real.line("--testopt=rank")
        assert "original order: bundle" in line
        assert "the bundle was trained on other features" in line
    else:
        # the state that another version keeps is not read, and stays
        other = store / "state" / "features-0123456789abcdef.npz"
        other.parent.mkdir(exist_ok=True)
        other.write_bytes(b"of another version")
        assert real.order_and_line("--testopt=rank")[0] == RANKED
        assert other.read_bytes() == b"of another version"


def test_hash_seeds(real, tmp_path):
    """Workers with different hash seeds arrive at one order, and so do two runs."""
    pytest.importorskip("xdist")
    store = real.learn()
    plans = set()
    for seed in ("1", "2"):
        copy = shutil.copytree(store, tmp_path / seed)
        done = real.run("--testopt=shadow", f"--testopt-store={copy}", PYTHONHASHSEED=seed)
        assert done.returncode == 1
        rows = Store.open(str(copy)).read("predictions").to_pylist()
        plans.add(tuple(sorted((row["rank"], row["case_id"]) for row in rows)))
    ((first, *_),) = plans
    assert first == (1, "test_it.py::test_2")
    workers = [f"--tx=popen//env:PYTHONHASHSEED={seed}" for seed in (3, 4)]
    done = real.run("--testopt=rank", "--dist=load", *workers)
    # xdist ends a run in which the workers' lists differ
    assert done.returncode == 1
    assert "Different tests were collected" not in done.stdout
    assert "1 failed, 2 passed" in done.stdout
