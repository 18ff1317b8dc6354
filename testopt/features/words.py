"""Words of a change and of a case: identifiers, their parts, and how alike two texts are."""

from __future__ import annotations

import re

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]+")


def identifiers(text: str) -> list[str]:
    """Return the identifiers of a text, in order and with repeats.

    Parameters
    ----------
    text : str
        Source code or prose.

    Returns
    -------
    list of str
        Words of two or more characters that could be names.
    """
    return _IDENTIFIER.findall(text)
