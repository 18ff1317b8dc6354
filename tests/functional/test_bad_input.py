"""Whatever comes in: a clear line, the right exit code, no traceback, and nothing lost."""

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from builders import Suite

from testopt.errors import BundleError, RepositoryError
from testopt.selection.bundle_registry import current_bundle
from testopt.store import Store
from testopt.store.arrays import dump_arrays, load_arrays
from testopt.store.bundle import MANIFEST

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("no_ci")]

ODD = [
    "tests/t.py::test_a[line\nbreak]",
    "tests/t.py::test_a[\r\n]",
    "a::b::::c",
    "::",
    "tests/t.py::test_q['single' \"double\", comma]",
    "tests/t.py::test_e[\N{PILE OF POO}\N{COMBINING ACUTE ACCENT}]",
    "tests/t.py::test_r[\u202eright to left\u2028]",
    "tests/t.py::test_z[\x1b[31mred\x07]",
    "tests/t.py::test_long[" + "x" * 10_000 + "]",
    " leading and trailing ",
    "-x --rootdir=/",
    "../../etc/passwd::test",
    "[",
    "{}",
    "0",
]


@pytest.fixture
def place(trained, tmp_path):
    """A copy of the trained store, and the options that name it."""
    shutil.copytree(trained / "store", tmp_path / "store")
    return ("--repo", tmp_path, "--store", tmp_path / "store")


@pytest.fixture
def rank(place, tmp_path):
    """The command that ranks for an empty change."""
    diff = tmp_path / "empty.diff"
    diff.touch()
    return (*place, "rank", "--diff", diff)


@pytest.fixture
def fails(testopt):
    """Return a function that calls a command which must fail, in words."""

    def call(*args, code, words, stdin=None):
        done = testopt(*args, stdin=stdin)
        assert (done.code, done.out) == (code, ""), done
        assert words in done.err
        assert "Traceback" not in done.err
        return done.err

    return call


def write(path, rows, header=("run_id", "time", "case_id", "outcome", "duration_s")):
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


@pytest.mark.parametrize(
    "command", ["mine", "rank", "risk", "train", "backtest", "backfill", "szz", "store info"]
)
def test_a_repository_that_is_not_there(tmp_path, fails, command):
    args = command.split()
    err = fails("--repo", tmp_path / "absent", *args, code=3, words="there is no folder")
    assert "hint: " in err
    (tmp_path / "file").touch()
    fails("--repo", tmp_path / "file", *args, code=3, words="there is no folder")


@pytest.mark.parametrize("command", ["mine", "rank --head=HEAD", "backfill"])
def test_a_folder_without_a_repository(tmp_path, fails, command):
    fails("--repo", tmp_path, *command.split(), code=3, words="is not in a git repository")


@pytest.mark.parametrize("revision", ["absent", "-x", "--output=made", "", "HEAD:a.py", "a b", "é"])
def test_revisions_that_are_none(trained, make_repo, fails, revision):
    repo = make_repo()
    repo.commit(files={"a.py": "a = 1\n"})
    at = ("--repo", repo.path, "--store", trained / "store", "rank")
    for option in (f"--base={revision}", f"--head={revision}"):
        err = fails(*at, option, code=2, words="revision")
        assert err.count("\n") == 2
    assert [path.name for path in repo.path.iterdir() if path.name != ".git"] == ["a.py"]


@pytest.mark.parametrize("revision", ["absent", "-x", "--output=made", "HEAD..-x"])
def test_revisions_that_cannot_be_mined(make_repo, fails, revision):
    repo = make_repo()
    repo.commit(files={"a.py": "a = 1\n"})
    fails("--repo", repo.path, "mine", "--", revision, code=2, words="revision")
    assert {path.name for path in repo.path.iterdir()} <= {".git", ".testopt", "a.py"}


@pytest.mark.parametrize("command", [["train"], ["backtest"], ["store", "check"]])
def test_no_store(tmp_path, fails, command):
    err = fails("--repo", tmp_path, *command, code=3, words="there is no store at")
    assert "testopt ingest" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["train", "backtest", "rank"])
