"""What the command line needs of its surroundings: the system, packages, libraries of theirs."""

from __future__ import annotations

import sys
from typing import Final

from testopt.errors import UsageError

_PACKAGES: Final = {"sklearn": "scikit-learn"}  # where the index calls it otherwise than Python
_OPENMP: Final = ("libgomp", "libomp")  # LightGBM's wheels do not bring it


def check_platform() -> None:
    """Raise a UsageError where testopt cannot work: it needs locks, forks and signals of POSIX."""
    if sys.platform == "win32":
        raise UsageError("testopt does not run on Windows", "run it in WSL, on Linux or on macOS")


def lacking_package(error: ImportError | OSError) -> UsageError | None:
    """Return an error that says what to install; None where the error means something else."""
    text = str(error)
    if any(name in text for name in _OPENMP):
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
        f"this command needs {package}, which is not installed",
        f"install it: pip install {package}",
    )
