"""How much of a test budget a change deserves by its risk."""

from __future__ import annotations

SPREAD = 0.5  # how far the riskiest and the safest change are from the usual budget


def budget_factor(percentile: float | None, *, spread: float = SPREAD) -> float:
    """Return what to multiply the usual test budget with.

    The factor grows in a straight line with the percentile of the change among the last ones:
    ``1 - spread`` for the safest, 1 for a change in the middle, ``1 + spread`` for the riskiest.
    Percentiles of all changes together spread evenly over 0..1, so that the budget is the usual
    one on average: time moves from safe changes to risky ones.

    Parameters
    ----------
    percentile : float or None
        Share of the last changes that are less risky, in 0..1, as ``risks.Risk`` has it; None,
        where risk is not known, changes nothing.
    spread : float
        In 0..1; 0 gives every change the same budget.

    Returns
    -------
    float
        In ``1 - spread``..``1 + spread``.

    Raises
    ------
    ValueError
        For a percentile or spread outside of 0..1.
    """
    if not 0.0 <= spread <= 1.0:
        raise ValueError(f"spread is {spread}, not in 0..1")
    if percentile is None:
        return 1.0
    if not 0.0 <= percentile <= 1.0:
        raise ValueError(f"percentile is {percentile}, not in 0..1")
    return 1.0 + spread * (2.0 * percentile - 1.0)