def test_a_store_without_runs(make_repo, testopt, fails, command):
    repo = make_repo()
    repo.commit(files={"a.py": "a = 1\n"})
    assert testopt("--repo", repo.path, "mine").code == 0
    err = fails("--repo", repo.path, command, code=3, words="the store holds no runs")
    assert "testopt ingest" in err


def test_ranking_without_a_store_keeps_the_order(tmp_path, testopt):
    diff = tmp_path / "empty.diff"
    diff.touch()
    rank = ("--repo", tmp_path, "rank", "--diff", diff, "--cases", "-")
    done = testopt(*rank, "--json", stdin=b"b\na\nc\n")
    assert done.code == 0
    assert [case["case_id"] for case in done.document["cases"]] == ["b", "a", "c"]
    assert "there is no store yet" in done.err


@pytest.mark.parametrize(
    ("outcome", "words"), [("passed", "ever failed"), ("failed", "every case")]
)
def test_one_class_of_outcomes_teaches_nothing(tmp_path, testopt, fails, outcome, words):
    rows = [(f"r{n}", f"2026-01-0{n + 1}", c, outcome, 1) for n in range(4) for c in "abc"]
    table = write(tmp_path / "runs.csv", rows)
    at = ("--repo", tmp_path, "--store", tmp_path / "store")
    assert testopt(*at, "ingest", "--format", "table", table).code == 0
    err = fails(*at, "train", code=3, words=words)
    assert "hint: " in err
    assert "backfill" in err
    done = testopt(*at, "backtest", "--json")
    assert (done.code, done.document["modelled_runs"]) == (0, 0)
    assert done.document["failing_runs"] == (4 if outcome == "failed" else 0)
    assert testopt(*at, "store", "check").code == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "cannot be read"),
        ("run_id,time\nr,2026-01-01\n", "has no column case_id, outcome, duration_s"),
        ("run_id,time,case_id,outcome,duration_s\nr,2026-01-01,a,passed", None),
        (
            "run_id,time,case_id,outcome,duration_s\nr,2026-01-01,a,passed,1\nr,2026",
            "cannot be read",
        ),
        ("run_id,time,case_id,outcome,duration_s\nr,2026-01-01,a,green,1\n", "unknown outcome"),
        ("PAR1 and then nothing", "cannot be read"),
        ("\0\1\2" * 99, None),
    ],
)
def test_half_written_tables(tmp_path, testopt, text, words):
    path = tmp_path / "runs.csv"
    path.write_text(text)
    at = ("--repo", tmp_path, "--store", tmp_path / "store")
    done = testopt(*at, "ingest", "--format", "table", path)
    assert done.code == 3
    assert (words or "runs.csv") in done.err
    assert str(path) in done.err
    assert testopt(*at, "store", "check").code == 0


def test_good_tables_beside_bad_ones_are_kept(tmp_path, testopt):
    good = Suite.write(tmp_path / "good.csv", range(3))
    bad = tmp_path / "bad.csv"
    bad.write_bytes(good.read_bytes()[:300])
    at = ("--repo", tmp_path, "--store", tmp_path / "store")
    done = testopt(*at, "ingest", "--format", "table", "--json", bad, good, tmp_path / "absent")
    assert done.code == 3
    rejected = {os.path.basename(f["path"]): f["rejected"] for f in done.document["files"]}  # noqa: PTH119
    assert rejected["good.csv"] is None
    assert rejected["bad.csv"]
    assert "No such file" in rejected["absent"]
    assert done.document["new_runs"] == 3


