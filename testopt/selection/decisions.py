"""The log of decisions on models: what was trained, made the live one, rolled back, and why.

Rows of the table ``decisions`` are appended and never changed, but for authors that are forgotten.
A decision names no case.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, get_args
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from testopt.store import Store

DecisionKind = Literal[
    "trained",
    "promoted",
    "canary",
    "refused",
    "rolled back",
    "removed",
    "selection acts",
    "selection stopped",
    "selection rolled back",
]
KINDS: Final[frozenset[str]] = frozenset(get_args(DecisionKind))
UNKNOWN: Final = "unknown"
CI: Final = "ci"
_TABLE: Final = "decisions"


@dataclass(frozen=True, slots=True)
class Decider:
    """Who decides, and by which settings.

    Attributes
    ----------
    author : str
        Pseudonym, ``ci``, or ``unknown``.
    settings : mapping of str to Any
        Settings that are not as by default.
    """

    author: str = UNKNOWN
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Something that was decided.

    Attributes
    ----------
    kind : str
        One of ``DecisionKind``.
    why : str
        In words.
    author : str
        Who decided: a pseudonym, ``ci``, or ``unknown``.
    bundle, before : str
        What it is about, and what was live until then; empty where there is none.
    time : datetime
    details : mapping of str to Any
        Settings, version of the data, evidence: JSON values.
    key : str
        A decision of the same key is logged once.
    """

    kind: DecisionKind
    why: str
    author: str = UNKNOWN
    bundle: str = ""
    before: str = ""
    time: datetime = field(default_factory=lambda: datetime.now(UTC))
    details: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    key: str = field(default_factory=lambda: uuid4().hex)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "decision_id": self.key,
            "time": self.time.isoformat(),
            "kind": self.kind,
            "bundle": self.bundle or None,
            "before": self.before or None,
            "author": self.author,
            "why": self.why,
            "details": dict(self.details),
        }

    @classmethod
    def parse(cls, row: Mapping[str, Any]) -> Decision:
        """Read what `as_dict` gave, or a row of the table.

        Raises
        ------
        ValueError, KeyError, TypeError
            When it is no decision.
        """
        if row["kind"] not in KINDS:
            raise ValueError(f"{row['kind']!r:.40} is no kind of decision")
        time, details = row["time"], row["details"]
        if isinstance(details, str):
            details = json.loads(details)
        return cls(
            kind=row["kind"],
            why=str(row["why"]),
            author=str(row["author"]),
            bundle=str(row["bundle"] or ""),
            before=str(row["before"] or ""),
            time=datetime.fromisoformat(time) if isinstance(time, str) else time,
            details=dict(details),
            key=str(row["decision_id"]),
        )


def log_decisions(store: Store, *decisions: Decision) -> int:
    """Append decisions to the log; those that are there already are not written again.

    Returns
    -------
    int
        How many were new.

    Raises
    ------
    StoreError
        When they cannot be written.
    """
    import pyarrow as pa

    from testopt.schema import arrow_schema

    schema = arrow_schema(_TABLE)
    parts = {d.key: pa.Table.from_pylist([_row(d)], schema=schema) for d in decisions}
    return len(store.append(_TABLE, parts))


def _row(decision: Decision) -> dict[str, Any]:
    details = json.dumps(decision.as_dict()["details"], sort_keys=True, default=str)
    return {**decision.as_dict(), "time": decision.time, "details": details}


def read_decisions(store: Store) -> list[Decision]:
    """Return all decisions, oldest first; rows of kinds that a newer testopt knows are left out."""
    rows: Sequence[Mapping[str, Any]] = store.read(_TABLE).to_pylist()
    found = [Decision.parse(row) for row in rows if row["kind"] in KINDS]
    return sorted(found, key=lambda d: (d.time, d.key))
