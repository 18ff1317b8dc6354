"""Schemas of the tables, checked row by row by pandera where `testopt[quality]` is installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from testopt.pluralize import pluralize
from testopt.quality.findings import EXAMPLES, Finding
from testopt.schema import OUTCOMES, TABLES, VARIANT_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testopt.store import Store

# Columns of each table that are looked at, and what must hold of a value that is there.
_SHA: Final = r"^[0-9a-f]{40}([0-9a-f]{24})?$"
_RULES: Final[dict[str, dict[str, dict[str, Any]]]] = {
    "runs": {
        "run_id": {"str_length": {"min_value": 1}, "unique": True},
        "kind": {"isin": sorted({"real", "clean", *VARIANT_KINDS})},
        "cases": {"ge": 0},
        "failed": {"ge": 0},
        "error": {"ge": 0},
        "skipped": {"ge": 0},
        "duration_s": {"ge": 0.0},
    },
    "results": {
        "case_id": {"str_length": {"min_value": 1}},
        "outcome": {"isin": list(OUTCOMES)},
        "duration_s": {"ge": 0.0},
        "attempt": {"ge": 1},
    },
    "run_changes": {"path": {"str_length": {"min_value": 1}}, "added": {"ge": 0},
                    "deleted": {"ge": 0}},
    "predictions": {"probability": {"in_range": {"min_value": 0.0, "max_value": 1.0}},
                    "rank": {"ge": 1}},
    "commits": {"sha": {"str_matches": _SHA, "unique": True}},
    "labels": {"fix_commit": {"str_matches": _SHA},
               "confidence": {"in_range": {"min_value": 0.0, "max_value": 1.0}}},
}  # fmt: skip


def check_schemas(store: Store) -> Iterator[Finding]:
    """Yield an error for each column with values that its schema does not allow.

    A note says so where pandera is not installed.
    """
    if find_spec("pandera") is None:
        text = "the schemas of the tables were not checked: pandera is not installed"
        yield Finding("schemas", "note", text, fix="pip install 'testopt[quality]'")
        return
    for table, rules in _RULES.items():
        schema, found = _schema(table, rules), dict[str, tuple[int, tuple[str, ...]]]()
        for block in store.scan(table, columns=list(rules)):
            for column, cases in _failures(schema, block):
                count, examples = found.get(column, (0, ()))
                found[column] = (count + len(cases), (*examples, *cases)[:EXAMPLES])
        for column, (count, examples) in found.items():
            text = f"{pluralize(count, 'value')} of {table}.{column} not allowed"
            yield Finding("schema", "error", text, count, examples, "testopt store check")


def _schema(table: str, rules: dict[str, dict[str, Any]]) -> Any:
    import pandera.pandas as pa

    columns = {}
    for name, rule in rules.items():
        _, required = TABLES[table][name]
        checks = [
            getattr(pa.Check, check)(**value) if isinstance(value, dict)
            else getattr(pa.Check, check)(value)
            for check, value in rule.items() if check != "unique"
        ]  # fmt: skip
        columns[name] = pa.Column(
            None, checks, nullable=not required, unique=rule.get("unique", False)
        )
    return pa.DataFrameSchema(columns)


def _failures(schema: Any, block: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield column and values that are not allowed."""
    from pandera.errors import SchemaErrors

    frame = block.to_pandas(strings_to_categorical=False)
    for name in frame.columns[frame.dtypes == "category"]:
        frame[name] = frame[name].astype(object)
    try:
        schema.validate(frame, lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases
        for column, rows in cases.groupby(cases["column"].fillna("")):
            yield str(column), tuple(f"{value!r:.60}" for value in rows["failure_case"])
