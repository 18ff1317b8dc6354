"""What the remote calls a repository: its name in a store that several share."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from testopt.errors import RepositoryError
from testopt.git.process import run_git

if TYPE_CHECKING:
    from pathlib import Path

_URL: Final = re.compile(r"(?P<scheme>[\w+.-]+)://[^/]*/(?P<path>[^?#]*)")
_SCP: Final = re.compile(r"[^/:]+:(?P<path>.*)", re.DOTALL)  # git@host:owner/name.git
_OTHER: Final = re.compile(r"[^a-z0-9._-]+")


def project_name(repo: Path | None) -> str:
    """Return owner and name of a repository by the URL of its remote ``origin``: ``owner.name``.

    Returns
    -------
    str
        In lower case, as hosts do not tell cases apart. A dot of a name is doubled, so that
        ``group/sub.app`` and ``group/sub/app`` are two. Empty where there is no such remote, or
        it is a folder: many have the same name.
    """
    if repo is None:
        return ""
    try:
        out = run_git(repo, "config", "--get", "remote.origin.url")
    except RepositoryError:  # git's answer where it is not set
        return ""
    return _name(os.fsdecode(out).strip())


def _name(url: str) -> str:
    """Return the name in a URL: without host, user and password; of a folder none."""
    found = _URL.match(url) or _SCP.match(url)
    if found is None or url.lower().startswith("file:"):
        return ""
    path = found["path"].lower().rstrip("/").removesuffix(".git")
    parts = [_OTHER.sub("-", part) for part in path.split("/")]
    named = [part for part in (part.strip(".-") for part in parts) if part]
    return ".".join(part.replace(".", "..") for part in named)
