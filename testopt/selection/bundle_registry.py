"""The bundles that a store holds, and which of them is the current one."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from testopt.errors import BundleError, StoreError
from testopt.features.run_features import NAMES, feature_hash
from testopt.selection.bundle import Bundle, check_window, unpack
from testopt.selection.decisions import UNKNOWN, Decision
from testopt.selection.standing import changing, read_standing
from testopt.store.bundle import MANIFEST, bundle_id, read_manifest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testopt.selection.standing import Standing
    from testopt.store import Store

_DEPTH: Final = 2  # models/ID/FILE


def write_bundle(store: Store, files: Mapping[str, bytes]) -> str:
    """Write a bundle into the store, the manifest last, and return its id; nobody uses it yet."""
    name = bundle_id(json.loads(files[MANIFEST]))
    for file in [*(f for f in files if f != MANIFEST), MANIFEST]:
        store.write_blob(f"models/{name}/{file}", files[file])
    return name


def bundle_names(store: Store) -> list[str]:
    """Return the ids of all bundles, also of those that are not whole."""
    names = (name.split("/") for name in store.blobs("models"))
    return sorted({parts[1] for parts in names if len(parts) > _DEPTH})


def remove_bundle(store: Store, name: str, *, why: str, author: str = UNKNOWN) -> list[Decision]:
    """Remove a bundle, and return that as a decision, with any other that the caller is to log.

    Where it is the live one, there is none afterwards.
    """
    with changing(store, log=False) as step:
        new, before = step.now.without(name), step.now.bundle
        decision = Decision(kind="removed", why=why, author=author, bundle=name, before=before)
        if new != step.now:
            step.write(new, decision)
        delete_files(store, name)
    return [*(one for one in step.pending if one is not decision), decision]


def delete_files(store: Store, name: str) -> None:
    """Delete the files of a bundle, the manifest first, so that none half there looks whole."""
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


def current_manifest(store: Store) -> dict[str, Any] | None:
    """Return the manifest of the current bundle, or None when none is registered.

    Raises
    ------
    BundleError
        When it is damaged; its other files are not looked at.
    """
    name = read_standing(store).bundle
    return None if not name else manifest_of(store, name)


def manifest_of(store: Store, name: str) -> dict[str, Any]:
    """Return the manifest of a bundle.

    Raises
    ------
    BundleError
        When it is damaged or gone; its other files are not looked at.
    """
    try:
        manifest = read_manifest(store.read_blob(f"models/{name}/{MANIFEST}"))
    except StoreError as error:
        raise BundleError(error.message, error.hint) from error
    check_window(manifest)
    return manifest


def last_trained(store: Store, standing: Standing) -> tuple[datetime, int] | None:
    """Return the last run that the last training knew, and how many failing ones it knew.

    None where neither the live bundle nor one on trial can be read.
    """
    found: list[tuple[datetime, int]] = []
    for name in filter(None, (standing.bundle, standing.trial.bundle)):
        with suppress(BundleError):
            manifest = manifest_of(store, name)
            last = datetime.fromisoformat(manifest["window"]["last"])
            found.append((last, int(manifest.get("failing_runs", 0))))
    return max(found, default=None)


def current_bundle(store: Store) -> Bundle | None:
    """Return the current bundle, or None when none is registered.

    Raises
    ------
    BundleError
        When it is damaged.
    """
    name = read_standing(store).bundle
    return None if not name else load_bundle(store, name)


def load_bundle(store: Store, name: str) -> Bundle:
    """Return a bundle, checked and ready to predict.

    Raises
    ------
    BundleError
        When it is damaged, gone, or of other features.
    """
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
