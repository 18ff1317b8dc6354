"""A worker of xdist: runs what it collects as the controller says.

All workers collect the same cases and get the same plan, so they arrive at the same list; xdist
stops the run where they do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from testopt.pytest_plugin import NOT_ORDERED, fail_open
from testopt.pytest_plugin.apply import order_known, replace_items
from testopt.pytest_plugin.groups import node_ids

if TYPE_CHECKING:
    from collections.abc import Generator


class WorkerPlanner:
    """Orders the items of one worker."""

    def __init__(self, config: pytest.Config, sent: dict[str, Any]) -> None:
        self._config, self._sent = config, sent

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_collection_modifyitems(
        self, items: list[pytest.Item]
    ) -> Generator[None, object, object]:
        """Order what the other plugins have selected and ordered, and leave out some of it."""
        result = yield
        output = getattr(self._config, "workeroutput", {})
        done = fail_open(self._config, NOT_ORDERED, self._order, items)
        if done is None:
            output["testopt"] = "a worker could not apply the order"
        else:
            output["testopt_left_out"], output["testopt_new"] = done
            output["testopt_kept"] = len(items)
        return result

    def _order(self, items: list[pytest.Item]) -> tuple[int, int]:
        ids = node_ids(items, self._config)
        staying, left, new = order_known(items, self._sent, ids)
        return replace_items(items, (staying, left)), new
