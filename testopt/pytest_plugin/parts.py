"""Leaves the cases of other parts out (``--testopt-shard``), whatever becomes of plan and engine.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from testopt.parts import node_unit, part_of
from testopt.pytest_plugin import add_note, fail_open, note_left_out, note_more
from testopt.pytest_plugin.groups import node_ids

if TYPE_CHECKING:
    from collections.abc import Generator

_KEY = "testopt_part"  # what is sent to a worker of xdist, and what it sends back


class Part:
    """Leaves the cases of the other parts out: in pytest alone, and in a worker of xdist."""

    def __init__(self, config: pytest.Config, part: tuple[int, int]) -> None:
        self._config, self._part = config, part
        self._kept = self._total = 0

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_collection_modifyitems(
        self, items: list[pytest.Item]
    ) -> Generator[None, object, object]:
        """Divide what is left when all others, the plan too, have selected and ordered."""
        result = yield
        fail_open(self._config, "the whole suite runs", self._divide, items)
        return result

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker which part it works on."""
        node.workerinput[_KEY] = f"{self._part[0]}/{self._part[1]}"

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take what a worker says of its cases; all of them say the same."""
        output = getattr(node, "workeroutput", None) or {}
        self._kept, self._total = output.get(_KEY) or (self._kept, self._total)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Say how many cases the part has; one that has none ends well."""
        if not self._total:
            return
        index, count = self._part
        text = f"part {index} of {count}: {self._kept:,} of {self._total:,} cases"
        if self._kept:
            note_more(self._config, [text])
            return
        add_note(self._config, f"{text}, so nothing runs", trouble=True)
        if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            session.exitstatus = pytest.ExitCode.OK

    def _divide(self, items: list[pytest.Item]) -> None:
        index, count = self._part
        names = node_ids(items, self._config)
        mine = [part_of(node_unit(name), count) == index for name in names]
        kept = [item for item, own in zip(items, mine, strict=True) if own]
        left = [item for item, own in zip(items, mine, strict=True) if not own]
        self._kept, self._total = len(kept), len(items)
        items[:] = kept
        if left:
            note_left_out(self._config, len(left))
            self._config.hook.pytest_deselected(items=left)
        output = getattr(self._config, "workeroutput", None)
        if output is not None:
            output[_KEY] = [self._kept, self._total]
