"""Checks a forest in LightGBM's text before LightGBM reads it, for its parser trusts its input.

What goes on is written anew from what was checked: numeric splits of a model with two classes. The
parameters that stand behind the trees, among them names of files, are left out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np

from testopt.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_MAX_TEXT: Final = 64 << 20
_MAX_TREES: Final = 5_000
_MAX_LEAVES: Final = 4_096
_MOST: Final = 1.7e308  # a threshold where all values go one way
_HEADER: Final = {
    "version": "v4", "num_class": "1", "num_tree_per_iteration": "1", "label_index": "0",
    "objective": "binary sigmoid:1",
}  # fmt: skip
_NUMBERS: Final = re.compile(r"[0-9eE.+\- ]*")
_OF_NODES: Final = (
    "split_feature", "split_gain", "threshold", "decision_type", "left_child", "right_child",
    "internal_value", "internal_weight", "internal_count",
)  # fmt: skip
_OF_LEAVES: Final = ("leaf_value", "leaf_weight", "leaf_count")
_WHOLE: Final = frozenset(
    {
        "split_feature", "decision_type", "left_child", "right_child", "internal_count",
        "leaf_count",
    }
)  # fmt: skip
# Bits of a decision: none of a category, and one of the three ways to treat a missing value.
_DECISIONS: Final = frozenset({0, 2, 4, 6, 8, 10})


def checked_text(text: str, n_features: int) -> str:
    """Return the same forest in a text that LightGBM can be given.

    Parameters
    ----------
    text : str
        What ``Booster.model_to_string`` returned, or something else.
    n_features : int
        Columns that the model takes.

    Raises
    ------
    BundleError
        When it is another kind of model, or none.
    """
    try:
        if len(text) > _MAX_TEXT:
            raise ValueError("it is larger than allowed")
        head, *trees = text.partition("\nend of trees")[0].split("\nTree=")
        header = _fields(head)
        wanted = {**_HEADER, "max_feature_idx": str(n_features - 1)}
        if {name: header.get(name) for name in wanted} != wanted or len(trees) > _MAX_TREES:
            raise ValueError("its header is that of another model")
        made = [_tree(i, tree, n_features) for i, tree in enumerate(trees)]
    except (ValueError, KeyError, OverflowError) as error:
        raise BundleError(f"a forest is damaged: {error}") from None
    names = " ".join(f"Column_{i}" for i in range(n_features))
    lines = [
        "tree",
        *(f"{name}={value}" for name, value in wanted.items()),
        f"feature_names={names}",
        f"feature_infos={' '.join(['none'] * n_features)}",
        f"tree_sizes={' '.join(str(len(tree)) for tree in made)}",
    ]
    return (
        "\n".join(lines)
        + "\n\n"
        + "".join(made)
        + "end of trees\n\nparameters:\nend of parameters\n"
    )


def _fields(block: str) -> dict[str, str]:
    found = (line.partition("=") for line in block.splitlines())
    return {name: value for name, mark, value in found if mark}


def _tree(number: int, block: str, n_features: int) -> str:
    fields = _fields("\n" + block.partition("\n")[2])
    leaves = int(fields["num_leaves"])
    if not 1 <= leaves <= _MAX_LEAVES or fields.get("num_cat") != "0":
        raise ValueError("a tree has too many leaves, or splits by category")
    if fields.get("is_linear", "0") != "0":
        raise ValueError("a tree has linear leaves")
    kept = {"num_leaves": str(leaves), "num_cat": "0"}
    if leaves == 1:
        _numbers(fields, "leaf_value", 1)
        kept["leaf_value"] = fields["leaf_value"]
    else:
        sizes = dict.fromkeys(_OF_NODES, leaves - 1) | dict.fromkeys(_OF_LEAVES, leaves)
        arrays = {name: _numbers(fields, name, size) for name, size in sizes.items()}
        _check_tree(arrays, n_features)
        kept |= {name: fields[name] for name in sizes}
    lines = [f"Tree={number}", *(f"{name}={value}" for name, value in kept.items())]
    return "\n".join([*lines, "is_linear=0", "shrinkage=1", "", "", ""])


def _numbers(fields: Mapping[str, str], name: str, size: int) -> NDArray[np.float64]:
    text = fields[name]
    if not _NUMBERS.fullmatch(text):
        raise ValueError(f"{name} holds something other than numbers")
    values = np.array(text.split(" "), np.float64)
    is_sound = len(values) == size and (np.abs(values) <= _MOST).all()
    if not is_sound or (
        name in _WHOLE and not (values == np.array(text.split(" "), np.int64)).all()
    ):
        raise ValueError(f"{name} has another size, or values that it cannot have")
    return values


def _check_tree(arrays: Mapping[str, NDArray[np.float64]], n_features: int) -> None:
    """Check that each node and leaf but the root is the child of one node, which is before it."""
    feature, nodes = arrays["split_feature"], len(arrays["split_feature"])
    children = np.concatenate([arrays["left_child"], arrays["right_child"]])
    parents = np.concatenate([np.arange(nodes)] * 2)
    inner = children >= 0
    sound = (
        bool(((feature >= 0) & (feature < n_features)).all())
        and set(arrays["decision_type"].tolist()) <= _DECISIONS
        and sorted(children.tolist()) == [float(i) for i in range(-nodes - 1, nodes) if i]
        and bool((children[inner] > parents[inner]).all())
        and all(bool((arrays[name] >= 0).all()) for name in ("leaf_count", "internal_count"))
    )
    if not sound:
        raise ValueError("a tree points outside itself")
