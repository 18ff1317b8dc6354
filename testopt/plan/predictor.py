"""What a run is predicted from: the feature state and the bundle, as of its beginning."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from testopt.errors import BundleError
from testopt.features.pipeline import FeatureState
from testopt.features.state_store import current_state
from testopt.reasons import Reason, ReasonKind
from testopt.selection.bundle_registry import current_bundle, load_bundle
from testopt.selection.choice import draw
from testopt.selection.failure_level import load_level
from testopt.selection.standing import read_standing

if TYPE_CHECKING:
    from datetime import datetime

    from testopt.selection.bundle import Bundle
    from testopt.store import Store


@dataclass(frozen=True, slots=True)
class Predictor:
    """Feature state and bundle.

    ``trouble`` says why there is no bundle, ``stale`` what is unread, and ``level`` what real runs
    have added to the log-odds of the bundle's probabilities.
    """

    state: FeatureState
    bundle: Bundle | None = None
    stale: tuple[Reason, ...] = ()
    trouble: Reason | None = None
    level: float = 0.0

    @property
    def model(self) -> Bundle | None:
        """The bundle, where its model has a say in the order."""
        return None if self.bundle is None or self.bundle.too_young else self.bundle

    @property
    def untrained(self) -> Reason | None:
        """Why no model has a say; None where one has."""
        if self.model is not None:
            return None
        young = self.bundle.too_young if self.bundle is not None else None
        return self.trouble or young or Reason(ReasonKind.NO_MODEL)


def load_predictor(store: Store | None, now: datetime | None, *, key: str = "") -> Predictor:
    """Read the feature state and the bundle as they were before a moment.

    Parameters
    ----------
    store : Store or None
    now : datetime or None
    key : str
        Of the change: whether a model on trial plans it follows from that alone.

    Raises
    ------
    StoreError
        When the store cannot be read.
    """
    if store is None:
        return Predictor(FeatureState(), trouble=Reason(ReasonKind.NO_STORE))
    try:
        bundle, trouble = _canary(store, key) or current_bundle(store), None
    except BundleError as error:
        bundle, trouble = None, Reason(ReasonKind.TROUBLE, (error.message,))
    try:
        current = current_state(store, None if bundle is None else bundle.state, now=now)
    except BundleError as error:
        bundle, trouble = None, Reason(ReasonKind.TROUBLE, (error.message,))
        current = current_state(store, now=now)
    level = 0.0 if bundle is None else load_level(store, bundle.bundle_id).shift
    return Predictor(current.state, bundle, current.stale, trouble, level)


def _canary(store: Store, key: str) -> Bundle | None:
    """Return the model on trial where it plans this change; None where the live one does."""
    with suppress(BundleError):  # then the live one plans
        trial = read_standing(store).trial
        if key and trial.canary and draw("canary", trial.bundle, key) < trial.canary:
            return load_bundle(store, trial.bundle)
    return None
