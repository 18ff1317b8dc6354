"""Reads a table of changes as numbers: metrics of any type, dates as days."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.risk.derived_metrics import DAY, METRICS

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

DATE: Final = "date"
_FLAGS: Final = {"True": 1, "true": 1, "False": 0, "false": 0}
_MAX_SECONDS: Final = 1e11  # no time in seconds is as large: it counts finer units


def read_frame(frame: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    """Return numeric columns as floats and ``date`` as days since 1970.

    Parameters
    ----------
    frame : DataFrame

    Returns
    -------
    dict of str to ndarray, shape (n,)
        Infinities are NaN. Metrics that are text or objects are read as numbers; other columns
        that are no numbers are left out, and of columns of one name the last one counts.
    """
    import pandas as pd

    out: dict[str, NDArray[np.float64]] = {}
    for at, name in enumerate(map(str, frame.columns)):
        column = frame.iloc[:, at]
        if name == DATE:
            out[DAY] = _read_dates(column)
            continue
        if name in METRICS and not pd.api.types.is_numeric_dtype(column):
            values = [_FLAGS.get(str(value), value) for value in column]
            column = pd.to_numeric(pd.Series(values, dtype=object), errors="coerce")
        if pd.api.types.is_numeric_dtype(column):
            numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
            out[name] = np.where(np.isinf(numbers), np.nan, numbers)
    return out


def _read_dates(column: pd.Series[Any]) -> NDArray[np.float64]:
    """Return days since 1970; numbers are seconds since 1970, or finer units of them."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column):
        seconds = column.to_numpy(dtype=np.float64, na_value=np.nan)
        seconds = np.where(np.isinf(seconds), np.nan, seconds)
        while (np.abs(seconds) > _MAX_SECONDS).any():
            seconds = np.where(np.abs(seconds) > _MAX_SECONDS, seconds / 1000.0, seconds)
        column = pd.Series(pd.to_datetime(seconds, unit="s", utc=True, errors="coerce"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of formats that differ from row to row
        times = pd.to_datetime(column, utc=True, errors="coerce")
    since = (times - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1)
    return np.asarray(since, dtype=np.float64)


def ages(day: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the days by which changes are older than the youngest.

    Parameters
    ----------
    day : ndarray, shape (n,)
        Days since 1970, oldest first, NaN where unknown; at least one is known.

    Returns
    -------
    ndarray, shape (n,)
        A change without a date is as old as the one before it.
    """
    dated = np.flatnonzero(~np.isnan(day))
    last_dated = np.maximum(np.searchsorted(dated, np.arange(len(day)), side="right") - 1, 0)
    age: NDArray[np.float64] = float(np.nanmax(day)) - day[dated[last_dated]]
    return age
