"""Node ids without what xdist appends to them: ``test_one@db`` under ``--dist loadgroup``.

The group is no part of the name: no pytest accepts it in an argument.
PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

MARK = "xdist_group"


def has_groups(config: pytest.Config) -> bool:
    """Tell whether xdist appends groups, in its controller and in its workers."""
    return config.getoption("dist", "no") == "loadgroup" or bool(
        config.getoption("loadgroup", default=False)
    )


def node_ids(items: Sequence[pytest.Item], config: pytest.Config) -> list[str]:
    """Return the node ids of items, without their groups."""
    if not has_groups(config):
        return [item.nodeid for item in items]
    return [
        item.nodeid if item.get_closest_marker(MARK) is None else without_group(item.nodeid)
        for item in items
    ]


def without_group(node_id: str) -> str:
    """Return a node id that ends in a group without it: parameters may hold an ``@``, too."""
    path, colons, name = node_id.partition("::")
    function, bracket, _ = name.partition("[")
    if bracket and "@" not in function:
        end = name.rfind("]@") + 1
    elif path.endswith(".py"):  # no function has an @ in its name, a group may
        end = name.find("@")
    else:
        end = name.rfind("@")
    return path + colons + name[:end] if end > 0 else node_id
