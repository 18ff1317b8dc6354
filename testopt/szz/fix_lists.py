"""Reads what a user provides on fixes: a list of commits, and a table of the issues they close."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from testopt.errors import InputFileError
from testopt.input_files import open_input, require_file
from testopt.results.junit_values import parse_timestamp

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    import pyarrow as pa

_COLUMNS: Final = ("fix_commit", "issue_date", "issue_type")


class Issue(NamedTuple):
    """When the issue that a commit fixes was opened, and its type (empty: unknown)."""

    opened: datetime | None
    kind: str


def read_fixes(path: Path) -> list[str]:
    """Read a list of commits, one a line.

    Parameters
    ----------
    path : Path
        Text; ``-`` is standard input. Blank lines and what follows ``#`` do not count, nor what
        follows the first word of a line.

    Returns
    -------
    list of str
        Without repeats, in order.

    Raises
    ------
    InputFileError
        When the file cannot be read or is no text.
    """
    try:
        if str(path) == "-":
            text = sys.stdin.read()
        else:
            with open_input(path) as stream:
                text = stream.read().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputFileError(f"{path} cannot be read: {error}", "one commit hash a line") from error
    words = (line.partition("#")[0].split() for line in text.splitlines())
    return list(dict.fromkeys(word[0] for word in words if word))


def read_issues(path: Path) -> tuple[dict[str, Issue], int]:
    """Read a table of issues.

    Parameters
    ----------
    path : Path
        CSV with a header, or Parquet (known by its first bytes): ``fix_commit`` and optionally
        ``issue_date`` (ISO 8601; without a zone UTC) and ``issue_type`` (bug, feature, …).

    Returns
    -------
    tuple of dict and int
        Issues by commit as written there, the earliest date where there are several; and the
        number of dates that cannot be read.

    Raises
    ------
    InputFileError
        When the file cannot be read or has no column ``fix_commit``.
    """
    table = _load(path)
    if "fix_commit" not in table.column_names:
        raise InputFileError(
            f"{path} has no column fix_commit", "it takes fix_commit, issue_date, issue_type"
        )
    columns = [
        table[name].to_pylist() if name in table.column_names else [None] * len(table)
        for name in _COLUMNS
    ]
    issues: dict[str, Issue] = {}
    bad = 0
    for commit, date, kind in zip(*columns, strict=True):
        text = "" if date is None else str(date).strip()
        opened = parse_timestamp(text)
        bad += bool(text) and opened is None
        sha = str(commit or "").strip().lower()
        if not sha:
            continue
        previous = issues.get(sha)
        if previous and previous.opened and (opened is None or previous.opened < opened):
            opened = previous.opened
        issues[sha] = Issue(opened, str(kind or "") or (previous.kind if previous else ""))
    return issues, bad


def _load(path: Path) -> pa.Table:
    import pyarrow as pa
    import pyarrow.csv as pa_csv
    import pyarrow.parquet as pq

    try:
        require_file(path)
        with path.open("rb") as stream:
            if stream.read(4) == b"PAR1":
                return pq.ParquetFile(path).read()
        options = pa_csv.ConvertOptions(column_types=dict.fromkeys(_COLUMNS, pa.string()))
        table = pa_csv.read_csv(path, convert_options=options)
        return table.select(table.column_names)  # names that are no UTF-8 are found here
    except (OSError, UnicodeError, pa.ArrowException) as error:
        words = str(error).splitlines()
        raise InputFileError(f"{path} cannot be read: {words[0] if words else error}") from error
