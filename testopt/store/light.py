"""Keeping processes small: pyarrow imports pandas, which takes a second, and hoards memory."""

from __future__ import annotations

import os
import sys
import warnings
from types import ModuleType


def leave_pandas_out() -> None:
    """Make pyarrow believe that pandas is not installed, unless it is loaded already.

    For processes of our own only (the command line, the engine): pyarrow remembers the answer,
    and its ``to_pandas`` would fail afterwards. pandas itself can still be imported.
    """
    if "pandas" in sys.modules:
        return
    # Arrow's own allocator keeps what it has had; the system's gives back, and costs no time here.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    import pyarrow as pa

    stand_in = ModuleType("pandas")
    stand_in.__version__ = "0"  # type: ignore[attr-defined]  # too old for pyarrow
    sys.modules["pandas"] = stand_in
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pa.array([None], pa.null())
    finally:
        del sys.modules["pandas"]