def test_odd_case_ids_come_through_whole(tmp_path, testopt, fails):
    rows = [
        (f"run {n}\n", f"2026-01-{n + 1:02}", case, "failed" if (n + i) % 5 == 0 else "passed", 1)
        for n in range(25)
        for i, case in enumerate(ODD)
    ]
    at = ("--repo", tmp_path, "--store", tmp_path / "store")
    table = write(tmp_path / "runs.csv", rows)
    assert testopt(*at, "ingest", "--format", "table", table).code == 0
    assert testopt(*at, "train").code == 0
    (tmp_path / "empty.diff").touch()
    rank = (*at, "rank", "--diff", tmp_path / "empty.diff")
    document = testopt(*rank, "--json").document
    assert sorted(case["case_id"] for case in document["cases"]) == sorted(ODD)
    listed = json.dumps(ODD).encode()
    again = testopt(*rank, "--json", "--cases", "-", stdin=listed).document
    assert {c["case_id"]: c["rank"] for c in again["cases"]} == {
        c["case_id"]: c["rank"] for c in document["cases"]
    }
    text = testopt(*rank).out
    assert all(c.isprintable() or c == "\n" for c in text)
    assert len(text.splitlines()) == 1 + 2 * len(ODD)
    own = [case for case in ODD if case.startswith("tests/t.py")]  # other ids are none of pytest
    lines = [case for case in own if "\n" not in case]
    whole = set(testopt(*rank, "--format", "pytest").out.split("\n")[:-1])
    assert whole == {*lines, *(case.partition("[")[0] for case in own if "\n" in case)}
    assert testopt(*rank, "--json", "--format", "pytest").code == 2
    listed = json.dumps(lines).encode()
    done = testopt(*rank, "--format", "pytest", "--cases", "-", stdin=listed)
    assert sorted(done.out.split("\n")[:-1]) == sorted(lines)
    assert testopt(*at, "store", "check").code == 0


def test_odd_case_ids_of_junit(tmp_path, testopt):
    from xml.sax.saxutils import quoteattr

    names = [name for name in ODD if "\x1b" not in name]  # XML cannot hold it
    cases = "".join(f"<testcase classname='k' name={quoteattr(name)}/>" for name in names)
    (tmp_path / "r.xml").write_text(f"<testsuite>{cases}</testsuite>", encoding="utf-8")
    at = ("--repo", tmp_path, "--store", tmp_path / "store")
    done = testopt(*at, "ingest", tmp_path / "r.xml", "--json")
    assert (done.code, done.document["files"][0]["cases"]) == (0, len(names))
    (tmp_path / "empty.diff").touch()
    done = testopt(*at, "rank", "--diff", tmp_path / "empty.diff", "--json")
    assert len(done.document["cases"]) == len(names)


@pytest.mark.parametrize(
    ("cases", "words"),
    [
        (b"[1]", "is not a text file"),
        (b'["a", null]', "is not a text file"),
        (b"[", "not a JSON list"),
        (b"[" * 100_000, "not a JSON list"),
    ],
)
def test_bad_lists_of_cases(rank, fails, cases, words):
    err = fails(*rank, "--cases", "-", stdin=cases, code=3, words=words)
    assert "standard input" in err


def test_bytes_that_are_no_utf8_come_back_as_they_were(rank):
    command = [sys.executable, "-m", "testopt", *map(str, rank), "--format", "pytest"]
    cases = b"t.py::\xff\xfe\nt.py::b\xc3\xa9\x1cc\n"
    done = subprocess.run([*command, "--cases", "-"], input=cases, capture_output=True, check=True)
    assert sorted(done.stdout.split(b"\n")) == sorted(cases.split(b"\n"))


@pytest.mark.parametrize("text", ["", "\n\n", "[]"])
def test_no_cases_at_all(rank, testopt, text):
    done = testopt(*rank, "--cases", "-", "--format", "pytest", stdin=text.encode())
    assert (done.code, done.out) == (0, "--collect-only\n-qq\n")  # nothing would run everything


def test_what_the_user_typed(place, rank, tmp_path, fails):
    fails(*rank, "--base", "HEAD", code=2, words="--diff cannot be combined")
    fails(*rank, "--cases", tmp_path / "absent", code=3, words="cannot be read")
    fails(*place, "rank", "--diff", tmp_path, code=3, words="Is a directory")
    fails(*place, "train", "--as-of", "yesterday", code=2, words="Invalid time 'yesterday'")
    fails(*place, "train", "--as-of", "1990-01-01", code=3, words="no run")
    fails(*place, "absent", code=2, words="No such command")
    fails(*place, "backtest", "--predictions", tmp_path / "o.txt", code=2, words=".parquet or .csv")
    (tmp_path / "pyproject.toml").write_text("[tool.testopt]\nsede = 1\n")
    fails(*place, "train", code=2, words="unknown setting 'sede'")
    (tmp_path / "pyproject.toml").write_text("[tool.testopt\n")
    fails(*place, "train", code=2, words="pyproject.toml cannot be read")


