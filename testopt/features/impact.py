"""Which cases a change could affect, by what coverage and imports say: the evidence of `--safe`.

A case could be affected by a changed file that its test file imports, however indirectly, or that
something it imports reads. What cannot be known counts as affected: a dynamic import, a started
process, a file that nothing names. Coverage narrows that where it can: a case is clear when,
since the commit at which it was measured, only bodies of functions that it did not run have
changed. Code of modules and class bodies, which runs at import, is never narrowed; that is what
selection by covered lines alone misses.

Literature: a safe selection runs every case that may reveal a fault of the change (Rothermel and
Harrold 1997); the firewall of modules and the line coverage are those of Gligoric et al. (2015),
"Practical regression test selection with dynamic file dependencies".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from testopt.features.imports import ImportGraph

Place = tuple[str, str]  # path, and dotted name of a function
HOW: Final = ("module", "bodies", "nothing", "data", "everything")


@dataclass(frozen=True, slots=True)
class Touch:
    """What a change does to one file.

    Attributes
    ----------
    path : str
    how : str
        ``module``: code that runs at import, or the file comes or goes; ``bodies``: nothing but
        bodies of functions; ``nothing``: the program is the same, as after a change of comments;
        ``data``: no program; ``everything``: a file that all cases may depend on.
    functions : frozenset of str
        Dotted names of the functions whose bodies differ.
    """

    path: str
    how: Literal["module", "bodies", "nothing", "data", "everything"]
    functions: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Trace:
    """What a case ran when its coverage was measured: the commit, and functions in files."""

    commit: str
    ran: frozenset[Place]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of cases beside the change.

    Attributes
    ----------
    graph : ImportGraph
        Of the files on both sides of the change.
    home : mapping of str to (path, dotted name)
        Where each case is defined; an empty path: not found.
    traces : mapping of str to Trace
        Of the cases whose coverage is known, as far as files that changed since are concerned.
    shared : mapping of str to frozenset of (path, dotted name)
        By commit, the functions that ran outside the body of any one case, as fixtures do.
    since : mapping of str to tuple of Touch
        By commit, what the program files have gone through until the head.
    """

    graph: ImportGraph
    home: Mapping[str, Place]
    traces: Mapping[str, Trace] = field(default_factory=dict)
    shared: Mapping[str, frozenset[Place]] = field(default_factory=dict)
    since: Mapping[str, tuple[Touch, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Impact:
    """Which cases a change could affect.

    Attributes
    ----------
    affected : dict of str to str
        Case -> why it could be affected, in words.
    clear : dict of str to str
        Case -> why it cannot be.
    everything : str
        Why all cases are affected, whatever else is known; empty where they are not.
    """

    affected: dict[str, str]
    clear: dict[str, str] = field(default_factory=dict)
    everything: str = ""

    @classmethod
    def all_of(cls, cases: Iterable[str], why: str) -> Impact:
        """Return the impact of what is not understood: every case, for one reason."""
        return cls(dict.fromkeys(cases, why), everything=why)
