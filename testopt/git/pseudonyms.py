"""Replaces authors by pseudonyms: a keyed hash whose key never lies beside the data.

The key is ``TESTOPT_KEY`` where it is set (teams and CI share one that way), else the file
``key`` in the user's configuration folder, made on first need and readable by the user alone.
"""

from __future__ import annotations

import hmac
import os
import secrets
from typing import TYPE_CHECKING

from testopt.errors import DataError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MIN_KEY_CHARS = 16
_HEX_DIGITS = 24  # 96 bits: no collisions among any number of people


def pseudonym(author: bytes, key: bytes) -> str:
    """Return the pseudonym of an author.

    Parameters
    ----------
    author : bytes
        E-mail address as git has it (the name where there is none); case does not matter.
    key : bytes
        From `author_key`.

    Returns
    -------
    str
        24 hex digits of HMAC-SHA-256.
    """
    return hmac.digest(key, author.strip().lower(), "sha256").hex()[:_HEX_DIGITS]


def key_fingerprint(key: bytes) -> bytes:
    """Return what tells one key from another, and nothing of the key."""
    return hmac.digest(key, b"testopt author key", "sha256").hex()[:16].encode()


def author_key(*, create: bool, env: Mapping[str, str] | None = None) -> bytes | None:
    """Return the key of author pseudonyms.

    Parameters
    ----------
    create : bool
        Make a key where there is none.
    env : mapping, optional
        Environment; default ``os.environ``.

    Returns
    -------
    bytes or None
        None when there is no key and none was to be made.

    Raises
    ------
    SettingsError
        When ``TESTOPT_KEY`` is too short to protect anybody.
    DataError
        When the key file cannot be read or made.
    """
    environ = os.environ if env is None else env
    key_text = environ.get("TESTOPT_KEY", "")
    if key_text:
        if len(key_text) < MIN_KEY_CHARS:
            raise SettingsError(
                f"TESTOPT_KEY has fewer than {MIN_KEY_CHARS} characters",
                "make one with: python -c 'import secrets; print(secrets.token_hex())'",
            )
        return key_text.encode("utf-8", "surrogateescape")
    path = _key_file()
    try:
        return _read(path) or (_create(path) if create else None)
    except OSError as error:
        raise DataError(
            f"the key for author pseudonyms cannot be written: {error}",
            "set TESTOPT_KEY, or make the folder writable",
        ) from error


def _key_file() -> Path:
    from platformdirs import user_config_path

    return user_config_path("testopt", appauthor=False) / "key"


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes().strip() or None
    except FileNotFoundError:
        return None


def _create(path: Path) -> bytes:
    """Write a new key so that a reader sees all of it or nothing, and the first writer wins."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = secrets.token_hex(32).encode()
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(key + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return _publish(draft, path) or key
    finally:
        draft.unlink(missing_ok=True)


def _publish(draft: Path, path: Path) -> bytes | None:
    """Move the draft into place; return the key of somebody who was faster."""
    try:
        os.link(draft, path)
    except FileExistsError:
        present = _read(path)
        if present is not None:
            return present
        draft.replace(path)  # an empty file, left by a full disk
    except OSError:  # a file system without hard links
        draft.replace(path)
    return None
