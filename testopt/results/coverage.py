"""Reads which case ran which lines: `.coverage` files (SQLite) and coverage's JSON.

The files are read without the library that wrote them, by the documented schema of version 7 of
its data file, so that data of any version of Python and from other machines can be read, and
nothing in a hostile file is executed: it is opened read-only, views count as absent, sizes and
time are bounded.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import numpy as np

from testopt.errors import InputFileError
from testopt.input_files import require_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


MAX_BYTES: Final = 4 << 30
MAX_JSON_BYTES: Final = 512 << 20
MAX_LINE: Final = 5_000_000
MAX_CONTEXTS: Final = 2_000_000
MAX_PAIRS: Final = 20_000_000  # of a context and a file
MAX_BITS: Final = 1 << 30  # bytes of lines, over all pairs
READ_S: Final = 600.0
SWITCH_ON: Final = (
    "record them: pytest --cov --cov-context=test, or dynamic_context = test_function under "
    "[tool.coverage.run]"
)
_MAGIC: Final = b"SQLite format 3\0"
_TABLES: Final = {"file", "context"}
_STEPS: Final = 100_000


@dataclass(slots=True)
class CoverageData:
    """Lines by context and file.

    Attributes
    ----------
    digest : str
        Of the file.
    contexts, files : list of str
        Names of contexts (empty: outside of all) and paths of files as measured.
    lines : dict of (int, int) to bytearray
        Positions of context and file -> bits of the lines that ran, lowest first.
    """

    digest: str
    contexts: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    lines: dict[tuple[int, int], bytearray] = field(default_factory=dict)
    _size: int = 0

    def add(self, context: int, file: int, bits: bytes) -> None:
        """Add lines to those of a context in a file.

        Raises
        ------
        ValueError
            When there are more than any project has.
        """
        lines = self._line_bits(context, file, len(bits))
        union = int.from_bytes(lines, "little") | int.from_bytes(bits, "little")
        lines[:] = union.to_bytes(len(lines), "little")

    def add_line(self, context: int, file: int, line: int) -> None:
        """Add one line; as `add`."""
        if type(line) is not int or line > MAX_LINE:
            raise ValueError(f"{line!r:.40} is not a line number")
        if line > 0:  # the others are entries and exits of functions
            self._line_bits(context, file, (line >> 3) + 1)[line >> 3] |= 1 << (line & 7)

    def _line_bits(self, context: int, file: int, size: int) -> bytearray:
        lines = self.lines.setdefault((context, file), bytearray())
        if len(lines) < size:
            self._size += size - len(lines)
            lines.extend(bytes(size - len(lines)))
            if self._size > MAX_BITS or len(self.lines) > MAX_PAIRS:
                raise ValueError("more lines than any project has")
        return lines


def read_coverage(path: Path) -> CoverageData:
    """Read coverage data.

    Parameters
    ----------
    path : Path
        A `.coverage` file, or the JSON report of ``coverage json --show-contexts``.

    Returns
    -------
    CoverageData

    Raises
    ------
    InputFileError
        When the file cannot be read, is damaged or too large, or holds no contexts.
    """
    try:
        require_file(path)
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(len(_MAGIC))
            if size > (MAX_BYTES if start == _MAGIC else MAX_JSON_BYTES):
                raise InputFileError(f"{path} is larger than allowed ({size} bytes)")
            file.seek(0)
            data = CoverageData(hashlib.file_digest(file, "blake2b").hexdigest()[:32])
    except OSError as error:
        raise InputFileError(f"{path} cannot be read: {error.strerror}", "check the path") from None
    if start == _MAGIC:
        _read_database(path, data)
    elif start.lstrip()[:1] == b"{":
        _read_json(path, data)
    else:
        raise InputFileError(
            f"{path} is neither a coverage data file nor its JSON report", "name a .coverage file"
        )
    if not any(data.contexts):
        raise InputFileError(f"{path} does not say which case ran which lines", SWITCH_ON)
    return data


def _read_database(path: Path, data: CoverageData) -> None:
    place = f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(place, uri=True)) as db:
            _restrict(db)
            tables = {
                row[0]
                for row in db.execute(
                    "SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE TABLE%'"
                )
            }
            if not tables >= _TABLES or not tables & {"line_bits", "arc"}:
                raise InputFileError(f"{path} is a database, but not one of coverage")
            _read_rows(db, data, tables)
    except (sqlite3.Error, ValueError, TypeError, OverflowError, MemoryError) as error:
        raise InputFileError(f"{path} is damaged: {error}", "measure again") from None


def _restrict(db: sqlite3.Connection) -> None:
    """Let a database do nothing but be read, in bounded time and memory."""
    deadline = time.monotonic() + READ_S
    db.set_progress_handler(lambda: int(time.monotonic() > deadline), _STEPS)
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_LINE)
    db.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    for pragma in ("trusted_schema = OFF", "query_only = ON", "cell_size_check = ON"):
        db.execute(f"PRAGMA {pragma}")


def _read_rows(db: sqlite3.Connection, data: CoverageData, tables: set[str]) -> None:
    contexts = _numbered(db, "SELECT id, context FROM context", data.contexts)
    files = _numbered(db, "SELECT id, path FROM file", data.files)
    if "line_bits" in tables:
        for file, context, bits in db.execute("SELECT file_id, context_id, numbits FROM line_bits"):
            if context in contexts and file in files and isinstance(bits, bytes):
                data.add(contexts[context], files[file], bits)
    if "arc" in tables:
        for file, context, *ends in db.execute("SELECT file_id, context_id, fromno, tono FROM arc"):
            if context in contexts and file in files:
                for line in ends:
                    data.add_line(contexts[context], files[file], line)


def _numbered(db: sqlite3.Connection, query: str, names: list[str]) -> dict[int, int]:
    """Append names to a list; return the position of each by its number in the database."""
    positions = {}
    for number, name in db.execute(query):
        if len(names) >= MAX_CONTEXTS:
            raise ValueError(f"more than {MAX_CONTEXTS} names")
        positions[number] = len(names)
        names.append(str(name))
    return positions


def _read_json(path: Path, data: CoverageData) -> None:
    positions: dict[str, int] = {}
    try:
        document = json.loads(path.read_bytes())
        for name, measured in document["files"].items():
            data.files.append(str(name))
            for line, contexts in measured.get("contexts", {}).items():
                for context in contexts:
                    at = positions.setdefault(str(context), len(positions))
                    data.add_line(at, len(data.files) - 1, int(line))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputFileError(f"{path} is not a JSON coverage report: {error!r:.200}") from None
    data.contexts += positions


def ranges(bits: bytes | bytearray) -> str:
    """Return the lines of a set of bits as text: ``3-7,12``; empty for none."""
    lines = np.flatnonzero(np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little"))
    if not len(lines):
        return ""
    breaks = np.flatnonzero(np.diff(lines) > 1)
    firsts = lines[np.concatenate(([0], breaks + 1))].tolist()
    lasts = lines[np.concatenate((breaks, [len(lines) - 1]))].tolist()
    return ",".join(f"{a}-{b}" if a < b else f"{a}" for a, b in zip(firsts, lasts, strict=True))


def lines_of(text: str | None, within: range = range(MAX_LINE + 1)) -> Iterator[int]:
    """Yield the line numbers of what `ranges` returned; what is none is left out.

    Parameters
    ----------
    text : str or None
    within : range
        Lines that are of interest.
    """
    for part in (text or "").split(","):
        first, _, last = part.partition("-")
        if first.isdecimal() and (last or first).isdecimal() and len(part) < 20:  # noqa: PLR2004
            yield from range(
                max(int(first), within.start), min(int(last or first) + 1, within.stop)
            )
