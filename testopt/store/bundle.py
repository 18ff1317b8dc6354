"""Packs a model into a bundle: files of plain data, each with its size and SHA-256.

``manifest.json`` is checked first, every other file against it before it is parsed. Nothing in
a bundle is code: JSON, text, Markdown, and npz without pickle.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from testopt.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


FORMAT_VERSION: Final = 1  # 1: first format (0.1.0)
MANIFEST: Final = "manifest.json"
MAX_FILE_BYTES: Final = 1 << 30
MAX_MANIFEST_BYTES: Final = 4 << 20


def bundle_id(manifest: Mapping[str, Any]) -> str:
    """Return the identity that follows from a manifest."""
    return hashlib.sha256(_json(manifest)).hexdigest()[:12]


def pack(manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return all files of a bundle; the manifest comes last, so that writing it commits.

    Parameters
    ----------
    manifest : mapping
        Everything but the format version and the files.
    files : mapping of str to bytes
        Contents by name.
    """
    listed = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in sorted(files.items())
    }
    full = {"format": FORMAT_VERSION, **manifest, "files": listed}
    return {**files, MANIFEST: _json(full)}


def read_checked(
    read: Callable[[str], bytes | None], names: Iterable[str]
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the manifest of a bundle and some of its files, whole and unaltered.

    Parameters
    ----------
    read : callable
        Returns the content of a file of the bundle, or None.
    names : iterable of str
        The files.

    Raises
    ------
    BundleError
        When one is missing, altered, too large, or the bundle has another format.
    """
    manifest = read_manifest(read(MANIFEST))
    return manifest, {name: checked_file(manifest, name, read) for name in names}


def read_manifest(data: bytes | None) -> dict[str, Any]:
    """Return a manifest, checked.

    Raises
    ------
    BundleError
        When it is missing, damaged or of another format.
    """
    hint = "train a new one: testopt train"
    if data is None:
        raise BundleError("the bundle has no manifest.json", hint)
    try:
        manifest = json.loads(data[: MAX_MANIFEST_BYTES + 1])
        version, files = manifest["format"], manifest["files"]
        sound = isinstance(files, dict) and all(
            isinstance(f, dict) and "sha256" in f and "bytes" in f for f in files.values()
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BundleError(f"manifest.json is damaged: {error}", hint) from None
    if not sound:
        raise BundleError("manifest.json does not list its files", hint)
    if version != FORMAT_VERSION:
        raise BundleError(
            f"the bundle has format {version!r}, this testopt reads {FORMAT_VERSION}",
            "use the testopt that wrote it, or train a new one: testopt train",
        )
    return dict(manifest)


def checked_file(
    manifest: Mapping[str, Any], name: str, read: Callable[[str], bytes | None]
) -> bytes:
    """Return a file of a bundle, whole and unaltered.

    Raises
    ------
    BundleError
        When it is missing, too large, or not what the manifest says.
    """
    hint = "restore the bundle, or train a new one: testopt train"
    entry = manifest["files"].get(name)
    data = read(name) if entry else None
    if data is None:
        raise BundleError(f"the bundle lacks {name}", hint)
    altered = len(data) != entry["bytes"] or hashlib.sha256(data).hexdigest() != entry["sha256"]
    if altered or len(data) > MAX_FILE_BYTES:
        raise BundleError(f"{name} of the bundle is damaged: its checksum differs", hint)
    return data


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=True).encode() + b"\n"
