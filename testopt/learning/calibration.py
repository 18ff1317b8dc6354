"""Calibrates scores to probabilities: a straight line in log-odds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def sigmoid(margin: NDArray[Any]) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-margin)) without overflow, shape as given."""
    half: NDArray[np.float64] = 0.5 * (1.0 + np.tanh(0.5 * np.asarray(margin, np.float64)))
    return half


def fit_logit(
    margin: NDArray[Any], y: NDArray[np.bool_], weight: NDArray[Any] | None = None
) -> tuple[float, float]:
    """Fit intercept and slope of a logistic regression on one score (Platt 1999).

    Parameters
    ----------
    margin : ndarray, shape (n,)
        Log-odds before calibration.
    y : ndarray of bool, shape (n,)
        What happened.
    weight : ndarray, shape (n,), optional
        Weights.

    Returns
    -------
    tuple of float
        Intercept and slope; the slope is at least 0.05, so that an order is never turned round.
    """
    w = np.ones(len(y)) if weight is None else np.asarray(weight, np.float64)
    design = np.column_stack([np.ones(len(y)), margin])
    beta = np.array([0.0, 1.0])
    ridge = 1.0  # pulls towards the identity where there is little evidence
    for _ in range(50):
        p = sigmoid(design @ beta)
        gradient = design.T @ (w * (p - y)) + ridge * (beta - [0.0, 1.0])
        curvature = (design * (w * p * (1 - p))[:, None]).T @ design + ridge * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        beta = beta - np.clip(step, -2.0, 2.0)
        if float(np.abs(step).max()) < 1e-9:  # noqa: PLR2004 - converged
            break
    return float(beta[0]), max(float(beta[1]), 0.05)


def fit_level(margin: NDArray[Any], y: NDArray[np.bool_], weight: NDArray[Any]) -> float:
    """Return the intercept at which the mean probability is the observed rate.

    Parameters
    ----------
    margin : ndarray, shape (n,)
        Log-odds but for the intercept.
    y : ndarray of bool, shape (n,)
        What happened.
    weight : ndarray, shape (n,)
        Weights; some are positive.

    Returns
    -------
    float
        In -10..10; the rate is smoothed by half an observation of each outcome.
    """
    share = weight / weight.max()
    target = (float(share @ y) + 0.5) / (float(share.sum()) + 1.0)
    share = share / share.sum()
    low, high = -10.0, 10.0
    for _ in range(50):
        middle = 0.5 * (low + high)
        if float(share @ sigmoid(middle + margin)) < target:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)
