"""From one JUnit XML file to Arrow batches with ids, a digest of the file, and what was wrong."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
import pyarrow as pa

from testopt.errors import InputFileError
from testopt.sources.archives import DAMAGED
from testopt.sources.junit import JUnitSummary, NotJUnitError, read_junit

if TYPE_CHECKING:
    import numpy.typing as npt

    from testopt.sources.archives import DAMAGED, Source
    from testopt.sources.identity import Resolver
from testopt.sources.junit import Case

BATCH_ROWS: Final = 50_000
ROWS: Final = pa.schema(
    [
        ("case_id", pa.string()),
        ("file", pa.string()),
        ("outcome", pa.string()),
        ("duration_s", pa.float32()),
        ("message", pa.string()),
    ]
)


@dataclass(slots=True)
class JUnitFile:
    """What one file gave.

    ``rejected`` says why it, or its rest, could not be read; ``ignored`` is set for XML of another
    kind; ``complete`` is false where cases may be missing.
    """

    source: Source
    digest: str = ""
    summary: JUnitSummary = field(default_factory=JUnitSummary)
    batches: list[pa.RecordBatch] = field(default_factory=list)
    rejected: str | None = None
    ignored: bool = False
    complete: bool = True

    @property
    def hashes(self) -> npt.NDArray[np.int64]:
        """A hash of the case id of each row; equal within this process only."""
        ids = [hash(i) for batch in self.batches for i in batch.column("case_id").to_pylist()]
        return np.array(ids, dtype=np.int64)

    @property
    def time(self) -> datetime | None:
        """When the run began: the earliest timestamp, else when the file was written, in UTC."""
        if self.summary.time is not None or self.source.mtime is None:
            return self.summary.time
        return datetime.fromtimestamp(self.source.mtime, UTC)


def read_source(source: Source, resolver: Resolver) -> JUnitFile:
    """Read one file; never raises for what is in it.

    A file with characters that XML forbids is read again without them; it still counts as
    rejected, because it is not well-formed, but none of its cases is lost.
    """
    found = JUnitFile(source)
    try:
        _read(found, resolver, repair=False)
        broken = found.summary.broken
        if broken is not None and getattr(broken, "repairable", False):
            _read(found, resolver, repair=True)
            found.complete = found.summary.broken is None
            found.rejected = f"{broken.message}; read without the characters that XML forbids"
            if not found.complete and found.summary.broken is not None:
                found.rejected += f", up to {found.summary.broken.message}"
        elif broken is not None:
            found.complete, found.rejected = False, broken.message
    except NotJUnitError as error:
        found.rejected, found.ignored = error.message, True
    except InputFileError as error:
        found.rejected, found.complete = error.message, False
    except DAMAGED as error:
        found.rejected, found.complete = f"cannot be read: {error}", False
    return found


def _read(found: JUnitFile, resolver: Resolver, *, repair: bool) -> None:
    rows = _Rows(resolver)
    with found.source.open() as stream:
        hashing = _Hashing(stream)
        try:
            found.summary = read_junit(hashing, rows.add, repair=repair)  # type: ignore[arg-type]
        finally:
            found.batches = rows.finish()
            found.digest = hashing.digest()


class _Hashing:
    """A stream that keeps a digest of what is read from it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._hash = hashlib.blake2b(digest_size=16)

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes."""
        data = self._stream.read(size)
        self._hash.update(data)
        return data

    def digest(self) -> str:
        """Return the digest as hex digits."""
        return self._hash.hexdigest()


class _Rows:
    """Collects the attempts of cases as columns."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolve = resolver.resolve
        self._batches: list[pa.RecordBatch] = []
        self._columns: tuple[list[Any], ...] = ()
        self._clear()

    def _clear(self) -> None:
        self._columns = tuple([] for _ in ROWS)

    def add(self, case: Case) -> None:
        """Add each attempt of a case."""
        case_id, file = self._resolve(case)
        ids, files, outcomes, durations, messages = self._columns
        for attempt in case.attempts:
            ids.append(case_id)
            files.append(file)
            outcomes.append(attempt.outcome)
            durations.append(attempt.duration_s)
            messages.append(attempt.message)
        if len(ids) >= BATCH_ROWS:
            self._flush()

    def _flush(self) -> None:
        arrays = [pa.array(c, f.type) for c, f in zip(self._columns, ROWS, strict=True)]
        self._batches.append(pa.record_batch(arrays, schema=ROWS))
        self._clear()

    def finish(self) -> list[pa.RecordBatch]:
        """Return all batches."""
        if self._columns[0]:
            self._flush()
        return self._batches
