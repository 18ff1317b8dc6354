"""Leaves the cases of other parts out (``--testopt-shard``), whatever becomes of plan and engine.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from testopt.parts import Division, node_unit, parse_part, read_durations
from testopt.pytest_plugin import add_note, fail_open, note_left_out, note_more
from testopt.pytest_plugin.groups import node_ids
from testopt.pytest_plugin.options import shard_durations

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

_KEY = "testopt_part"  # what is sent to a worker of xdist, and what it sends back


class Part:
    """Leaves the cases of the other parts out: in pytest alone, and in a worker of xdist."""

    def __init__(self, config: pytest.Config, index: int, division: Division) -> None:
        self._config, self._index, self._division = config, index, division
        self._kept = self._total = 0
        self._by = ""

    @classmethod
    def asked(cls, config: pytest.Config, text: str) -> Part:
        """Return the part that a text such as ``2/4`` names.

        Raises
        ------
        ValueError
            When it names none, or the durations that the project agreed on cannot be read.
        """
        index, count = parse_part(text)
        path = shard_durations(config)
        if path is None:
            return cls(config, index, Division(count))
        found = read_durations(path)
        times = ((node_unit(name), seconds) for name, seconds in found.items())
        part = cls(config, index, Division.by_durations(count, times))
        seen = json.dumps(sorted(found.items())).encode("ascii")
        part._by = f", by {path.name} {hashlib.blake2b(seen, digest_size=4).hexdigest()}"
        return part

    @classmethod
    def sent(cls, config: pytest.Config, text: str) -> Part:
        """Return the part that a controller of xdist has sent."""
        index, count, placed = json.loads(text)
        return cls(config, index, Division(count, placed))

    @property
    def placed(self) -> Mapping[str, int]:
        """The parts that do not follow from names."""
        return self._division.placed

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
        node.workerinput[_KEY] = json.dumps([self._index, self._division.count, self.placed])

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
        name = f"part {self._index} of {self._division.count}"
        text = f"{name}: {self._kept:,} of {self._total:,} cases{self._by}"
        if self._kept:
            note_more(self._config, [text])
            return
        add_note(self._config, f"{text}, so nothing runs", trouble=True)
        if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            session.exitstatus = pytest.ExitCode.OK

    def _divide(self, items: list[pytest.Item]) -> None:
        names = node_ids(items, self._config)
        mine = [self._division.of(node_unit(name)) == self._index for name in names]
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
