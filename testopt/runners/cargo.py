"""``cargo test``: names behind ``--``, those that are left out where not everything runs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from testopt.runners.nextest import Nextest, names_of
from testopt.runners.protocol import MAX_TOTAL, Arguments, steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testopt.runners.protocol import Request

_POINTER: Final = 9  # bytes that an argument takes beside its text
_NAME: Final = re.compile(r"[^\W\d]\w*(?:::[^\W\d]\w*)+")
_EXAMPLE: Final = re.compile(r"([\w./-]+\.(?:rs|md))::(.+ \(line \d+\))")


class Cargo(Nextest):
    """The test programs of Rust.

    Ids are those of cargo-nextest, or of the JUnit XML that the programs write themselves
    (``--format junit``): there the crate is not told, and ``integration`` stands for the module of
    tests that have none. A name runs in each program that has it.
    """

    name = "cargo"
    collect = ""
    long_lists = "use --format nextest, or divide them with --shard"

    def fits(self, case: str) -> bool:
        """Return whether an id begins with a crate or a module, or is an example of a document."""
        return super().fits(case) or _EXAMPLE.fullmatch(case) is not None

    def arguments(self, request: Request) -> Arguments:
        """Return ``--exact`` with names, or with ``--skip`` and names."""
        if request.everything:
            return Arguments()
        if request.empty:
            return Arguments(["--no-run"])
        runs = list(steps(self, request))
        if any(whole for _, whole in runs):
            parts = (f"{module}::" for name, _ in runs for module in _names(name))
            names = (name for case, whole in runs if not whole for name in _names(case))
            return Arguments(["--", *dict.fromkeys([*parts, *names])])
        kept = {name for case in request.cases for name in _names(case)}
        left = (name for case in request.known for name in _names(case))
        skipped = [f"--skip={name}" for name in dict.fromkeys(left) if name not in kept]
        if request.exact or sum(len(name.encode()) + _POINTER for name in skipped) > MAX_TOTAL:
            return Arguments(["--", "--exact", *sorted(kept)])
        return Arguments(["--", "--exact", *skipped] if skipped else [], leaves_out=True)


def _names(case: str) -> Iterator[str]:
    """Yield the names that a test may have in its program."""
    example = _EXAMPLE.fullmatch(case)
    if example is not None:
        yield f"{example[1]} - {example[2]}"
        return
    if _NAME.fullmatch(case):
        yield case
    yield from names_of(case)
