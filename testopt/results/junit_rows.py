"""Reads one report file into Arrow batches with case ids, a digest, and what was wrong."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from testopt.errors import InputFileError
from testopt.results.archives import DAMAGED
from testopt.results.case_id_normalisation import MAYBE_UNSTABLE, CaseIdNormaliser
from testopt.results.formats import read_results_stream
from testopt.results.junit import JUnitSummary, NotJUnitError
from testopt.results.junit_values import MAX_SECONDS, parse_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from testopt.results.archives import ReportFile
    from testopt.results.case_resolver import CaseResolver
    from testopt.results.junit import Case
    from testopt.results.xml_parsing import ByteStream

ROWS: Final = pa.schema(
    [
        ("case_id", pa.string()),
        ("file", pa.string()),
        ("outcome", pa.string()),
        ("duration_s", pa.float32()),
        ("message", pa.string()),
    ]
)
_BATCH_ROWS: Final = 5_000
_IN_MEMORY: Final = 5_000  # rows of a file that are kept in memory; more go to a file
# What producers write instead of a <skipped> element: GoogleTest, CTest, Bazel.
_NOT_RUN: Final = frozenset({"notrun", "disabled", "suppressed", "skipped"})


@dataclass(slots=True)
class ParsedReport:
    """What one file gave.

    ``rejected`` says why it, or its rest, could not be read; ``ignored`` is set for XML of another
    kind; ``complete`` is false where cases may be missing; with ``native`` other formats than
    JUnit XML are read too.
    """

    source: ReportFile
    native: bool = False
    digest: str = ""
    summary: JUnitSummary = field(default_factory=JUnitSummary)
    rows: int = 0
    rejected: str | None = None
    ignored: bool = False
    complete: bool = True
    kept: list[pa.RecordBatch] = field(default_factory=list)
    spilled: Path | None = None

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows, in the schema ``ROWS``."""
        yield from self.kept
        if self.spilled is not None:
            with pa.OSFile(str(self.spilled)) as stream, pa.ipc.open_stream(stream) as reader:
                yield from reader

    def hashes(self) -> npt.NDArray[np.int64]:
        """Return a hash of the case id of each row; equal within this process only."""
        hashes = np.empty(self.rows, dtype=np.int64)
        at = 0
        for batch in self.batches():
            ids = batch.column("case_id").to_pylist()
            hashes[at : at + len(ids)] = np.fromiter(map(hash, ids), np.int64, len(ids))
            at += len(ids)
        return hashes

    @property
    def time(self) -> datetime | None:
        """When the run began: the earliest timestamp, else when the file was written, in UTC."""
        if self.summary.time is not None or self.source.mtime is None:
            return self.summary.time
        return datetime.fromtimestamp(self.source.mtime, UTC)


def read_report_file(
    file: ReportFile, resolver: CaseResolver, *, spill: Path, native: bool = False
) -> ParsedReport:
    """Read one file; never raises for what is in it.

    A file with characters that XML forbids is read again without them; it still counts as
    rejected, because it is not well-formed, but none of its cases is lost.

    Parameters
    ----------
    file : ReportFile
        The file.
    resolver : CaseResolver
        Gives cases their ids.
    spill : Path
        File to write rows to when they are too many for the memory; not made otherwise.
    native : bool
        Whether formats other than JUnit XML are read too.
    """
    report = ParsedReport(file, native=native)
    try:
        _read(report, resolver, spill, repair=False)
        broken = report.summary.broken
        if broken is not None and getattr(broken, "repairable", False):
            _read(report, resolver, spill, repair=True)
            report.rejected = f"{broken.message}; read without what XML forbids"
            broken = report.summary.broken
        if broken is not None:
            report.complete, report.rejected = False, broken.message
    except NotJUnitError as error:
        report.rejected, report.ignored = error.message, True
    except InputFileError as error:
        report.rejected, report.complete = error.message, False
    except DAMAGED as error:
        report.rejected, report.complete = f"cannot be read: {error}", False
    return report


