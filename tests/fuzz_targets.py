"""What must hold of every reader, whatever the bytes: for `scripts/bench/fuzz.py` and the corpus.

A target takes any bytes and an empty folder; an exception other than those that testopt raises on
purpose is a finding, and so is one that takes too long.
"""

import bz2
import gzip
import json
import lzma
import tarfile
import zipfile
from datetime import UTC, datetime
from functools import cache
from io import BytesIO

import numpy as np
from builders import make_frame, make_query, make_run

from testopt.errors import DataError
from testopt.features.pipeline import FeatureState
from testopt.features.run_features import NAMES, feature_hash
from testopt.features.state_check import check_state
from testopt.git.diff_listing import file_changes, with_tokens
from testopt.git.saved_diff import diff_file
from testopt.learning.forest import Forest
from testopt.ranking.orderings import priority
from testopt.results.archives import RejectedPath, ReportFile, find_report_files
from testopt.results.case_id_normalisation import CaseIdNormaliser
from testopt.results.case_resolver import CaseResolver
from testopt.results.coverage import read_coverage
from testopt.results.junit import Suite
from testopt.results.junit_rows import read_report_file
from testopt.results.tables import read_changes, read_result_blocks, read_results
from testopt.selection.bundle import unpack
from testopt.store.arrays import dump_arrays, load_arrays
from testopt.store.bundle import pack