def bundle(store):
    models = store / "models"
    return models / json.loads((models / "current.json").read_text())["bundle"]


DAMAGE = {
    "missing": None,
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "altered": lambda data: data[:100] + bytes([data[100] ^ 1]) + data[101:],
    "other": lambda data: b"\x80\x04garbage" * 50,
    "deep": lambda data: b"[" * 100_000,
    "a folder": lambda data: None,
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_bundle_is_named_and_left_aside(place, rank, tmp_path, testopt, how):
    folder = bundle(tmp_path / "store")
    for path in (folder / "forest.npz", folder / "state.npz", folder / MANIFEST):
        data = path.read_bytes()
        path.unlink()
        if how == "a folder":
            path.mkdir()
        elif how != "missing":
            path.write_bytes(DAMAGE[how](data))
        done = testopt(*rank, "--json")
        assert done.code == 0
        assert done.err.count("\n") == 1
        assert done.err.startswith("ordered by recent failures: ")
        assert path.name in done.err or "array file" in done.err
        document = done.document
        assert document["policy"] == "untrained"
        first = {case["case_id"] for case in document["cases"][:2]}
        assert first == {Suite.cases[7], Suite.cases[11]}  # failed last, in the same run
        assert len(document["cases"]) == 15
        if path.is_dir():
            path.rmdir()
        path.write_bytes(data)
    assert testopt(*rank, "--json").document["policy"].startswith("bundle ")
    assert testopt(*place, "store", "check").code == 0


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"bundle": "../../x"}', '{"bundle": "no"}', "[" * 100_000]
)
def test_a_damaged_pointer_to_the_bundle(rank, tmp_path, testopt, text):
    (tmp_path / "store/models/current.json").write_text(text)
    done = testopt(*rank, "--json")
    assert (done.code, done.document["policy"]) == (0, "untrained")
    assert done.err.count("\n") == 1


def resealed(folder, name, data):
    """Put another file into a bundle, with a manifest that agrees."""
    manifest = json.loads((folder / MANIFEST).read_text())
    digest = hashlib.sha256(data).hexdigest()
    manifest["files"][name] = {"bytes": len(data), "sha256": digest}
    (folder / name).write_bytes(data)
    (folder / MANIFEST).write_text(json.dumps(manifest))


def test_hostile_manifests(rank, tmp_path, testopt):
    path = bundle(tmp_path / "store") / MANIFEST
    manifest = json.loads(path.read_text())
    names = manifest["files"]
    for key, value in (
        ("files", dict.fromkeys(names, "sha256 bytes")),
        ("files", {name: ["sha256", "bytes"] for name in names}),
        ("files", {name: {"sha256": None, "bytes": 1} for name in names}),
        ("files", {}),
        ("files", None),
        ("format", 99),
        ("format", None),
        ("features", ["a"]),
        ("calibration", None),
        ("calibration", "ab"),
        ("calibration", [float("nan"), 1.0]),
        ("calibration", [1e308, -1e308]),
    ):
        path.write_text(json.dumps({**manifest, key: value}))
        done = testopt(*rank, "--json")
        assert (done.code, done.document["policy"]) == (0, "untrained"), (key, value)
        assert done.err.count("\n") == 1


