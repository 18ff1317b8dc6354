"""From one JUnit XML file to Arrow batches with ids, a digest of the file, and what was wrong."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from testopt.errors import InputFileError
from testopt.results.archives import DAMAGED
from testopt.results.case_id_normalisation import MAYBE_UNSTABLE, CaseIdNormaliser
from testopt.results.case_resolver import PYTEST as PYTEST_SUITE
from testopt.results.formats import read_results_stream
from testopt.results.junit import GO_MAIN, UNITTEST, JUnitSummary, NotJUnitError
from testopt.results.junit_values import MAX_SECONDS, far_from_now, parse_seconds
from testopt.results.suites import PYTEST
from testopt.workspace import no_room

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from testopt.results.archives import ReportFile
    from testopt.results.case_resolver import CaseResolver
    from testopt.results.junit import Case, Suite
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
GRAVE: Final = ("skipped", "passed", "error", "failed")  # the graver, the later
_BATCH_ROWS: Final = 5_000
_MAX_UNCOLLECTED: Final = 10_000  # of a file; more are cases
_IN_MEMORY: Final = 5_000  # rows of a file that are kept in memory; more go to a file
# What producers write instead of a <skipped> element: GoogleTest, CTest, Bazel.
_NOT_RUN: Final = frozenset({"notrun", "disabled", "suppressed", "skipped"})


class Uncollected(NamedTuple):
    """A row that stands for a file or class none of whose cases could run.

    ``prefix`` is how the ids of its cases begin; ``is_case`` is set where it is a case of its own
    as long as no other case of it is known; pytest knows none of that kind.
    """

    row: int
    prefix: str
    message: str | None
    is_case: bool

    def holds(self, case_id: str, file: str | None) -> bool:
        """Tell whether a case is one of those that could not run."""
        if not self.prefix:
            return False
        rest = case_id[len(self.prefix) :] if case_id.startswith(self.prefix) else ""
        # what is below a folder is part of it; what is below a package of Go is another one
        below = ("::", ".") if self.is_case else ("::", ".", "/")
        return rest.startswith(below) or (rest != "" and file == self.prefix)


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
    uncollected: list[Uncollected] = field(default_factory=list)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows, in the schema ``ROWS``."""
        yield from self.kept
        if self.spilled is not None:
            with pa.OSFile(str(self.spilled)) as stream, pa.ipc.open_stream(stream) as reader:
                yield from reader

    def outcomes(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int8]:
        """Return the places in `GRAVE` of the outcomes of some rows, given in their order."""
        graver = pa.array(GRAVE)
        found = np.empty(len(rows), dtype=np.int8)
        at = 0
        for batch in self.batches():
            low, high = np.searchsorted(rows, [at, at + batch.num_rows])
            if low < high:
                outcomes = batch.column("outcome").take(pa.array(rows[low:high] - at))
                found[low:high] = pc.index_in(outcomes, value_set=graver)
            at += batch.num_rows
        return found

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
        """When the run began: the earliest timestamp, else when the file was written, in UTC.

        None where neither can be right, as in archives that date their files 1970.
        """
        if self.summary.time is not None or self.source.mtime is None:
            return self.summary.time
        try:
            written = datetime.fromtimestamp(self.source.mtime, UTC)
        except (ValueError, OverflowError, OSError):
            return None
        return None if far_from_now(written) else written


def read_report_file(
    source: ReportFile, resolver: CaseResolver, *, spill: Path, native: bool = False
) -> ParsedReport:
    """Read one file; never raises for what is in it.

    A file with characters that XML forbids is read again without them; it still counts as
    rejected, because it is not well-formed, but none of its cases is lost.

    Parameters
    ----------
    source : Source
        The file.
    resolver : CaseResolver
        Gives cases their ids.
    spill : Path
        File to write rows to when they are too many for the memory; not made otherwise.
    native : bool
        Whether formats other than JUnit XML are read too.
    """
    found = ParsedReport(source, native=native)
    try:
        _read(found, resolver, spill, repair=False)
        broken = found.summary.broken
        if broken is not None and getattr(broken, "repairable", False):
            _read(found, resolver, spill, repair=True)
            found.rejected = f"{broken.message}; read without what XML forbids"
            broken = found.summary.broken
        if broken is not None:
            found.complete, found.rejected = False, broken.message
        # pytest stops where a file cannot be collected, unless it is told to go on.
        nothing = 0 < found.rows == len(found.uncollected)
        found.complete = found.complete and not found.summary.missing and not nothing
    except NotJUnitError as error:
        found.rejected, found.ignored = error.message, True
    except InputFileError as error:
        found.rejected, found.complete = error.message, False
    except DAMAGED as error:
        found.rejected, found.complete = f"cannot be read: {error}", False
    return found


