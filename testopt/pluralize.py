"""Formats numbers with their nouns."""

from __future__ import annotations


def pluralize(number: int, noun: str) -> str:
    """Return such as "1 run" or "1,200 runs".

    Parameters
    ----------
    number : int
    noun : str
        For one; any other number adds an s.
    """
    return f"{number:,} {noun if number == 1 else noun + 's'}"
