"""What differs between two bundles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from testopt.registry import Model

_PARTS: Final = ("data", "code", "parameters", "settings", "metrics")


@dataclass(frozen=True, slots=True)
class Difference:
    """A fact in which two bundles differ; None where one of them lacks it."""

    name: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two bundles, and in what they differ.

    ``same_runs`` says whether their figures are of the same runs: only then they can be compared.
    """

    old: str
    new: str
    differences: tuple[Difference, ...]
    same_runs: bool


def compare(old: Model, new: Model) -> Comparison:
    """Return in what two bundles differ: data, code, parameters, settings, figures."""
    before, after = old.as_dict(), new.as_dict()
    found = []
    for part in _PARTS:
        left, right = dict(_flat(part, before[part])), dict(_flat(part, after[part]))
        names = [*left, *(name for name in right if name not in left)]
        found += [
            Difference(name, left.get(name), right.get(name))
            for name in names
            if left.get(name) != right.get(name)
        ]
    same = before["data"]["digest"] == after["data"]["digest"] is not None
    return Comparison(old.bundle, new.bundle, tuple(found), same)


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        parts: Mapping[str, Any] = value
        for key, part in parts.items():
            yield from _flat(f"{name}.{key}", part)
    else:
        yield name, value