def _read(found: ParsedReport, resolver: CaseResolver, spill: Path, *, repair: bool) -> None:
    rows = _Rows(found, resolver, spill)
    with found.source.open() as stream:
        hashing = _Hashing(stream)
        try:
            found.summary = JUnitSummary()
            read_results_stream(
                hashing, rows.add, repair=repair, summary=found.summary, native=found.native
            )
        finally:
            rows.close()
            found.digest = hashing.digest()


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

    def __init__(self, found: ParsedReport, resolver: CaseResolver, spill: Path) -> None:
        self._found, self._resolver, self._spill = found, resolver, spill
        self._writer: pa.RecordBatchStreamWriter | None = None
        found.rows, found.kept, found.spilled, found.uncollected = 0, [], None, []
        self._columns = _empty_columns()
        self._stable = CaseIdNormaliser(resolver.relative_path)
        self._suite = -1

    def add(self, cases: list[Case]) -> None:
        """Add each execution of each case."""
        resolve, normalise = self._resolver.resolve, self._stable.normalise
        suspect = MAYBE_UNSTABLE.search
        ids, files, outcomes, durations, messages = self._columns
        suites, before = self._found.summary.suites, self._found.rows
        for attributes, suite, attempts in cases:
            if suite.number != self._suite:
                self._suite = suite.number
                suites.enter(before + len(ids), suite.number)
            case_id, file = resolve(attributes, suite)
            name = attributes.get("name", "")
            if not name and suites.kinds[suite.number] == PYTEST and not attributes.get("file"):
                continue  # what pytest writes of a worker that crashed and was replaced
            if not name.isidentifier() and suspect(name) is not None:
                by_pytest = suite.name == PYTEST_SUITE or (file or "").endswith(".py")
                moment = self._found.time
                case_id = self._stable.node(case_id) if by_pytest else normalise(case_id, moment)
            not_run = attributes.get("status") in _NOT_RUN or attributes.get("result") in _NOT_RUN
            if attempts is None:
                ids.append(case_id)
                files.append(file)
                # Counted as the file writes it, but a case that was not run has not passed.
                outcomes.append("skipped" if not_run else "passed")
                durations.append(attributes.get("time"))
                messages.append(None)
                continue
            row = before + len(ids)
            if attempts[-1].whole and len(self._found.uncollected) < _MAX_UNCOLLECTED:
                found = _uncollected(attributes, suite, self._resolver, whole=attempts[-1].whole)
                end = row + len(attempts) - 1
                message = attempts[-1].message
                self._found.uncollected.append(Uncollected(end, found[0], message, found[1]))
            suites.interim.extend(range(row, row + len(attempts) - 1))
            if attempts[-1].torn:
                suites.torn.append(row + len(attempts) - 1)
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
        self._found.rows += batch.num_rows
        if self._writer is None and last and batch.num_rows <= _IN_MEMORY:
            self._found.kept = [batch]
            return
        try:
            if self._writer is None:
                self._found.spilled = self._spill
                self._writer = pa.ipc.new_stream(str(self._spill), ROWS)
            self._writer.write_batch(batch)
        except OSError as error:
            raise no_room(self._spill.parent, error) from error

    def close(self) -> None:
        """Write what is left."""
        if self._columns[0]:
            self._flush(last=True)
        if self._writer is not None:
            try:
                self._writer.close()
            except OSError as error:
                raise no_room(self._spill.parent, error) from error


def _uncollected(
    attributes: dict[str, str], suite: Suite, resolver: CaseResolver, *, whole: str
) -> tuple[str, bool]:
    """Return how ids of the cases begin that could not run, and whether that is a case itself."""
    owner, name = attributes.get("classname", ""), attributes.get("name", "")
    if whole == "class":
        if name == GO_MAIN:
            owner = owner or suite.name
            attributes = {**attributes, "classname": owner}
        named = {**attributes, "name": "" if owner else name}
        return resolver.resolve(named, suite)[0].rstrip(":"), True
    owner = "" if owner == UNITTEST else owner
    prefix, file = resolver.resolve({**attributes, "classname": owner}, suite)
    # Where it is not resolved, cases are named after the dotted module, too.
    return prefix if file is not None else ".".join(filter(None, [owner, name])), False


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
