"""Whatever repeats in whatever suites: the numbers are complete, and a lasting failure counts."""

import io
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from testopt.ingest.attempts import number_executions
from testopt.results.archives import ReportFile
from testopt.results.case_resolver import CaseResolver
from testopt.results.junit_rows import read_report_file

FAILED, PASSED = "<failure/>", ""
SUITES = st.lists(
    st.tuples(
        st.sampled_from("AB"),  # name of the suite
        st.lists(st.tuples(st.sampled_from("xyz"), st.sampled_from([FAILED, PASSED])), max_size=6),
    ),
    max_size=5,
)


def write(folder, number, suites):
    text = io.StringIO()
    text.write("<testsuites>")
    for name, cases in suites:
        inside = "".join(
            f"<testcase classname='k' name='{n}'>{body}</testcase>" for n, body in cases
        )
        text.write(f"<testsuite name='{name}'>{inside}</testsuite>")
    text.write("</testsuites>")
    path = Path(folder, f"{number}.xml")
    path.write_text(text.getvalue())
    return read_report_file(
        ReportFile(path.name, path), CaseResolver(), spill=Path(folder, f"{number}.rows")
    )


def expected(files):
    """Return whether each case failed in the end, by the words of the rule."""
    lanes = {}
    for suites in files:
        for name, cases in suites:
            within = {}
            for case, body in cases:
                within.setdefault(case, []).append(body)
            for case, bodies in within.items():
                tried = all(body == FAILED for body in bodies[:-1])
                failed = bodies[-1] == FAILED if tried else FAILED in bodies
                lanes[case, name] = failed  # of the attempts of an environment the last one counts
    finals = {}
    for (case, _), failed in lanes.items():
        finals[f"k::{case}"] = finals.get(f"k::{case}", False) or failed
    return finals


@settings(deadline=None)
@given(st.lists(SUITES, min_size=1, max_size=3))
def test_a_failure_counts_unless_another_attempt_passed(files):
    with TemporaryDirectory() as folder:
        read = [write(folder, number, suites) for number, suites in enumerate(files)]
        found = number_executions(read)
        rows = [row for file in read for batch in file.batches() for row in batch.to_pylist()]
    attempts, finals = {}, {}
    for row, attempt, last in zip(rows, found.attempt, found.last, strict=True):
        attempts.setdefault(row["case_id"], []).append(int(attempt))
        if last:
            assert row["case_id"] not in finals
            finals[row["case_id"]] = row["outcome"] == "failed"
            assert attempt == max(a for r, a in zip(rows, found.attempt, strict=True)
                                  if r["case_id"] == row["case_id"])  # fmt: skip
    assert finals == expected(files)
    assert all(sorted(numbers) == list(range(1, len(numbers) + 1)) for numbers in attempts.values())
    assert not len(found.reruns)
    assert not len(found.merged)


@given(st.lists(st.integers(0, 3), max_size=20), st.integers(0, 5))
def test_what_the_store_has_counts_first(keys, there):
    with TemporaryDirectory() as folder:
        file = write(folder, 0, [("s", [("x", PASSED)])])
        before = np.full(there, hash("k::x"), dtype=np.int64)
        others = np.array([hash(key) for key in keys], dtype=np.int64)
        found = number_executions([file], np.concatenate([before, others]))
    assert found.attempt.tolist() == [there + 1]
    assert found.last.tolist() == [True]
