"""The bundles that a store holds, and which of them is the current one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from testopt.errors import BundleError, StoreError
from testopt.features.run_features import NAMES, feature_hash
from testopt.selection.bundle import Bundle, check_window, unpack
from testopt.store.bundle import MANIFEST, bundle_id, read_manifest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testopt.store import Store

_CURRENT: Final = "models/current.json"
_DEPTH: Final = 2  # models/ID/FILE


def register(store: Store, files: Mapping[str, bytes], *, promote: bool = True) -> str:
    """Write a bundle into the store, make it the current one where asked, and return its id."""
    name = bundle_id(json.loads(files[MANIFEST]))
    for file in [*(f for f in files if f != MANIFEST), MANIFEST]:
        store.write_blob(f"models/{name}/{file}", files[file])
    if promote:
        store.write_blob(_CURRENT, json.dumps({"bundle": name}).encode())
    return name


def bundle_names(store: Store) -> list[str]:
    """Return the ids of all bundles, also of those that are not whole."""
    names = (name.split("/") for name in store.blobs("models"))
    return sorted({parts[1] for parts in names if len(parts) > _DEPTH})


def remove_bundle(store: Store, name: str) -> None:
    """Remove a bundle; where it is the current one, there is none afterwards."""
    try:
        current = json.loads(store.read_blob(_CURRENT) or b"null")
        is_current = current is not None and current["bundle"] == name
    except (ValueError, KeyError, TypeError, RecursionError):
        is_current = False  # it says nothing
    if is_current:
        store.delete_blob(_CURRENT)
    files = store.blobs(f"models/{name}")
    for file in sorted(files, key=lambda file: not file.endswith(MANIFEST)):
        store.delete_blob(file)


def current_window(store: Store) -> tuple[str, int]:
    """Return the id of the current bundle and how many runs it knows; an empty one where none is.

    A damaged one knows nothing.
    """
    try:
        bundle = current_bundle(store)
    except BundleError:
        return "", 0
    return ("", 0) if bundle is None else (bundle.bundle_id, int(bundle.manifest["window"]["runs"]))


def _current(store: Store) -> str | None:
    """Return the id of the current bundle, or None when none is registered."""
    try:
        data = store.read_blob(_CURRENT)
        return None if data is None else str(json.loads(data)["bundle"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BundleError(f"{_CURRENT} is damaged", "run: testopt train") from None
    except StoreError as error:
        raise BundleError(error.message, error.hint) from error


def current_manifest(store: Store) -> dict[str, Any] | None:
    """Return the manifest of the current bundle, or None when none is registered.

    Raises
    ------
    BundleError
        When it is damaged; its other files are not looked at.
    """
    name = _current(store)
    if name is None:
        return None
    manifest = read_manifest(store.read_blob(f"models/{name}/{MANIFEST}"))
    check_window(manifest)
    return manifest


def current_bundle(store: Store) -> Bundle | None:
    """Return the current bundle, or None when none is registered.

    Raises
    ------
    BundleError
        When it is damaged.
    """
    name = _current(store)
    if name is None:
        return None
    try:
        bundle = unpack(
            lambda file: store.read_blob(f"models/{name}/{file}"), features=feature_hash()
        )
    except BundleError as error:
        raise type(error)(
            f"bundle {name}: {error.message}", error.hint or "run: testopt train"
        ) from error
    except StoreError as error:
        raise BundleError(error.message, error.hint) from error
    if bundle.forest.n_features != len(NAMES):
        raise BundleError("the bundle's forest takes other features", "run: testopt train")
    if bundle.bundle_id != name:
        raise BundleError("manifest.json of the bundle was altered", "run: testopt train")
    return bundle
