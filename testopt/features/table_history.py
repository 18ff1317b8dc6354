"""Runs that somebody holds as tables in memory, in place of a store."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.errors import UsageError
from testopt.features.frames import frames
from testopt.schema import FAILING, OUTCOMES, TABLES, arrow_schema
from testopt.similarity.case_sources import PATIENCE, Sources

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pandas as pd
    import pyarrow as pa

    from testopt.features.frames import RunFrame

_NEEDED: Final = {
    "runs": ("run_id", "time"),
    "results": ("run_id", "case_id", "outcome"),
    "run_changes": ("run_id", "path"),
}
_DEFAULTS: Final[dict[str, Any]] = {"job": "", "kind": "real", "source": "table", "complete": True}


@dataclass(frozen=True)
class TableHistory:
    """Runs of tables, as one part of a history.

    Attributes
    ----------
    runs, results, changes : pyarrow.Table
        Rows of the tables ``runs``, ``results`` and ``run_changes``.
    repo : Path, optional
        Repository that holds the commits of the runs: its sources are read.
    """

    runs: pa.Table
    results: pa.Table
    changes: pa.Table
    repo: Path | None = None
    first = 0

    @classmethod
    def of(cls, runs: Any, results: Any, changes: Any, repo: Path | None = None) -> TableHistory:
        """Read frames of pandas, or Arrow tables; `changes` may be None.

        Raises
        ------
        UsageError
            Where a column is missing, or holds something else.
        """
        of_runs = _table("runs", runs)
        ids = of_runs["run_id"].to_pylist()
        if len(set(ids)) < len(ids):
            twice = next(name for i, name in enumerate(ids) if name in set(ids[:i]))
            raise UsageError(f"runs has several rows of the run {twice!r}", "keep one row a run")
        files = arrow_schema("run_changes").empty_table()
        return cls(
            of_runs,
            _table("results", results),
            files if changes is None else _table("run_changes", changes),
            repo,
        )

    @cached_property
    def run_ids(self) -> tuple[str, ...]:
        """The runs, oldest first."""
        rows = self.runs.select(["time", "run_id"]).to_pylist()
        return tuple(row["run_id"] for row in sorted(rows, key=lambda r: (r["time"], r["run_id"])))

    def parts(self, workers: int) -> list[TableHistory]:  # noqa: ARG002 - one part for this process
        """Return itself: the rows are in memory."""
        return [self]

    def frames(self) -> Iterator[RunFrame]:
        """Yield the runs in time order, each with what the sources say of it."""
        sources = None if self.repo is None else Sources(self.repo, patience=PATIENCE)
        for frame in frames(self.runs, self.results, self.changes):
            yield frame if sources is None else replace(frame, query=sources.add(frame.query))


def _table(name: str, rows: Any) -> pa.Table:
    import pandas as pd
    import pyarrow as pa

    title = "changes" if name == "run_changes" else name
    frame = rows.to_pandas() if isinstance(rows, pa.Table) else rows
    if not isinstance(frame, pd.DataFrame):
        kind = type(rows).__name__
        raise UsageError(f"{title} is a {kind}, not a DataFrame or an Arrow table")
    for column in _NEEDED[name]:
        if column not in frame.columns:
            raise UsageError(f"{title} has no column {column!r}")
        if frame[column].isna().any():
            raise UsageError(f"{title}[{column!r}] has missing values", "drop these rows")
    if name == "results":
        frame = _numbered(frame)
    schema = arrow_schema(name)
    given = {column: _column(title, frame, schema.field(column)) for column in TABLES[name]}
    return pa.table(given, schema=pa.schema([(c, schema.field(c).type) for c in given]))


def _numbered(results: pd.DataFrame) -> pd.DataFrame:
    """Return results with a number for each execution of a case; without one failing ones count."""
    unknown = sorted(set(results["outcome"].unique()) - set(OUTCOMES))
    if unknown:
        raise UsageError(
            f"results['outcome'] has the value {unknown[0]!r}", f"known: {', '.join(OUTCOMES)}"
        )
    if "attempt" in results.columns:
        return results
    failing = results["outcome"].isin(FAILING).to_numpy()
    ordered = results.iloc[np.argsort(failing, kind="stable")]
    attempt = ordered.groupby(["run_id", "case_id"], sort=False).cumcount() + 1
    return ordered.assign(attempt=attempt)


def _column(title: str, frame: pd.DataFrame, field: pa.Field) -> pa.Array:
    """Return a column in the type that the table has; one that is absent has its default."""
    import pandas as pd
    import pyarrow as pa

    if field.name not in frame.columns:
        return pa.array([_DEFAULTS.get(field.name)] * len(frame), field.type)
    values = frame[field.name]
    try:
        if pa.types.is_timestamp(field.type):
            values = pd.to_datetime(values, utc=True, format="ISO8601")
        return pa.array(values, field.type, from_pandas=True)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise UsageError(
            f"{title}[{field.name!r}] holds {values.dtype}, not {field.type}",
            f"convert it with astype ({error!s:.100})",
        ) from None