def _read(report: ParsedReport, resolver: CaseResolver, spill: Path, *, repair: bool) -> None:
    rows = _Rows(report, resolver, spill)
    with report.source.open() as stream:
        hashing = _Hashing(stream)
        try:
            report.summary = JUnitSummary()
            read_results_stream(
                hashing, rows.add, repair=repair, summary=report.summary, native=report.native
            )
        finally:
            rows.close()
            report.digest = hashing.digest()


class _Hashing:
    """A stream that keeps a digest of what is read from it."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._hash = hashlib.blake2b(digest_size=16)

    def read(self, size: int, /) -> bytes:
        """Read up to `size` bytes."""
        data = self._stream.read(size)
        self._hash.update(data)
        return data

    def digest(self) -> str:
        """Return the digest as hex digits."""
        return self._hash.hexdigest()


class _Rows:
    """Collects the executions of cases as columns; many are written to a file."""

    def __init__(self, report: ParsedReport, resolver: CaseResolver, spill: Path) -> None:
        self._report, self._resolver, self._spill = report, resolver, spill
        self._writer: pa.RecordBatchStreamWriter | None = None
        report.rows, report.kept, report.spilled = 0, [], None
        self._columns = _empty_columns()
        self._normaliser = CaseIdNormaliser(resolver.relative_path)

    def add(self, cases: list[Case]) -> None:
        """Add each execution of each case."""
        resolve, normalise = self._resolver.resolve, self._normaliser.normalise
        maybe_unstable = MAYBE_UNSTABLE.search
        ids, files, outcomes, durations, messages = self._columns
        for attributes, suite, attempts in cases:
            case_id, file = resolve(attributes, suite)
            name = attributes.get("name", "")
            if not name.isidentifier() and maybe_unstable(name) is not None:
                case_id = normalise(case_id, self._report.time)
            not_run = attributes.get("status") in _NOT_RUN or attributes.get("result") in _NOT_RUN
            if attempts is None:
                ids.append(case_id)
                files.append(file)
                # Counted as the file writes it, but a case that was not run has not passed.
                outcomes.append("skipped" if not_run else "passed")
                durations.append(attributes.get("time"))
                messages.append(None)
                continue
            for attempt in attempts:
                ids.append(case_id)
                files.append(file)
                outcomes.append(attempt.outcome)
                durations.append(attempt.time)
                messages.append(attempt.message)
        if len(ids) >= _BATCH_ROWS:
            self._flush(last=False)

    def _flush(self, *, last: bool) -> None:
        ids, files, outcomes, durations, messages = self._columns
        self._columns = _empty_columns()
        arrays = [
            pa.array(ids, pa.string()),
            pa.array(files, pa.string()),
            pa.array(outcomes, pa.string()),
            _seconds(durations),
            pa.array(messages, pa.string()),
        ]
        batch = pa.record_batch(arrays, schema=ROWS)
        self._report.rows += batch.num_rows
        if self._writer is None and last and batch.num_rows <= _IN_MEMORY:
            self._report.kept = [batch]
            return
        if self._writer is None:
            self._report.spilled = self._spill
            self._writer = pa.ipc.new_stream(str(self._spill), ROWS)
        self._writer.write_batch(batch)

    def close(self) -> None:
        """Write what is left."""
        if self._columns[0]:
            self._flush(last=True)
        if self._writer is not None:
            self._writer.close()


def _empty_columns() -> tuple[
    list[str], list[str | None], list[str], list[str | None], list[str | None]
]:
    return [], [], [], [], []


def _seconds(texts: list[str | None]) -> pa.Array:
    """Return durations in seconds: plain numbers by Arrow, all others one by one."""
    try:
        seconds = pa.array(texts, pa.string()).cast(pa.float64())
        bounds = pc.min_max(seconds).as_py()
        if 0 <= (bounds["min"] or 0) <= (bounds["max"] or 0) < MAX_SECONDS:
            return seconds.cast(pa.float32())
    except pa.ArrowInvalid:
        pass
    return pa.array([parse_seconds(text) for text in texts], pa.float32())
