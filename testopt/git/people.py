"""Finds the addresses under which a person stands in the history of a repository."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from testopt.git.process import run_git

if TYPE_CHECKING:
    from pathlib import Path

_FORMAT: Final = "--format=%aE%x00%ae%x00%aN%x00%an"


def identities(repo: Path, person: str) -> set[bytes]:
    """Return what commits of a person are named after: addresses, or names where there is none.

    Parameters
    ----------
    repo : Path
        Working tree or bare repository; all of its refs are read.
    person : str
        Name or e-mail address, as commits have it or as ``.mailmap`` does; the case of letters
        does not matter.

    Raises
    ------
    RepositoryError
        When git fails.
    """
    wanted = _folded(person.encode("utf-8", "surrogateescape"))
    out = run_git(repo, "log", "--all", "--encoding=UTF-8", _FORMAT, timeout=None)
    found: set[bytes] = set()
    for line in set(out.splitlines()):
        fields = line.split(b"\0")
        if wanted in map(_folded, fields):
            mapped, own, mapped_name, own_name = fields
            found |= {mapped or mapped_name, own or own_name}
    return {_folded(identity) for identity in found if identity}


def _folded(text: bytes) -> bytes:
    return text.strip().lower()
