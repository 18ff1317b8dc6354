"""Keeps processes small and quick: garbage collection, and imports that pyarrow can do without."""

from __future__ import annotations

import gc
import os
import sys
import warnings
from types import ModuleType
from typing import Final

_NEW_OBJECTS: Final = 50_000  # a plan of 10,000 cases makes many, none of them in cycles


def tune_garbage_collector() -> None:
    """Let the garbage collector look for cycles less often: a sixteenth of a plan's time."""
    gc.set_threshold(_NEW_OBJECTS, 20, 20)


def skip_pandas() -> None:
    """Make pyarrow believe that pandas is not installed, unless it is loaded already.

    For processes of our own only (the command line, the engine): pyarrow remembers the answer,
    and its ``to_pandas`` would fail afterwards. pandas itself can still be imported. Where it is
    installed, to read the runs of a store takes .26 s of CPU and 108 MiB so, else .61 s and
    154 MiB.
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
