"""Keeping start-up short: pyarrow imports pandas, which takes a second, at its first conversion."""

from __future__ import annotations

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
