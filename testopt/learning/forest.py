"""A gradient-boosted forest as numpy arrays: loads in milliseconds, predicts without LightGBM.

LightGBM trains; this evaluates. Importing LightGBM takes more than a second and its parser of
model files can end the process on a damaged one, so a plan never loads it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_MAX_NODES: Final = 1 << 17  # the forests of change risk have 30,000
_MAX_TREE: Final = 1 << 12  # nodes of one tree
_MAX_LEAF: Final = 1e6  # log-odds of one tree
# Rows that are looked at together, so that memory does not grow with a suite: 150 trees take 17 ms
# of CPU for 10,000 rows at once, 32 by 4,096 rows; to follow the rows from node to node took 82.
_BLOCK: Final = 16_384


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
        trees = [slice(*span) for span in pairwise([*self.roots.tolist(), len(self.feature)])]
        walk = _Walk(self, np.float32 if x.dtype == np.float32 else np.float64)
        for at in range(0, len(x), _BLOCK):
            columns = np.ascontiguousarray(x[at : at + _BLOCK].T, dtype=walk.threshold.dtype)
            part = total[at : at + _BLOCK]
            for tree in trees:
                part += self.threshold[tree][walk.leaves(tree, columns)]
        return total

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
        entries = np.sort(np.concatenate([self.roots, children.ravel()]))
        starts = np.append(self.roots, nodes)
        end = starts[np.searchsorted(self.roots, at, side="right")] if len(self.roots) else at
        sound = (
            self.n_features >= 0
            and starts[0] == 0
            and bool(np.all((np.diff(starts) > 0) & (np.diff(starts) <= _MAX_TREE)))
            and bool((np.diff(entries) > 0).all())  # `np.unique` would import numpy.ma
            and bool(np.all(self.feature < self.n_features))
            and bool(np.all((children > at) & (children < end)))
        )
        if not sound:
            raise BundleError("the compiled forest points outside itself")


class _Walk:
    """Finds the leaf of each row, in a tree after the other, by whole columns.

    Each node chooses between the leaves that its children have found: arithmetic on small whole
    numbers, which costs less than to divide the rows among the children.
    """

    def __init__(self, forest: Forest, kind: type[np.float32 | np.float64]) -> None:
        with np.errstate(over="ignore"):
            self.threshold: NDArray[Any] = forest.threshold.astype(kind)
        # where it was rounded up, the next lower one divides alike
        above = np.greater(self.threshold, forest.threshold)
        self.threshold[above] = np.nextafter(self.threshold[above], kind(-np.inf))
        self._nodes = list(
            zip(
                forest.feature.tolist(), self.threshold, forest.left.tolist(),
                forest.right.tolist(), forest.nan_left.tolist(), strict=True,
            )
        )  # fmt: skip

    def leaves(self, tree: slice, columns: NDArray[Any]) -> NDArray[Any]:
        """Return the place of each row's leaf among the nodes of a tree."""
        small = np.min_scalar_type(tree.stop - tree.start).type
        found: dict[int, Any] = {}
        for node in range(tree.stop - 1, tree.start - 1, -1):
            column, threshold, left, right, nan_left = self._nodes[node]
            if column < 0:
                found[node] = small(node - tree.start)
            elif nan_left:  # what is missing is not larger than anything
                goes = columns[column] > threshold
                found[node] = _choose(goes, found.pop(right), found.pop(left))
            else:
                goes = columns[column] <= threshold
                found[node] = _choose(goes, found.pop(left), found.pop(right))
        return np.broadcast_to(found[tree.start], columns.shape[1:])


def _choose(first: NDArray[np.bool_], one: Any, other: Any) -> Any:
    """Return `one` where `first` holds, else `other`; ten times as fast as `numpy.where`."""
    chosen = first.view(np.uint8) * (one ^ other)
    chosen ^= other
    return chosen


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
