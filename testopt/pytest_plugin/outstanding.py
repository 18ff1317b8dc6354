"""Whether the cases that were to run gave a result, and if not, why.

A run stops at its first failure, a worker crashes, a plugin takes cases away: what then has no
result has not passed, and pytest may end with 0 all the same.
PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from testopt.pytest_plugin.groups import has_groups, node_ids, without_group

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


class Outstanding:
    """The cases of a run that were to run, noted as they become known.

    Attributes
    ----------
    planned : int or None
        How many cases the plan keeps; None where no plan was followed.
    expected : set of str
        Node ids of the cases that pytest, or each worker, has in the end.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._groups = has_groups(config)
        self.planned: int | None = None
        self.expected: set[str] = set()
        self._kept: set[str] = set()
        self._deselected: set[str] = set()
        self._crashed = ""

    def plan(self, items: Sequence[pytest.Item]) -> None:
        """Note the cases that the plan keeps."""
        self._kept = {item.nodeid for item in items}
        self.planned = len(items)

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Note what was taken away, and is counted by pytest."""
        self._deselected.update(item.nodeid for item in items)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note the cases that are there in the end; a plugin that took others away says so."""
        self.expected.update(node_ids(session.items, self._config))
        self.expected |= self._kept - self._deselected

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Note what a worker has collected, and will run with the others."""
        self.expected.update(map(without_group, ids) if self._groups else ids)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Note a worker that crashed."""
        output = getattr(node, "workeroutput", None) or {}
        if "testopt_kept" in output:
            self.planned = max(self.planned or 0, output["testopt_kept"])
        if error:
            self._crashed = f"worker {node.gateway.id} crashed"

    def without(self, done: Collection[str]) -> int:
        """Return how many cases have no result."""
        return len(self.expected.difference(done))

    def why(self, session: pytest.Session, exitstatus: int) -> tuple[str, bool]:
        """Return why cases have no result, and whether that is trouble that pytest may not show."""
        stopped = session.shouldfail or session.shouldstop
        if stopped and stopped is not True:
            return str(stopped), False
        if exitstatus == pytest.ExitCode.INTERRUPTED:
            return self._crashed or "interrupted", bool(self._crashed)
        if self._crashed:
            return self._crashed, True
        if exitstatus == pytest.ExitCode.INTERNAL_ERROR:
            return "pytest broke", True
        return "another plugin took them away", True
