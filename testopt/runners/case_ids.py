"""Which function, class and file a case id names."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

# What follows the name of a function, behind its owner, and tells its executions apart; a program
# or an example of Rust, as nextest names it, looks alike.
_VARIANT: Final = re.compile(
    r"(?<=[^:]) with data set [#\"].*"
    r"|(?<=::)(?!(?:bin|bench|example|test)/[\w-]+::)(?:\w+)(?P<sub>/.*)",
    re.DOTALL,
)


@lru_cache(1 << 19)  # holds the largest suites: one smaller than a suite never hits
def split_case(case_id: str) -> tuple[str, str, str]:
    """Return the function, class and file that a case belongs to.

    Parameters
    ----------
    case_id : str
        A pytest node id (``tests/a.py::B::test_c[1]``), a JUnit id (``pkg.a.B::test_c``),
        or any opaque id.

    Returns
    -------
    tuple of str
        The id without parameters, without its last part, and the first part. Subtests of Go
        (``pkg::TestX/sub``), numbered ones of GoogleTest (``Suite::Name/0``) and data sets of
        PHPUnit are parameters too. An opaque id is its own function, class and file, so that
        strangers share nothing.
    """
    head, bracket, _ = case_id.partition("[")
    function = head if bracket and head else case_id
    file, colons, inside = function.partition("::")
    # looked for where they can be: most ids have none, and a suite has very many ids
    found = _VARIANT.search(function) if "/" in inside or " with data set " in function else None
    if found is not None:
        function = function[: max(found.start(), found.start("sub"))]
    owner = function.rpartition("::")[0]
    if not colons and function.endswith(".py"):
        return function, function, function  # a collection error: the file of its cases
    if not colons:
        slash = function.rpartition("/")[0]
        return function, function, slash or function
    return function, owner, file
