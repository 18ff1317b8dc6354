"""What the command line needs of its surroundings: the system, packages, libraries of theirs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from testopt.errors import UsageError

_PACKAGES: Final = {"sklearn": "scikit-learn"}  # where the index calls it otherwise than Python
_OPENMP: Final = ("libgomp", "libomp")  # LightGBM's wheels do not bring it


def open_standard_streams() -> None:
    """Open what the caller has closed of input, output and errors, to nowhere.

    Else the next file that is opened, such as one of the store, would take its place, and what
    some library prints would go into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: PTH123, SIM115


def check_platform() -> None:
    """Raise a UsageError where testopt cannot work: without POSIX, or in a folder that is gone."""
    if sys.platform == "win32":
        raise UsageError("testopt does not run on Windows", "run it in WSL, on Linux or on macOS")
    try:
        Path.cwd()
    except OSError as error:
        raise UsageError(
            f"the working folder cannot be used: {error.strerror}", "change to another folder"
        ) from None


def lacking_package(error: ImportError | OSError) -> UsageError | None:
    """Return an error that says what to install; None where the error means something else."""
    text = str(error)
    found_no_file = isinstance(error, OSError) and error.errno is not None  # of that path, say
    if not found_no_file and any(name in text for name in _OPENMP):
        return UsageError(
            f"LightGBM does not load: {text}",
            "install OpenMP: apt-get install libgomp1, or on macOS: brew install libomp",
        )
    module = (error.name or "") if isinstance(error, ModuleNotFoundError) else ""
    root = module.partition(".")[0]
    if root in {"", "testopt"}:
        return None
    package = _PACKAGES.get(root, root)
    return UsageError(
        f"this command needs the package {package}, which is not installed",
        f"install it: pip install {package}",
    )
