"""Saves and loads numpy arrays as bytes, without pickle."""

from __future__ import annotations

import io
import math
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

MAX_ARRAYS: Final = 256  # in one file
_NUMBERS: Final = "biuf"  # kinds of numpy's types that are plain numbers
# What zipfile and numpy raise for bytes that are no archive of arrays.
_UNREADABLE: Final = (
    ValueError, OSError, EOFError, KeyError, IndexError, TypeError, OverflowError, MemoryError,
    RuntimeError, struct.error, zlib.error, zipfile.BadZipFile,
)  # fmt: skip


def dump_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return arrays as npz bytes that depend on nothing but the arrays."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:  # `np.savez` of numpy 2.0 cannot refuse pickle
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
    return buffer.getvalue()


def load_arrays(data: bytes, name: str = "an array file") -> dict[str, NDArray[Any]]:
    """Read what `dump_arrays` returned: arrays of plain numbers, none larger than its file.

    Parameters
    ----------
    data : bytes
    name : str
        What an error calls them.

    Raises
    ------
    BundleError
        When the bytes are no such file.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            # what is compressed, or has two members in one place, could unpack to any size
            stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
            size = sum(member.file_size for member in members)
            if not stored or size > len(data) or len(members) > MAX_ARRAYS:
                raise ValueError("it holds more than it may")
            return {m.filename.removesuffix(".npy"): _array(archive.read(m)) for m in members}
    except _UNREADABLE as error:
        raise BundleError(f"{name} is damaged: {error}") from None


def _array(data: bytes) -> NDArray[Any]:
    stream = io.BytesIO(data)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("an array is of another version")
    shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    values = memoryview(data)[stream.tell() :]
    sound = dtype.kind in _NUMBERS and len(values) == math.prod(shape) * dtype.itemsize
    if not sound or len(shape) > 2:  # noqa: PLR2004 - a matrix at most
        raise ValueError("an array does not hold numbers, or has a wrong size")
    array = np.frombuffer(values, dtype)
    ordered = array.reshape(shape[::-1]).T if is_fortran else array.reshape(shape)
    return ordered.copy("K")  # may be written to
