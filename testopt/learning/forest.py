"""A gradient-boosted forest as numpy arrays: loads in milliseconds, predicts without LightGBM.

LightGBM trains; this evaluates. Importing LightGBM takes more than a second and its parser of
model files can end the process on a damaged one, so a plan never loads it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_MAX_NODES: Final = 1 << 17  # the forests of change risk have 30,000
_MAX_LEAF: Final = 1e6  # log-odds of one tree
_BLOCK: Final = 16_384  # rows that are copied at once, so that memory does not grow with a suite


@dataclass(frozen=True)
class Forest:
    """Trees over numeric features; the margin is the sum of one leaf a tree.

    Attributes
    ----------
    roots : ndarray of int32, shape (n_trees,)
        Index of the root of each tree.
    feature : ndarray of int32, shape (n_nodes,)
        Column that a node looks at; -1 for a leaf.
    threshold : ndarray of float64, shape (n_nodes,)
        A node goes left when the value is at most this; the value of a leaf.
    left, right : ndarray of int32, shape (n_nodes,)
        Children; always behind their parent.
    nan_left : ndarray of bool, shape (n_nodes,)
        Where a missing value goes.
    n_features : int
        Columns expected.
    """

    roots: NDArray[np.int32]
    feature: NDArray[np.int32]
    threshold: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    nan_left: NDArray[np.bool_]
    n_features: int

    @classmethod
    def from_lightgbm(cls, model: Mapping[str, Any]) -> Forest:
        """Build from ``Booster.dump_model()`` of a model with numeric features.

        Parameters
        ----------
        model : mapping
            The dumped model.

        Raises
        ------
        ValueError
            When the model uses splits that are not numeric.
        """
        nodes: list[tuple[int, float, int, int, bool]] = []
        roots = []
        for tree in model["tree_info"]:
            roots.append(len(nodes))
            _flatten(tree["tree_structure"], nodes)
        feature, threshold, left, right, nan_left = zip(*nodes, strict=True) if nodes else [()] * 5
        return cls(
            np.asarray(roots, np.int32),
            np.asarray(feature, np.int32),
            np.asarray(threshold, np.float64),
            np.asarray(left, np.int32),
            np.asarray(right, np.int32),
            np.asarray(nan_left, np.bool_),
            int(model["max_feature_idx"]) + 1,
        )

    def margin(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Return the log-odds before calibration.

        Parameters
        ----------
        x : ndarray, shape (n, n_features)
            NaN where unknown.

        Returns
        -------
        ndarray of float64, shape (n,)

        Raises
        ------
        ValueError
            When `x` has another number of columns.
        """
        if x.ndim != 2 or x.shape[1] != self.n_features:  # noqa: PLR2004 - a matrix
            raise ValueError(f"expected {self.n_features} columns, got shape {x.shape}")
        total = np.zeros(len(x))
        for at in range(0, len(x), _BLOCK):
            columns = np.ascontiguousarray(x[at : at + _BLOCK].T, dtype=np.float64)
            missing = np.isnan(columns)
            for root in self.roots:
                total[at : at + _BLOCK] += self._leaves(int(root), columns, missing)
        return total

    def _leaves(
        self, root: int, columns: NDArray[np.float64], missing: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Return the leaf value of one tree for each row, splitting the rows at each node."""
        out = np.empty(columns.shape[1])
        stack = [(root, np.arange(columns.shape[1]))]
        while stack:
            node, rows = stack.pop()
            column = self.feature[node]
            if column < 0:
                out[rows] = self.threshold[node]
                continue
            left = columns[column, rows] <= self.threshold[node]
            if self.nan_left[node]:
                left |= missing[column, rows]
            stack.append((int(self.left[node]), rows[left]))
            stack.append((int(self.right[node]), rows[~left]))
        return out

    def dump(self) -> dict[str, NDArray[Any]]:
        """Return the forest as arrays, for a file without pickle."""
        return {f.name: np.asarray(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def load(cls, arrays: Mapping[str, NDArray[Any]]) -> Forest:
        """Rebuild from what `dump` returned, trusting nothing.

        Raises
        ------
        BundleError
            When arrays are missing, of other sizes, or point where they must not.
        """
        try:
            values: dict[str, Any] = {f.name: arrays[f.name] for f in fields(cls)}
            forest = cls(**{**values, "n_features": int(values["n_features"])})
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"the compiled forest is incomplete: {error}") from None
        forest._check_shapes()
        forest._check()
        return forest

    def _check_shapes(self) -> None:
        nodes: list[NDArray[Any]] = [
            self.feature,
            self.threshold,
            self.left,
            self.right,
            self.nan_left,
        ]
        kinds = [array.dtype.kind for array in (self.roots, *nodes)]
        sound = (
            kinds == ["i", "i", "f", "i", "i", "b"]
            and self.roots.ndim == 1
            and all(array.shape == (self.feature.size,) for array in nodes)
            and self.feature.size <= _MAX_NODES
            and bool(np.isfinite(self.threshold).all())
            and bool((np.abs(self.threshold[self.feature < 0]) <= _MAX_LEAF).all())
        )
        if not sound:
            raise BundleError("the compiled forest has arrays of other types or sizes")

    def _check(self) -> None:
        nodes = len(self.feature)
        inner = self.feature >= 0
        at = np.arange(nodes)[inner]
        children = np.stack([self.left[inner], self.right[inner]])
        # in a tree no node has two parents: else a walk could take ever so many ways
        entries = np.concatenate([self.roots, children.ravel()])
        sound = (
            self.n_features >= 0
            and bool(np.all((self.roots >= 0) & (self.roots < nodes)))
            and len(np.unique(entries)) == len(entries)
            and bool(np.all(self.feature < self.n_features))
            and bool(np.all((children > at) & (children < nodes)))
        )
        if not sound:
            raise BundleError("the compiled forest points outside itself")


def _flatten(tree: Mapping[str, Any], nodes: list[tuple[int, float, int, int, bool]]) -> int:
    """Append a tree, parents before children; return the index of its root."""
    at = len(nodes)
    if "split_feature" not in tree:
        nodes.append((-1, float(tree["leaf_value"]), 0, 0, False))
        return at
    if tree["decision_type"] != "<=":
        raise ValueError(f"cannot compile a split of type {tree['decision_type']!r}")
    nodes.append((0, 0.0, 0, 0, False))
    left = _flatten(tree["left_child"], nodes)
    right = _flatten(tree["right_child"], nodes)
    threshold = float(tree["threshold"])
    # Where training saw no missing value LightGBM reads a missing one as zero.
    nan_left = tree["default_left"] if tree["missing_type"] == "NaN" else threshold >= 0.0
    nodes[at] = (int(tree["split_feature"]), threshold, left, right, bool(nan_left))
    return at
