"""Which bundle plans use, and which others stand behind it: one small file of the store.

One write of it is one decision: it holds the last one, so that a log which a dead process did not
reach can be completed later.
"""

from __future__ import annotations

import json
import math
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from testopt.errors import BundleError, StoreError
from testopt.selection.decisions import Decision, log_decisions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from testopt.store import Store

STANDING: Final = "models/current.json"
KEPT_BEFORE: Final = 5  # bundles that can be rolled back to


@dataclass(frozen=True, slots=True)
class Trial:
    """A bundle that was trained and is not live, and the evidence for it.

    Attributes
    ----------
    bundle : str
        The challenger; empty where there is none.
    champion : str
        The live bundle that it is compared with.
    wealth : tuple of float
        Of the bets that it is better (`testopt.selection.takeover`).
    against : tuple of float
        Of the bets that it is worse.
    runs : int
        Failing runs compared so far.
    mean : float
        Mean difference of APFDc on these.
    judged : float
        Runs up to this time, in seconds since 1970, have been compared or learnt from.
    canary : float
        Share of the changes that it plans; 0 while it plans none.
    since : float
        When that began, in seconds since 1970.
    """

    bundle: str = ""
    champion: str = ""
    wealth: tuple[float, ...] = ()
    against: tuple[float, ...] = ()
    runs: int = 0
    mean: float = 0.0
    judged: float = -math.inf
    canary: float = 0.0
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class Standing:
    """Which bundle is live, and what stands behind it.

    Attributes
    ----------
    bundle : str
        The live one; empty where there is none.
    before : tuple of str
        Those that were live before it, the last one first.
    trial : Trial
    held : bool
        Whether somebody went back to it: only evidence replaces it then, not its age.
    selects : float
        Share of the cases that may be left out, by the last decision on that.
    selection_since : float or None
        When the selection was rolled back by hand, in seconds since 1970.
    decision : Decision or None
        The last one.
    """

    bundle: str = ""
    before: tuple[str, ...] = ()
    trial: Trial = Trial()
    held: bool = False
    selects: float = 0.0
    selection_since: float | None = None
    decision: Decision | None = None

    def with_live(self, bundle: str) -> Standing:
        """Return the standing with another live bundle; its trial is over."""
        if bundle == self.bundle:
            return replace(self, trial=Trial())
        before = [b for b in (self.bundle, *self.before) if b not in ("", bundle)]
        before = before[:KEPT_BEFORE]
        return replace(self, bundle=bundle, before=tuple(before), trial=Trial(), held=False)

    def without(self, bundle: str) -> Standing:
        """Return the standing where a bundle is gone."""
        trial = Trial() if bundle in (self.trial.bundle, self.bundle) else self.trial
        live = "" if bundle == self.bundle else self.bundle
        before = tuple(b for b in self.before if b != bundle)
        return replace(self, bundle=live, before=before, trial=trial)

    def dump(self) -> bytes:
        """Return the text that is stored; what there is none of is left out."""
        trial = asdict(self.trial)
        if not math.isfinite(self.trial.judged):
            trial["judged"] = None
        document = {
            "bundle": self.bundle or None,
            "before": self.before,
            "trial": trial if self.trial != Trial() else None,
            "held": self.held,
            "selects": self.selects,
            "selection_since": self.selection_since,
            "decision": None if self.decision is None else self.decision.as_dict(),
        }
        return json.dumps({k: v for k, v in document.items() if v}, sort_keys=True).encode()


def read_standing(store: Store) -> Standing:
    """Return which bundle is live; an empty standing where none ever was.

    Raises
    ------
    BundleError
        When the file is damaged, or the store cannot be read.
    """
    try:
        data = store.read_blob(STANDING)
        return Standing() if data is None else _parse(json.loads(data))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise BundleError(f"{STANDING} is damaged", "run: testopt train") from None
    except StoreError as error:
        raise BundleError(error.message, error.hint) from error


def selection_rolled_back(store: Store | None) -> float | None:
    """Return when the selection was rolled back by hand, in seconds since 1970; None: never."""
    with suppress(BundleError):  # without a bundle nothing is selected
        return None if store is None else read_standing(store).selection_since
    return None


def _parse(document: Mapping[str, Any]) -> Standing:
    if not {"bundle", "decision", "selection_since"} & document.keys():
        raise ValueError("it names no bundle")
    since, before = document.get("selection_since"), document.get("before", ())
    decision = document.get("decision")
    if not all(isinstance(b, str) for b in (document.get("bundle") or "", *before)):
        raise TypeError("a bundle is no text")
    return Standing(
        document.get("bundle") or "",
        tuple(before),
        _trial(document.get("trial") or {}),
        document.get("held") is True,
        _finite(document.get("selects", 0.0)),
        None if since is None else _finite(since),
        None if decision is None else Decision.parse(decision),
    )


def _trial(values: Mapping[str, Any]) -> Trial:
    judged = values.get("judged")
    return Trial(
        str(values.get("bundle", "")),
        str(values.get("champion", "")),
        tuple(map(_finite, values.get("wealth", ()))),
        tuple(map(_finite, values.get("against", ()))),
        int(values.get("runs", 0)),
        _finite(values.get("mean", 0.0)),
        -math.inf if judged is None else _finite(judged),
        min(max(_finite(values.get("canary", 0.0)), 0.0), 1.0),
        _finite(values.get("since", 0.0)),
    )


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("a number is not finite")
    return number


@contextmanager
def changing(store: Store, *, log: bool = True) -> Iterator[Changing]:
    """Change the standing while no other process of this machine does.

    A damaged one is replaced. On an object store, which has no locks, the last writer wins. What is
    decided is logged afterwards, unless the caller does that.
    """
    with store.deciding():
        try:
            now = read_standing(store)
        except BundleError:
            now = Standing()
        step = Changing(store, now)
        yield step
    if log and step.pending:
        log_decisions(store, *step.pending)


class Changing:
    """A standing that is about to be changed."""

    def __init__(self, store: Store, now: Standing) -> None:
        self._store, self.now = store, now
        # what a process that died had decided, and not logged
        self.pending: list[Decision] = [now.decision] if now.decision is not None else []

    def write(self, new: Standing, decision: Decision | None) -> None:
        """Make a standing the present one, in one write, with the decision that led to it."""
        self.now = new if decision is None else replace(new, decision=decision)
        self._store.write_blob(STANDING, self.now.dump())
        self.pending += [] if decision is None else [decision]

    def note(self, decision: Decision) -> None:
        """Log a decision that changes no standing."""
        self.pending.append(decision)
