"""Saves and loads numpy arrays as bytes, without pickle."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

MAX_BYTES: Final = 1 << 30  # of the arrays of one file
# What zipfile and numpy raise for bytes that are no archive of arrays.
_UNREADABLE: Final = (
    ValueError, OSError, EOFError, KeyError, MemoryError, RuntimeError, struct.error, zlib.error,
    zipfile.BadZipFile,
)  # fmt: skip


def dump_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return arrays as npz bytes that depend on nothing but the arrays."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:  # `np.savez` of numpy 2.0 cannot refuse pickle
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
    return buffer.getvalue()


def load_arrays(data: bytes) -> dict[str, NDArray[Any]]:
    """Read npz bytes without pickle, at most ``MAX_BYTES`` of arrays.

    Raises
    ------
    BundleError
        When the bytes are no such file.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(member.file_size for member in archive.infolist()) > MAX_BYTES:
                raise BundleError("an array file is larger than allowed")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except _UNREADABLE as error:
        raise BundleError(f"an array file is damaged: {error}") from None
