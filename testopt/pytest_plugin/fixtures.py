"""Reads from pytest's items which fixtures of wider scope each case uses.

What pytest knows after collection is used: the closure of fixtures of each item, with autouse ones
and those that pytest makes of ``setup_module``, ``setUpClass`` and the like. A fixture or a test
that calls ``request.getfixturevalue`` may set up anything, so it is bound to its class, module and
package. A fixture that a helper asks for at run time cannot be seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from testopt.pytest_plugin.order import Case, Use

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

_PLAIN = (str, int, float, bool, bytes, type(None))


def describe(items: Sequence[pytest.Item], granularity: str = "auto") -> list[Case]:
    """Return the nodes around each item, and the wider fixtures that it uses.

    Parameters
    ----------
    items : sequence of pytest.Item
        As collected.
    granularity : str
        ``auto``: as the fixtures ask for. ``module``: files stay together as well. ``case``: no
        fixture binds anything.

    Returns
    -------
    list of Case
        One for each item. Keys and nodes are numbers in order of appearance, so that workers
        which collect the same items describe them alike.
    """
    if granularity == "case":
        return [Case()] * len(items)
    reader = _Reader(whole_modules=granularity == "module")
    return [reader.case(item) for item in items]


def fixed_by_marks(items: Iterable[pytest.Item], marks: Iterable[str]) -> set[int]:
    """Return the positions of the items that carry one of `marks`: their place is the user's."""
    names = frozenset(marks)
    return {
        index
        for index, item in enumerate(items)
        if any(mark.name in names for mark in item.iter_markers())
    }


class _Reader:
    """Reads items, remembering what many of them share."""

    def __init__(self, *, whole_modules: bool) -> None:
        self._whole_modules = whole_modules
        self._numbers: dict[Hashable, int] = {}
        self._kept: list[object] = []  # keeps what is numbered by address alive
        self._chains: dict[int, tuple[list[pytest.Collector], frozenset[Hashable]]] = {}
        self._wide: dict[int, bool] = {}
        self._dynamic: dict[int, bool] = {}

    def case(self, item: pytest.Item) -> Case:
        """Describe one item."""
        parents, nodes = self._around(item)
        uses: dict[Hashable, Use] = {}
        info = getattr(item, "_fixtureinfo", None)
        names: dict[str, Any] = getattr(info, "name2fixturedefs", None) or {}
        definitions = [d for name in names for d in names[name]]
        for definition in definitions:
            if self._is_wide(definition):
                self._add(uses, definition, item, names)
        if self._asks_at_run_time(getattr(item, "obj", None)) or any(
            self._asks_at_run_time(definition.func) for definition in definitions
        ):
            self._bind(uses, parents, (pytest.Class, pytest.Module, pytest.Package))
        if self._whole_modules:
            self._bind(uses, parents, (pytest.File,))
        return Case(nodes, tuple(uses.values()))

    def _number(self, thing: object) -> int:
        number = self._numbers.setdefault(id(thing), len(self._numbers))
        if number == len(self._kept):
            self._kept.append(thing)
        return number

    def _around(self, item: pytest.Item) -> tuple[list[pytest.Collector], frozenset[Hashable]]:
        """Return the collectors between the session and an item, outermost first."""
        known = self._chains.get(id(item.parent))
        if known is None:
            chain: list[Any] = item.listchain()[1:-1]
            known = chain, frozenset(self._number(node) for node in chain)
            self._chains[id(item.parent)] = known
        return known

    def _is_wide(self, definition: Any) -> bool:
        wide = self._wide.get(id(definition))
        if wide is None:
            wide = self._wide[id(definition)] = definition.scope != "function"
        return wide

    def _add(
        self, uses: dict[Hashable, Use], definition: Any, item: pytest.Item, names: dict[str, Any]
    ) -> int | None:
        """Add a fixture after those that it needs; return its key, or None if it is not wide."""
        if not self._is_wide(definition):
            return None
        key = self._number(definition)
        if key in uses:
            return key
        bound, node = self._scope_node(definition, item)
        if not bound:
            return None
        needs = []
        for name in definition.argnames:
            needed = _definition_below(definition, name, names)
            found = None if needed is None else self._add(uses, needed, item, names)
            if found is not None:
                needs.append(found)
        param = _param(item, definition, names)
        params = frozenset(() if param is None else ((key, param),)).union(
            *(uses[need].params for need in needs)
        )
        uses[key] = Use(key, node, param, params, tuple(needs))
        return key

    def _scope_node(self, definition: Any, item: pytest.Item) -> tuple[bool, Hashable]:
        """Return whether a fixture outlives an item, and the node that it lives for.

        A class fixture of a function outside any class lives for that function alone.
        """
        parents, _ = self._around(item)
        if definition.scope == "class":
            kind: type = pytest.Class
        elif definition.scope == "module":
            kind = pytest.Module
        elif definition.scope == "package":
            for node in reversed(parents):
                if isinstance(node, pytest.Package) and node.nodeid == definition.baseid:
                    return True, self._number(node)
            return True, None
        else:
            return True, None
        for node in reversed(parents):
            if isinstance(node, kind):
                return True, self._number(node)
        return False, None

    def _bind(
        self,
        uses: dict[Hashable, Use],
        parents: list[pytest.Collector],
        kinds: tuple[type[pytest.Collector], ...],
    ) -> None:
        """Tie a case to the nodes of some kinds around it."""
        for node in parents:
            if isinstance(node, kinds):
                number = self._number(node)
                uses[-1 - number] = Use(-1 - number, number)

    def _asks_at_run_time(self, function: Any) -> bool:
        code = getattr(function, "__code__", None)
        if code is None:
            return False
        known = self._dynamic.get(id(code))
        if known is None:
            known = self._dynamic[id(code)] = "getfixturevalue" in code.co_names
        return known


def _definition_below(definition: Any, name: str, names: dict[str, Any]) -> Any:
    """Return what a fixture gets for an argument: for its own name, the one that it overrides."""
    found = names.get(name) or ()
    if name != definition.argname:
        return found[-1] if found else None
    position = next((i for i, d in enumerate(found) if d is definition), 0)
    return found[position - 1] if position else None


def _param(item: pytest.Item, definition: Any, names: dict[str, Any]) -> Hashable:
    """Return what tells the parameter of a fixture from its others, or None if it has none."""
    spec = getattr(item, "callspec", None)
    if spec is None or definition.argname not in spec.params:
        return None
    if names[definition.argname][-1] is not definition:
        return None
    value = spec.params[definition.argname]
    if isinstance(value, _PLAIN):
        return (type(value).__name__, value)
    return ("index", spec.indices[definition.argname])