def test_hostile_arrays(rank, tmp_path, testopt):
    folder = bundle(tmp_path / "store")
    whole = load_arrays((folder / "forest.npz").read_bytes())
    store = Store.open(tmp_path / "store")
    for name, array in whole.items():
        for other in (
            np.array(["a", "b"]),
            np.zeros((3, 3)),
            np.array(7),
            np.zeros(array.shape, "M8[s]"),
            np.full(array.shape, np.nan),
            np.full(array.shape, 10**9),
        ):
            resealed(folder, "forest.npz", dump_arrays({**whole, name: other}))
            with pytest.raises(BundleError, match="forest"):
                current_bundle(store)
    done = testopt(*rank, "--json")
    assert (done.code, done.document["policy"]) == (0, "untrained")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("how", DAMAGE)
def test_damaged_feature_state_is_made_again(place, rank, tmp_path, testopt, how):
    expected = testopt(*rank, "--json").document
    states = list((tmp_path / "store/state").glob("features*"))
    assert len(states) == 1
    data = states[0].read_bytes()
    if how in ("missing", "a folder"):
        states[0].unlink()
    else:
        states[0].write_bytes(DAMAGE[how](data))
    assert testopt(*rank, "--json").document == expected
    table = Suite.write(tmp_path / "more.csv", range(60, 62))
    assert testopt(*place, "ingest", "--format", "table", table).code == 0
    assert testopt(*rank).code == 0
    assert testopt(*place, "store", "check").code == 0


def test_state_whose_columns_do_not_fit_is_made_again(rank, tmp_path, testopt):
    expected = testopt(*rank, "--json").document
    (state,) = (tmp_path / "store/state").glob("features*")
    whole = load_arrays(state.read_bytes())
    for name in ("history.case.fails", "history.file.rate", "history.clock", "history.table.ends"):
        for other in (np.zeros(1), np.array(["a", "b"]), np.array(7), np.zeros((3, 3))):
            state.write_bytes(dump_arrays({**whole, name: other}))
            assert testopt(*rank, "--json").document == expected, (name, other)


def test_damage_in_the_tables_is_said_and_mended(place, rank, tmp_path, testopt, fails):
    (file,) = (tmp_path / "store/results").rglob("*.parquet")
    file.write_bytes(file.read_bytes()[:1000])
    for command in (["train"], ["backtest"]):
        err = fails(*place, *command, code=3, words="is damaged")
        assert "store check --repair" in err
    assert testopt(*place, "store", "check").code == 3
    cases = json.dumps(Suite.cases).encode()
    done = testopt(*rank, "--json", "--cases", "-", stdin=cases)
    assert (done.code, len(done.document["cases"])) == (0, 15)
    assert testopt(*place, "store", "check", "--repair").code == 0
    table = Suite.write(tmp_path / "runs.csv", range(60))
    assert testopt(*place, "ingest", "--format", "table", table).code == 0
    assert testopt(*place, "store", "check").code == 0
    assert testopt(*place, "backtest", "--json").document["runs"] == 60


def test_a_traceback_only_with_debug(tmp_path, testopt, fails):
    at = ("--repo", tmp_path / "absent", "train")
    assert fails(*at, code=3, words="error: there is no folder").startswith("error: ")
    with pytest.raises(RepositoryError):
        testopt("--debug", *at)


def test_a_device_without_end_is_no_input(place, fails):
    fails(*place, "rank", "--diff", "/dev/zero", code=3, words="device that never ends")


def test_a_device_without_end_is_no_report(place, testopt):
    done = testopt(*place, "ingest", "/dev/zero")
    assert done.code == 3
    assert "/dev/zero: is a device that never ends" in done.err


def test_nothing_at_all_is_an_empty_change(place, testopt):
    assert testopt(*place, "rank", "--diff", "/dev/null").code == 0


def test_a_working_folder_that_is_gone_is_said(tmp_path, monkeypatch, fails):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    fails("doctor", code=2, words="the working folder cannot be used")
    monkeypatch.undo()


def test_closed_streams_are_no_files_of_the_store(place):
    command = [sys.executable, "-m", "testopt", *map(str, place), "ingest", "-"]
    closed = ["sh", "-c", 'exec "$@" <&- >&-', "sh", *command]
    done = subprocess.run(closed, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, "Traceback" in done.stderr) == (3, False)
    assert "-: line 1, column 1: the document ends early" in done.stderr
