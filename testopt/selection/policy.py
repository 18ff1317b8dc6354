"""What decided on a plan: the column ``policy`` of the table ``predictions``."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any, Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What decided on a plan: the column ``policy`` of ``predictions``, as compact JSON.

    The other columns then mean: ``selected`` is what the plan keeps, also in shadow and in an
    explored run, where every case runs all the same; ``propensity`` is the probability with which
    the case was to be executed.

    Attributes
    ----------
    mode : str
        What was done: ``rank``, ``shadow`` or ``select``.
    bundle : str
        Its id; empty where none decided.
    fell_back : str
        Why the order is the original one; empty where it is not.
    kind : str
        That of the promise; empty where nothing was to be left out.
    recall, threshold, low : float, optional
        Of the promise; ``low`` is the least recall by its interval.
    explored : bool
        Whether the draw fell on the change, so that everything ran.
    seeded : bool
        Whether the promise rests on seeded faults.
    cap, floor : float, optional
        Of the promise: most of the share of the cases that might be left out, and the score from
        which on that kept cases.
    kept_for : str
        The run that the plan was kept for, where another one has taken it.
    level : float
        What was added to the log-odds of the bundle's probabilities
        (`testopt.selection.failure_level`).
    """

    mode: str = "rank"
    bundle: str = ""
    fell_back: str = ""
    kind: str = ""
    recall: float | None = None
    threshold: float | None = None
    low: float | None = None
    explored: bool = False
    seeded: bool = False
    cap: float | None = None
    floor: float | None = None
    kept_for: str = ""
    level: float = 0.0

    @property
    def allowed(self) -> float | None:
        """Share of regressions that the plan may miss; None where nothing was said of that."""
        bound = {"promise": self.recall, "estimate": self.low}.get(self.kind)
        return None if bound is None else min(max(1.0 - bound, 0.0), 1.0)

    @property
    def selects(self) -> bool:
        """Whether the plan had evidence by which to leave cases out."""
        return self.kind in {"promise", "estimate"}

    def dump(self) -> str:
        """Return the text that is stored; what is as by default is left out."""
        changed = {f: getattr(self, f) for f in self.__slots__ if getattr(self, f) != _POLICY[f]}
        return json.dumps({"mode": self.mode, **changed}, separators=(",", ":"))

    @classmethod
    def parse(cls, text: str) -> Policy:
        """Read a stored text, also the words that were stored before (``none rank: why``)."""
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            start, _, why = text.partition(": ")
            name, _, rest = start.partition(" ")
            mode = rest.rpartition(" ")[2] or "rank"
            if name == "none":
                return cls(mode=mode, fell_back=why or "no reason")
            return cls(mode=mode, bundle=rest.partition(" ")[0] if name == "bundle" else "")
        values = document if isinstance(document, dict) else {}
        valid = {k: v for k, v in values.items() if k in _POLICY and _is_like(v, _POLICY[k])}
        return cls(**valid)


_POLICY: Final[dict[str, Any]] = {f.name: f.default for f in fields(Policy)}


def _is_like(value: Any, default: Any) -> bool:
    if default is None:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is type(default)
