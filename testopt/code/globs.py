"""Matches paths against globs as users write them.

A glob without a slash is compared with the name of a file, one with a slash with its whole path,
where ``*`` also stands for slashes. A glob that begins with ``!`` takes out what those before it
match.
"""

from __future__ import annotations

import re
from fnmatch import translate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def glob_matcher(globs: Iterable[str]) -> Callable[..., str]:
    """Return a function from a path to the last glob that matches it, empty where none does.

    Its second argument, if given, is a text that each whole glob is compared with as well.

    Parameters
    ----------
    globs : iterable of str
        As above.
    """
    compiled = []
    for glob in globs:
        bare = glob.removeprefix("!").removeprefix("./")
        compiled.append((glob, "/" in bare, re.compile(translate(bare)).match))

    def match(path: str, text: str = "") -> str:
        name = path.rpartition("/")[2]
        last = ""
        for glob, is_path, matches in compiled:
            if matches(path if is_path else name) or (text and matches(text)):
                last = "" if glob.startswith("!") else glob
        return last

    return match
