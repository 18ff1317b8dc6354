"""Whatever is in a file: no crash, no lost case, the same numbers however it is cut."""

import io
import math
import tempfile
from pathlib import Path
from xml.sax.saxutils import quoteattr

from hypothesis import given, settings
from hypothesis import strategies as st

from testopt.ingest.attempts import number_attempts
from testopt.results.archives import ReportFile
from testopt.results.case_resolver import CaseResolver
from testopt.results.junit import read_junit
from testopt.results.junit_rows import read_report_file
from testopt.results.junit_values import parse_seconds, parse_timestamp

NAMES = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\ufffe\uffff")
)
CHILDREN = st.lists(
    st.sampled_from(
        [
            "failure",
            "error",
            "skipped",
            "flakyFailure",
            "rerunError",
            "system-out",
            "properties",
            "x",
        ]
    ),
    max_size=4,
)
DOCUMENT = "<testsuites><testsuite name='s'>{}</testsuite></testsuites>"


def element(name, children):
    body = "".join(f"<{c}>text</{c}>" for c in children)
    return f"<testcase classname='k' name={quoteattr(name)}>{body}</testcase>"


def read(data):
    """Read a file as `ingest` does."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "r.xml")
        path.write_bytes(data)
        found = read_report_file(
            ReportFile("r.xml", path), CaseResolver(), spill=Path(folder, "spill"), native=True
        )
        return found, [row for batch in found.batches() for row in batch.to_pylist()]


@settings(deadline=None)
@given(st.lists(st.tuples(NAMES, CHILDREN), max_size=8), st.sampled_from(["utf-8", "utf-16"]))
def test_every_case_is_found_with_its_name(cases, encoding):
    text = DOCUMENT.format("".join(element(*case) for case in cases))
    found, rows = read(text.encode(encoding))
    assert found.rejected is None
    assert found.summary.cases == len(cases)
    assert found.summary.attempts == len(rows)
    assert list(dict.fromkeys(r["case_id"] for r in rows)) == list(
        dict.fromkeys(f"k::{name}" for name, _ in cases)
    )


@settings(deadline=None)
@given(st.lists(st.tuples(NAMES, CHILDREN), max_size=5), st.data())
def test_a_cut_file_keeps_exactly_its_complete_cases(cases, data):
    parts = [element(*case).encode() for case in cases]
    text = DOCUMENT.format("").encode()
    head, tail = text[: text.index(b"</testsuite>")], text[text.index(b"</testsuite>") :]
    whole = head + b"".join(parts) + tail
    cut = data.draw(st.integers(0, len(whole) - 1))
    complete, end = 0, len(head)
    for part in parts:
        end += len(part)
        complete += end <= cut
    found, _ = read(whole[:cut])
    assert found.summary.cases == complete
    assert found.rejected
    assert not found.complete


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(0, 200), st.integers(0, 20))
def test_damaged_bytes_never_crash(junk, at, drop):
    whole = DOCUMENT.format(element("a&b", ["failure", "system-out"]) * 3).encode()
    found, rows = read(whole[:at] + junk + whole[at + drop :])
    assert found.rejected or found.summary.is_junit
    assert found.summary.attempts == len(rows)


SAMPLES = sorted((Path(__file__).parents[1] / "data" / "junit").iterdir())


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SAMPLES), st.data())
def test_damaged_reports_of_any_format_never_crash(sample, data):
    whole = sample.read_bytes()
    at = data.draw(st.integers(0, len(whole)))
    junk = data.draw(st.binary(max_size=20))
    found, rows = read(whole[:at] + junk + whole[at + data.draw(st.integers(0, 40)) :])
    assert found.rejected or found.summary.is_junit
    assert found.summary.attempts == len(rows) == found.rows


@settings(deadline=None)
@given(st.text(max_size=30))
def test_numbers_and_times_are_read_or_none(text):
    seconds = parse_seconds(text)
    assert seconds is None or (seconds >= 0 and math.isfinite(seconds))
    moment = parse_timestamp(text)
    assert moment is None or moment.utcoffset().total_seconds() == 0


@settings(deadline=None)
@given(st.lists(st.integers(0, 5), max_size=40))
def test_attempts_count_up_and_the_last_is_marked(keys):
    import numpy as np

    attempt, last = number_attempts(np.array(keys, dtype=np.int64))
    for n, key in enumerate(keys):
        assert attempt[n] == keys[: n + 1].count(key)
        assert last[n] == (key not in keys[n + 1 :])


@settings(deadline=None)
@given(st.lists(st.tuples(NAMES, CHILDREN), max_size=4), st.integers(1, 9))
def test_how_the_bytes_arrive_changes_nothing(cases, size):
    text = DOCUMENT.format("".join(element(*case) for case in cases)).encode()

    class Slow(io.BytesIO):
        def read(self, _size=-1):
            return super().read(size)

    one, other = [], []
    read_junit(io.BytesIO(text), one.extend)
    read_junit(Slow(text), other.extend)
    assert one == other
