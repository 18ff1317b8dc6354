"""Looks for damage to the list of what a store was told to forget, and for what is left of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from testopt.store.forgotten import COPIES, load_forgotten, parse, save_forgotten
from testopt.store.inspection import Problem
from testopt.store.location import DAMAGED

if TYPE_CHECKING:
    from collections.abc import Collection

    from testopt.store.location import Location


def list_problems(location: Location, *, repair: bool = False) -> list[Problem]:
    """Find damage to the list, and whether what it names is gone; mend the former.

    A list of which no copy is whole is put under ``damaged``.
    """
    contents = {name: location.read(name) for name in COPIES}
    there = {name: data for name, data in contents.items() if data is not None}
    whole = {name for name, data in there.items() if parse(data) is not None}
    problems = [
        Problem("list", "", _copy_message(name, there, whole), name)
        for name in COPIES
        if there and name not in whole
    ]
    if repair and problems:
        return _mended(location, problems, there, whole)
    if whole and load_forgotten(location).pending:
        message = "`testopt store forget` is at work or was interrupted: repeat it to finish"
        problems.append(Problem("forget", "", message))
    return problems


def _copy_message(name: str, there: Collection[str], whole: Collection[str]) -> str:
    what = "is damaged" if name in there else "is gone"
    rest = "its copy is whole" if whole else "so is its copy"
    return f"the list of what was forgotten {what}; {rest}"


def _mended(
    location: Location,
    problems: list[Problem],
    there: dict[str, bytes],
    whole: Collection[str],
) -> list[Problem]:
    if whole:
        save_forgotten(location, load_forgotten(location))
        return [replace(p, mended=True, done="taken from its copy") for p in problems]
    done = f"kept in {DAMAGED}; tell the store again what to forget: testopt store forget"
    for name, data in there.items():
        location.write(f"{DAMAGED}/{name}", _writer(data))
        location.delete(name)
    return [replace(p, mended=True, done=done) for p in problems]


def _writer(data: bytes) -> Any:
    return lambda stream: stream.write(data)
