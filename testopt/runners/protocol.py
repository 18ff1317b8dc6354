"""What every test runner is asked: which ids are its own, and how to ask it for some of them.

A new runner is a module with a subclass of `Runner`, and an entry in
`testopt.runners.registry.RUNNERS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from testopt.runners.place import Place

MAX_ARGUMENT: Final = 128 << 10  # bytes of one argument that Linux takes, with the NUL behind it
# What Linux takes as arguments and environment together (a quarter of the usual stack of 8 MiB),
# less 256 KiB for an environment and for what else stands on the command line.
MAX_TOTAL: Final = (2 << 20) - (256 << 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a runner is asked to run.

    Attributes
    ----------
    cases : sequence of str
        Ids of the cases that run, in their order; all of them fit the runner.
    known : sequence of str
        Those of all cases of the plan, also of the ones that are left out.
    whole : sequence of str
        Files (classes, packages) that run whole, as `Runner.group` names them, because they are
        changed or new; a group of which no case is known stands here, too.
    everything : bool
        Every test runs, also those that nobody knows: the arguments filter nothing.
    exact : bool
        The user named the cases: nothing else should run, where the runner can tell it apart.
    root : Path or None
        Top folder of the repository, where there is one.
    folder : str
        Where the runner is started, relative to the top; empty: the top itself.
    """

    cases: Sequence[str]
    known: Sequence[str] = ()
    whole: Sequence[str] = ()
    everything: bool = False
    exact: bool = False
    root: Path | None = None
    folder: str = ""

    @property
    def empty(self) -> bool:
        """Whether nothing runs."""
        return not (self.everything or self.cases or self.whole)


@dataclass(frozen=True, slots=True)
class Arguments:
    """What is printed for a runner.

    Attributes
    ----------
    lines : sequence of str
        One argument a line, or one command a line (`Runner.line_is_command`).
    notes : sequence of str
        What the user should know of them: clauses without a full stop.
    leaves_out : bool
        Whether the lines name what is left out: tests that nobody knows run then.
    """

    lines: Sequence[str] = ()
    notes: Sequence[str] = ()
    leaves_out: bool = False


class Runner(ABC):
    """A test runner.

    Attributes
    ----------
    collect : str
        The command whose output ``--cases -`` takes for a list of cases; empty: there is none.
    name : str
        As ``--format`` takes it.
    obeys_order : bool
        Whether it runs what it is asked for in the order of the arguments.
    line_is_command : bool
        Whether each line holds all arguments of a call, quoted for a shell; else one argument.
    group_kind : str
        What a group is: a word whose plural ends in s.
    long_lists : str
        How to hand over more than a command line takes; empty: there is no way.
    """

    name: ClassVar[str]
    collect: ClassVar[str] = ""
    obeys_order: ClassVar[bool] = False
    line_is_command: ClassVar[bool] = False
    group_kind: ClassVar[str] = "file"
    long_lists: ClassVar[str] = ""

    @abstractmethod
    def fits(self, case: str) -> bool:
        """Return whether an id could be one of this runner's."""

    @abstractmethod
    def is_test_file(self, path: str) -> bool:
        """Return whether the runner, by its defaults, looks for tests in a file."""

    def holds_cases(self, path: str, place: Place) -> bool:
        """Return whether the runner, started at a place, looks for cases in a file."""
        below = not place.folder or path.startswith(f"{place.folder}/")
        return below and self.is_test_file(path)

    def cases_in(self, path: str, text: str, place: Place) -> list[str]:  # noqa: ARG002 - by default
        """Return the cases that a file holds, as the runner's reports name them.

        What is computed at run time (parameters, generated tests) is not seen.

        Parameters
        ----------
        path : str
            Relative to the top of the project.
        text : str
        place : Place
            Where the runner starts.
        """
        return []

    @abstractmethod
    def unit(self, case: str) -> str:
        """Return the smallest thing that an argument can ask for and that holds a case."""

    @abstractmethod
    def group(self, case: str) -> str:
        """Return the file, class or package of a case, which can run whole; empty: not known."""

    @abstractmethod
    def group_of_file(self, path: str, root: Path | None) -> str:
        """Return the group that a test file is, or stands in.

        Parameters
        ----------
        path : str
            Relative to the top of the repository.
        root : Path or None
            The top, where there is one.
        """

    def undivided(self, case: str) -> str:
        """Return what holds a case and is one machine's alone, where several share the cases.

        Two cases of which an argument for the one may run the other have the same; so have all of
        a group that may run whole, because of tests in it that nobody knows.
        """
        return self.group(case) or self.unit(case)

    @abstractmethod
    def arguments(self, request: Request) -> Arguments:
        """Return the arguments that run at least what is asked for.

        Those for everything filter nothing; those for nothing (`Request.empty`) run no test, and
        the runner ends well.
        """


def steps(runner: Runner, request: Request) -> Iterator[tuple[str, bool]]:
    """Yield what runs, each once: a case, or the name of a group and True.

    A group stands in the place of its first case; those without a case come first.
    """
    whole = frozenset(request.whole)
    groups = [runner.group(case) if whole else "" for case in request.cases]
    held = frozenset(groups)
    yield from ((name, True) for name in dict.fromkeys(request.whole) if name not in held)
    names = (
        (group, True) if group in whole else (case, False)
        for case, group in zip(request.cases, groups, strict=True)
    )
    yield from dict.fromkeys(names)


def left_out(runner: Runner, request: Request) -> list[str]:
    """Return the units of known cases that do not run, without those that must run for others."""
    running, whole = frozenset(request.cases), frozenset(request.whole)
    kept = set(map(runner.unit, request.cases))
    out = [case for case in request.known if case not in running]
    out = [case for case in out if not whole or runner.group(case) not in whole]
    return [unit for unit in dict.fromkeys(map(runner.unit, out)) if unit not in kept]


def entire_groups(runner: Runner, request: Request) -> set[str]:
    """Return the groups of which no known case is left out; none where the user named the cases."""
    if request.exact:
        return set()
    running = frozenset(request.cases)
    left = {runner.group(case) for case in request.known if case not in running}
    return set(map(runner.group, request.cases)) - left - {""}
