"""What must hold of the arrays of a feature state, before anything is made of them.

A state lies where others may write: in a bundle, beside the tables. Whoever alters it may alter its
checksum as well, so each array is checked for its type, its size and its values.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from testopt.features.cases import LEVELS
from testopt.features.cofailure import COUNTED, MAX_TICKS, MAX_UNITS
from testopt.features.parent_run import HEADS_KEPT
from testopt.features.similar_runs import KEPT, MAX_SETS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]

_TICKS: Final = 2**30  # as all that is counted on: it may grow as much again and still fit
_TIME: Final = 1e12  # seconds: further than any date
_COUNT: Final = 2**31 - 1
_NEVER: Final = -1
_ROUNDED: Final = 1e-3  # shares are rounded
_CONTINUES: Final = 0x80  # a byte of UTF-8 within a character, under the mask
_CONTINUES_MASK: Final = 0xC0


class _Column(NamedTuple):
    """Type and bounds of the values of an array; ``nan``: some may be unknown."""

    dtype: type
    low: float
    high: float
    nan: bool = False


def check_state(arrays: Arrays) -> None:
    """Check what `FeatureState.dump` returned.

    Raises
    ------
    ValueError
        When the arrays are not those of a state; the message names the array.
    """
    try:
        _check(arrays)
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{error!r:.80}") from None


def _check(arrays: Arrays) -> None:
    clock = _column(arrays, "history.clock", _Column(np.float64, -_TIME, _TIME, nan=True), size=2)
    tick = float(clock[0])
    if not (0 <= tick <= _TICKS and tick.is_integer()):
        raise ValueError("history.clock is damaged")
    cases = _check_cases(arrays)
    _check_history(arrays, int(tick), cases)
    _check_runs(arrays, int(tick), cases)
    _check_cofailure(arrays)
    for name, began in _document(arrays, "taken.runs", dict).items():
        if not (isinstance(name, str) and abs(float(began)) < _TIME):
            raise ValueError("taken.runs is damaged")


def _check_cases(arrays: Arrays) -> int:
    """Check the ids of cases; return how many there are."""
    data = _column(arrays, "history.table.ids", _Column(np.uint8, 0, 255))
    ends = _ends(arrays, "history.table.ends", len(data), np.uint32)
    data.tobytes().decode("utf-8", "surrogatepass")
    inside = ends[ends < len(data)]
    if ((data[inside] & _CONTINUES_MASK) == _CONTINUES).any():
        raise ValueError("history.table.ends is damaged")
    renamed = _document(arrays, "history.table.renamed", dict)
    if not all(isinstance(path, str) for path in renamed.values()):
        raise ValueError("history.table.renamed is damaged")
    return len(ends)


def _check_history(arrays: Arrays, tick: int, cases: int) -> None:
    share = _Column(np.float32, -_ROUNDED, 1 + _ROUNDED)
    when = _Column(np.int32, _NEVER, tick)
    count = _Column(np.int32, 0, tick)
    seconds = _Column(np.float32, 0.0, np.inf, nan=True)
    of_case = {
        "runs": count, "fails": count, "flips": count, "streak": _Column(np.int32, -tick, tick),
        "rate_0": share, "rate_1": share, "rate_2": share,
        "last_fail_tick": when, "last_fail_run": when, "last_tick": when, "first_tick": when,
        "failing": _Column(np.bool_, 0, 1), "seconds": seconds, "seconds_last": seconds,
    }  # fmt: skip
    for name, column in of_case.items():
        _column(arrays, f"history.case.{name}", column, size=cases)
    for level in LEVELS:
        rates = _column(arrays, f"history.{level}.rate", share._replace(nan=True))
        _column(arrays, f"history.{level}.seconds", seconds, size=len(rates))
    _column(arrays, "history.recent", _Column(np.float64, -_ROUNDED, 1 + _ROUNDED), size=2)
    _column(arrays, "history.last_run", _Column(np.uint8, 0, 255)).tobytes().decode()


def _check_runs(arrays: Arrays, tick: int, cases: int) -> None:
    """Check the failing cases of branches and commits, and those of similar runs."""
    when, case = _Column(np.int64, 0, tick), _Column(np.int32, 0, cases - 1)
    failing = _column(arrays, "history.lineage.cases", case)
    heads = _ends(arrays, "history.lineage.ends", len(failing), np.int64, most=HEADS_KEPT)
    _column(arrays, "history.lineage.ticks", when, size=len(heads))
    keys = _document(arrays, "history.lineage.keys", list)
    if len(keys) != len(heads) or not all(isinstance(key, str) for key in keys):
        raise ValueError("history.lineage.keys is damaged")
    members = _column(arrays, "history.siblings.sets", case)
    sets = _ends(arrays, "history.siblings.set_ends", len(members), np.int64, most=MAX_SETS)
    failing = _column(arrays, "history.siblings.failing", case)
    runs = _ends(arrays, "history.siblings.failing_ends", len(failing), np.int64, most=KEPT)
    _column(arrays, "history.siblings.ticks", when, size=len(runs))
    known = _Column(np.int64, 0, len(sets) - 1)
    of_run = _column(arrays, "history.siblings.run_sets", known, size=len(runs))
    if set(of_run.tolist()) != set(range(len(sets))):
        raise ValueError("history.siblings.run_sets is damaged")


def _check_cofailure(arrays: Arrays) -> None:
    number, count = _Column(np.uint32, 0, 2**32 - 1), _Column(np.int32, 0, _TICKS)
    weight = _Column(np.float64, 0.0, _COUNT)
    units = len(_column(arrays, "cofailure.things", number))
    sizes = _column(arrays, "cofailure.sizes", _Column(np.int64, 0, _COUNT), size=units)
    rows = len(_column(arrays, "cofailure.targets", number))
    if units > MAX_UNITS or int(sizes.sum()) != rows:
        raise ValueError("cofailure.sizes is damaged")
    _column(arrays, "cofailure.weights", weight, size=rows)
    _column(arrays, "cofailure.changes", weight, size=units)
    optional = {"counts": count, "last": number, "made": count}  # an earlier version kept less
    for name in optional.keys() & {key.partition(".")[2] for key in arrays}:
        _column(arrays, f"cofailure.{name}", optional[name], size=units)
    hits = arrays.get("cofailure.hits")
    if hits is not None and not _are_hits(hits, rows):
        raise ValueError("cofailure.hits is damaged")
    if "cofailure.ticks" in arrays:
        ticks = _column(arrays, "cofailure.ticks", count)
        of_unit = _Column(np.int32, 0, MAX_TICKS)
        if int(_column(arrays, "cofailure.tick_counts", of_unit, size=units).sum()) != len(ticks):
            raise ValueError("cofailure.tick_counts is damaged")


def _are_hits(hits: NDArray[Any], rows: int) -> bool:
    """Tell whether an array may be that of the failures of targets; some columns are numbers."""
    if hits.dtype != np.uint32 or hits.ndim != 2 or len(hits) != rows:  # noqa: PLR2004
        return False
    counts = [at for at in COUNTED if at < hits.shape[1]]
    return not (hits[:, counts] > _TICKS).any()


def _column(arrays: Arrays, name: str, column: _Column, *, size: int | None = None) -> NDArray[Any]:
    """Return an array of one dimension whose type, size and values are as they must be."""
    values = arrays[name]
    sound = (
        values.dtype == column.dtype
        and values.ndim == 1
        and size in (None, len(values))
        and not (values < column.low).any()
        and not (values > column.high).any()
        and (column.nan or values.dtype.kind != "f" or not np.isnan(values).any())
    )
    if not sound:
        raise ValueError(f"{name} is damaged")
    return values


def _ends(
    arrays: Arrays, name: str, total: int, dtype: type, *, most: int = _COUNT
) -> NDArray[Any]:
    """Return where the parts of another array end: in order, and the last one at its end."""
    ends = _column(arrays, name, _Column(dtype, 0, total))
    last = int(ends[-1]) if len(ends) else 0
    if last != total or len(ends) > most or not (ends[:-1] <= ends[1:]).all():
        raise ValueError(f"{name} is damaged")
    return ends


def _document(arrays: Arrays, name: str, kind: type) -> Any:
    """Return what an array holds as JSON; an empty one where there is no array."""
    if name not in arrays:
        return kind()
    document = json.loads(_column(arrays, name, _Column(np.uint8, 0, 255)).tobytes())
    if type(document) is not kind:
        raise ValueError(f"{name} is damaged")
    return document
