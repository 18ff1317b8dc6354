"""Plain files beside the tables of a store: caches, bundles, lists."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from testopt.store.format import lock
from testopt.store.location import blob_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testopt.store.location import Location


class PlainFiles:
    """Plain files by name, such as ``state/recent.json``."""

    def __init__(self, location: Location) -> None:
        self._location = location

    def read_blob(self, name: str) -> bytes | None:
        """Return a plain file of the store, or None when there is none."""
        return self._location.read(blob_name(name))

    def write_blob(self, name: str, data: bytes) -> None:
        """Write a plain file: readers see the old or the new content, never a part.

        Raises
        ------
        StoreError
            When it cannot be written; the old content then remains.
        """
        self._location.write(blob_name(name), lambda stream: stream.write(data))

    def blobs(self, folder: str) -> list[str]:
        """Return the names of the plain files in a folder, and in those in it."""
        return self._location.list(f"{blob_name(folder)}/")

    def delete_blob(self, name: str) -> None:
        """Remove a plain file; one that is not there is fine."""
        self._location.delete(blob_name(name))

    @contextmanager
    def deciding(self) -> Iterator[None]:
        """Keep others on this machine from deciding which bundle is live."""
        with lock(self._location, "models"):
            yield

    @contextmanager
    def training(self) -> Iterator[bool]:
        """Be the only one on this machine that trains; false where another process does.

        The system releases that when the process dies. On an object store it is always true.
        """
        with lock(self._location, "training", wait=False) as free:
            yield free
