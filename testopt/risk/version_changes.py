"""Tells changes that only raise version numbers: the project's own, or those that it depends on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal

from testopt.code.paths import is_document, is_supplied

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

VersionKind = Literal["version_bump", "dependency_update"]

_NUMBER: Final = re.compile(r"(?<![\w.])v?\d[\w.+-]*")
_OWN: Final = re.compile(r"version|AC_INIT|soname|^\s*release\s*=", re.IGNORECASE)
_CONDITION: Final = re.compile(r"[<>]|[=!]=|\b(?:el)?if\b")
_OWN_KEY: Final = re.compile(r"\s*[\"']?(?:__)?version(?:__)?[\"']?\s*[:=]", re.IGNORECASE)
# what a project is built from, as its tools name the file
_MANIFEST: Final = re.compile(
    r"(?:^|/)(?:[^/]*requirements[^/]*\.(?:txt|in)|requirements/[^/]+\.txt|constraints[^/]*\.txt|"
    r"package\.json|pyproject\.toml|setup\.(?:py|cfg)|Pipfile|environment\.ya?ml|go\.mod|"
    r"Cargo\.toml|pom\.xml|[^/]+\.gradle(?:\.kts)?|gradle\.properties|libs\.versions\.toml|"
    r"gradle-wrapper\.properties|Gemfile|[^/]+\.gemspec|composer\.json|mix\.exs|pubspec\.yaml|"
    r"[^/]+\.csproj|Directory\.[^/]+\.props|\.pre-commit-config\.yaml|conanfile\.(?:txt|py)|"
    r"Dockerfile[^/]*|\.github/(?:workflows|actions)/.+\.ya?ml|\.gitlab-ci\.yml)$",
    re.IGNORECASE,
)
_LOCK: Final = re.compile(
    r"(?:^|/)(?:[^/]+\.lock|package-lock\.json|npm-shrinkwrap\.json|pnpm-lock\.yaml|go\.sum)$"
)
_LONGEST: Final = 400  # letters of a line
_HASH: Final = re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{7,64}\b")


def renumbered(path: str, hunks: Sequence[tuple[list[str], list[str]]]) -> VersionKind | None:
    """Tell whether nothing but version numbers has changed in a file, and whose.

    Parameters
    ----------
    path : str
    hunks : sequence of (list of str, list of str)
        Lines of each hunk before and after.

    Returns
    -------
    str or None
        ``dependency_update`` in a file that names what a project is built from, unless the line
        gives the version of the project, and in lock files, however they change;
        ``version_bump`` where lines speak of a version.
    """
    if _LOCK.search(path):
        return "dependency_update"
    is_manifest = _MANIFEST.search(path) is not None
    kinds: set[VersionKind] = set()
    for old, new in hunks:
        if len(old) != len(new):
            return None
        for before, after in zip(old, new, strict=True):
            if max(len(before), len(after)) > _LONGEST or _masked(before) != _masked(after):
                return None
            if is_manifest and not _OWN_KEY.match(after):
                kinds.add("dependency_update")
            elif _OWN.search(after) and not _CONDITION.search(after):
                kinds.add("version_bump")
            else:
                return None
    return min(kinds, default=None)  # one dependency makes it an update of dependencies


def version_kind(paths: Iterable[str], found: Mapping[str, VersionKind]) -> VersionKind | None:
    """Return what a change is whose files all raise versions, but for documents and lock files.

    Parameters
    ----------
    paths : iterable of str
        All changed files.
    found : mapping of str to str
        What `renumbered` tells of some of them.
    """
    kinds = {found[path] for path in paths if path in found}
    others = [p for p in paths if p not in found and not is_document(p) and not is_supplied(p)]
    return None if others else min(kinds, default=None)


def _masked(line: str) -> str:
    return _NUMBER.sub("0", _HASH.sub("0", line)).rstrip(",; \t")
