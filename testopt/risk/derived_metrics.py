"""Derives the columns of the risk model from change metrics: logs and ratios.

Everything follows from the row itself, so a row means the same in training and in use. The
metrics and their logs are those of Kamei et al. (2013); churn relative to the size of the files
follows Nagappan and Ball (2005).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

METRICS: Final = (
    "ns", "nd", "nf", "entropy", "la", "ld", "lt", "fix", "ndev", "age", "nuc", "exp", "rexp",
    "sexp",
)  # fmt: skip
DAY: Final = "day"  # days since 1970
_PLAIN: Final = frozenset({"fix"})


def log1p(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sign(x) log(1 + abs(x)), the log that takes any finite number."""
    out: NDArray[np.float64] = np.sign(values) * np.log1p(np.abs(values))
    return out


def _log_ratio(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return log1p(a) - log1p(b)


def _per_file(a: NDArray[np.float64], nf: NDArray[np.float64]) -> NDArray[np.float64]:
    return log1p(a / np.maximum(nf, 1.0))


# Name -> what it is made of, and how.
_DERIVED: Final[dict[str, tuple[tuple[str, ...], Callable[..., NDArray[np.float64]]]]] = {
    "churn": (("la", "ld"), lambda la, ld: log1p(la + ld)),
    "added_share": (("la", "ld"), lambda la, ld: la / (la + ld + 1.0)),
    "net": (("la", "ld"), lambda la, ld: log1p(la - ld)),
    "added_by_size": (("la", "lt"), _log_ratio),
    "deleted_by_size": (("ld", "lt"), _log_ratio),
    "added_each": (("la", "nf"), _per_file),
    "size_each": (("lt", "nf"), _per_file),
    "changes_each": (("nuc", "nf"), _per_file),
    "people_each": (("ndev", "nf"), _per_file),
    "folders_each": (("nd", "nf"), lambda nd, nf: nd / np.maximum(nf, 1.0)),
    "spread": (("entropy", "nf"), lambda e, nf: e * nf),
    "evenness": (("entropy", "nf"), lambda e, nf: e / np.log2(np.maximum(nf, 2.0))),
    "recent_experience": (("rexp", "exp"), _log_ratio),
    "local_experience": (("sexp", "exp"), _log_ratio),
    "changes_by_people": (("nuc", "ndev"), _log_ratio),
    "changes_by_size": (("nuc", "lt"), _log_ratio),
    "changes_by_age": (("nuc", "age"), lambda nuc, age: log1p(nuc / (np.maximum(age, 0.0) + 1.0))),
    "added_and_size": (("la", "lt"), lambda la, lt: log1p(la) + log1p(lt)),
}


def derived_columns(
    columns: Mapping[str, NDArray[np.float64]],
) -> tuple[NDArray[np.float64], tuple[tuple[str, tuple[str, ...]], ...]]:
    """Return the columns of the model, and what each is made of.

    Parameters
    ----------
    columns : mapping of str to ndarray, shape (n,)
        Metrics and other numbers, NaN where unknown. What is absent is left out, with everything
        that is derived from it.

    Returns
    -------
    matrix : ndarray, shape (n, k)
        First each given column (its log, except flags), then the derived ones.
    names : tuple of (str, tuple of str)
        Name of each column of the matrix, and the given columns that it comes from.
    """
    parts: list[tuple[str, tuple[str, ...], NDArray[np.float64]]] = [
        (name, (name,), v if name in _PLAIN else log1p(v)) for name, v in columns.items()
    ]
    for name, (inputs, formula) in _DERIVED.items():
        if all(n in columns for n in inputs):
            parts.append((name, inputs, formula(*(columns[n] for n in inputs))))
    matrix = np.column_stack([values for _, _, values in parts])
    return matrix, tuple((name, inputs) for name, inputs, _ in parts)