RESOLVER = CaseResolver(["tests/test_a.py", "pkg/b/test_a.py", "web/a.spec.ts"])
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
PACKED = ((".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress))


def rows_of(report, folder, *, native):
    """Read one file as `testopt ingest` does, and check what it says of itself."""
    found = read_report_file(report, RESOLVER, spill=folder / "spill", native=native)
    rows = [row for batch in found.batches() for row in batch.to_pylist()]
    assert len(rows) == found.rows <= found.summary.attempts
    assert found.rejected or found.summary.is_junit
    assert found.summary.cases <= found.summary.attempts
    return found, rows


def read_reports(data, folder, *, native):
    plain = folder / "report"
    plain.write_bytes(data)
    found, rows = rows_of(ReportFile("report", plain), folder, native=native)
    ending, pack = PACKED[len(data) % len(PACKED)]
    packed = folder / f"report{ending}"
    packed.write_bytes(pack(data))
    again, same = rows_of(ReportFile("report", packed), folder, native=native)
    assert (rows, found.rejected, found.digest) == (same, again.rejected, again.digest)


def junit(data, folder):
    """Read JUnit XML; compressed it holds the same."""
    read_reports(data, folder, native=False)


def native(data, folder):
    """Read any format of reports; compressed it holds the same."""
    read_reports(data, folder, native=True)


def archive(data, folder):
    """Read an archive, or one that holds the bytes."""
    for name, content in (("a.bin", data), ("b.zip", zipped(data)), ("c.tar", tarred(data))):
        path = folder / name
        path.write_bytes(content)
        for found in find_report_files([str(path)], workdir=folder):
            if isinstance(found, RejectedPath):
                assert found.why
            else:
                rows_of(found, folder, native=True)


def zipped(data):
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr("a/report.xml", data)
    return buffer.getvalue()


def tarred(data):
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        entry = tarfile.TarInfo("a/report.xml")
        entry.size = len(data)
        made.addfile(entry, BytesIO(data))
    return buffer.getvalue()


def table(data, folder):
    """Read a table of results, whole and in blocks, and one of changes."""
    path = folder / "table"
    path.write_bytes(data)
    for read in (read_results, read_changes):
        try:
            found = read(path)
        except DataError:
            continue
        assert len(found.bad) <= found.bad_rows
    try:
        blocks = list(read_result_blocks(path))
    except DataError:
        return
    whole = read_results(path)
    assert sum(block.rows.num_rows for block in blocks) == whole.rows.num_rows
    assert sum(block.bad_rows for block in blocks) == whole.bad_rows


def diff(data, folder):
    """Read a diff that someone saved, and what git lists of a change."""
    path = folder / "diff"
    path.write_bytes(data)
    try:
        change = diff_file(path)
    except DataError:
        return
    assert all(file.path for file in change.files)
    assert len({file.path for file in change.files}) == len(change.files)


def listing(data, folder):
    """Read what git lists of a change: any paths, any patch."""
    path, _, patch = data.partition(b"\n")
    path = path.replace(b"\0", b"") or b"p"
    blob = b"0" * 40
    entry = b":100644 100644 %b %b M\0%b\0" % (blob, blob, path)
    files = file_changes(entry + b"1\t2\t%b\0" % path)
    assert [(f.added, f.deleted, f.status) for f in files] == [(1, 2, "M")]
    stream = BytesIO(patch)
    (found,) = with_tokens(files, b"diff --git a/p b/p\n", stream.read)
    assert found.tokens is not None


def case_id(data, folder):
    """Normalise a case id: what is normal stays as it is."""
    text = data.decode("utf-8", "replace")
    once = CaseIdNormaliser(RESOLVER.relative_path).normalise(text, NOW)
    assert CaseIdNormaliser(RESOLVER.relative_path).normalise(once, NOW) == once
    node = CaseIdNormaliser().node(text)
    assert CaseIdNormaliser().node(node) == node
    owner, _, name = text.partition("\n")
    attributes = {"classname": owner, "name": name, "file": owner[::-1]}
    for suite in (Suite("pytest", None), Suite(name, owner)):
        found, _ = RESOLVER.resolve(attributes, suite)
        assert found or not name


def coverage(data, folder):
    """Read coverage data."""
    path = folder / "coverage"
    path.write_bytes(data)
    try:
        found = read_coverage(path)
    except DataError:
        return
    assert any(found.contexts)


KINDS = (np.uint8, np.int32, np.int64, np.uint32, np.float32, np.float64, np.bool_)
SPECIAL = (
    0,
    1,
    2,
    127,
    255,
    2**31 - 1,
    2**32,
    2**62,
    -1,
    -2,
    -(2**31),
    np.nan,
    np.inf,
    -np.inf,
    1e308,
    0.5,
)
CASES = ["t.py::a", "t.py::b", "u.py::K::c"]


def question(at):
    return make_query(
        CASES, "src/s.py", run=make_run(f"r{at}", at, commit=f"{at:040x}", branch="b")
    )


@cache
def sound_bundle():
    """Return the arrays of the files of a bundle, and its manifest."""
    state = FeatureState()
    for at in range(4):
        state.update(make_frame(question(at), {CASES[at % 3]}))
    width = len(NAMES)
    trees = [
        (0, 0.5, 1, 2, True),
        (-1, 0.1, 0, 0, False),
        (3, 2.0, 3, 4, False),
        (-1, 0.2, 0, 0, False),
        (-1, 0.3, 0, 0, False),
    ]
    feature, threshold, left, right, nan_left = zip(*trees, strict=True)
    forest = Forest(
        np.array([0], np.int32), np.array(feature, np.int32), np.array(threshold),
        np.array(left, np.int32), np.array(right, np.int32), np.array(nan_left), width,
    )  # fmt: skip
    line = {name: np.ones(width) for name in ("mean", "scale", "weight")}
    files = {
        "forest.npz": forest.dump(), "linear.npz": {**line, "intercept": np.ones(1)},
        "state.npz": state.dump(),
    }  # fmt: skip
    window = {"first": NOW.isoformat(), "last": NOW.isoformat(), "runs": 4}
    manifest = {
        "features": feature_hash(), "window": window, "calibration": [0.0, 1.0],
        "failing_runs": 12,
    }  # fmt: skip
    return files, manifest


def altered(arrays, order):
    """Alter an array of a file as four numbers say: which, how, where, with what."""
    which, how, where, value = order
    name = sorted(arrays)[which % len(arrays)]
    array = arrays[name].copy()
    special = SPECIAL[value % len(SPECIAL)]
    with np.errstate(all="ignore"):
        if how % 8 < 5 and array.size:
            array.flat[where % array.size] = np.array(special).astype(array.dtype)
        elif how % 8 == 5:
            array = array[: where % (len(array) + 1)] if array.ndim else array[None]
        elif how % 8 == 6:
            array = array.astype(KINDS[value % len(KINDS)])
        elif array.size < 1_000:
            array = np.repeat(array, 1 + where % 3, axis=0) if array.ndim else array
    return {**arrays, name: array}


def bundle(data, folder):
    """Load a bundle of which the bytes alter arrays or the manifest, with fitting checksums."""
    files, manifest = sound_bundle()
    if data[:1] == b"{":
        try:
            manifest = {**manifest, **json.loads(data)}
        except (ValueError, RecursionError):
            return
        data = b""
    elif data[:2] == b"PK":
        raw = data
        try:
            load_arrays(raw)
        except DataError:
            return
        data = b""
    for at in range(0, min(len(data), 160) - 4, 5):
        name = sorted(files)[data[at] % 3]
        files = {**files, name: altered(files[name], data[at + 1 : at + 5])}
    try:
        packed = pack(manifest, {name: dump_arrays(arrays) for name, arrays in files.items()})
    except (ValueError, TypeError):
        return
    try:
        found = unpack(packed.get, features=feature_hash())
        state = FeatureState.load(found.state)
    except (DataError, ValueError):
        return
    use(found, state)


def use(found, state):
    """Predict with what was loaded, and learn on."""
    assert found.too_young is None or str(found.too_young)
    with np.errstate(all="ignore"):
        features = state.read(question(9))
        p = found.probability(features.matrix)
        assert np.isfinite(p).all()
        assert len(priority(features, p)) == len(CASES)
        state.cofailure.reasons(question(9))
        state.history.seconds(question(9))
        state.applied_runs([(0.0, "r")])
        state.update(make_frame(question(9), {CASES[0]}))
        check_state(state.dump())


TARGETS = {
    target.__name__: target
    for target in (junit, native, archive, table, diff, listing, case_id, coverage, bundle)
}
