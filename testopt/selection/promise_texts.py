"""What is promised of a selection, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testopt.schema import Promise


def too_few(recall: float, have: int, needed: int, *, window: int) -> str:
    """Say that everything runs for want of evidence; `window` regressions count at most."""
    if needed > window:
        most = 1.0 - 1.0 / (window + 1)
        return f"everything runs: a recall above {most:.3f} is never promised"
    return (
        f"everything runs: a recall of {recall:g} needs {needed} past regressions, and there are "
        f"{have} ({needed - have} missing)"
    )


def promised(promise: Promise) -> str:
    """Say what is promised, and by which evidence; without a threshold that everything runs."""
    evidence = _evidence(promise.regressions, seeded=promise.seeded)
    if promise.threshold is None:
        return f"everything runs until the misses among {evidence} are made up for"
    return (
        f"recall of {promise.recall:g} promised by {evidence}, which show "
        f"{promise.low:.3f} to {promise.high:.3f}"
    )


def estimated(caught: float, estimate: Promise) -> str:
    """Say how many of the past regressions would have been caught, with the interval."""
    if not estimate.regressions:
        return "no past regressions say how many would be caught"
    evidence = _evidence(estimate.regressions, seeded=estimate.seeded)
    return (
        f"{caught:.3g} of {evidence} would have been caught: "
        f"{estimate.low:.3f} to {estimate.high:.3f}"
    )


def _evidence(regressions: int, *, seeded: bool) -> str:
    return f"{regressions} past regressions{' on seeded faults' if seeded else ''}"
