"""Who decides something: a pseudonym, or the CI."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from testopt.errors import DataError, SettingsError
from testopt.git.ci_job import ci_job
from testopt.git.process import run_git
from testopt.git.pseudonyms import author_key, pseudonym

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def who_decides(repo: Path | None, env: Mapping[str, str] | None = None) -> str:
    """Return the pseudonym of the user; ``ci`` in a CI job, ``unknown`` where nothing tells.

    Parameters
    ----------
    repo : Path, optional
        Repository whose settings name the user.
    env : mapping, optional
        Environment; default ``os.environ``.
    """
    environ = os.environ if env is None else env
    if ci_job(environ) is not None or environ.get("CI", "").lower() in {"1", "true", "yes"}:
        return "ci"
    with suppress(DataError, SettingsError):
        key = author_key(create=False, env=environ)
        address = environ.get("GIT_AUTHOR_EMAIL", "").encode("utf-8", "surrogateescape")
        if not address and repo is not None:
            address = run_git(repo, "config", "--get", "user.email")
        if key is not None and address.strip():
            return pseudonym(address, key)
    return "unknown"
