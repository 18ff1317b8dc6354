"""A pytest plugin that records where the packages under test were imported from.

It is copied beside the worktrees as ``testopt_probe.py`` and runs in the user's interpreter, so it
imports the standard library only. As a program it answers the same for a fresh interpreter.
"""

import json
import os
import sys
from importlib.util import find_spec

OUTPUT = "BACKFILL_PROBE_OUTPUT"
NAMES = "BACKFILL_PROBE_NAMES"


def origin_of(name: str) -> str:
    """Return the file or folder of a top-level module; empty where there is none."""
    module = sys.modules.get(name)
    try:
        spec = find_spec(name) if module is None else getattr(module, "__spec__", None)
    except (ImportError, ValueError):
        spec = None
    file = getattr(module, "__file__", None) or (spec.origin if spec else None)
    if file:
        return os.path.realpath(file)
    places = list(getattr(module, "__path__", None) or ())
    if not places and spec is not None:
        places = list(spec.submodule_search_locations or ())
    return os.path.realpath(places[0]) if places else ""


def write_origins() -> None:
    """Append one JSON line, name -> origin, to the file that the environment names."""
    target = os.environ.get(OUTPUT)
    if target:
        names = filter(None, os.environ.get(NAMES, "").split(","))
        line = json.dumps({name: origin_of(name) for name in names}) + "\n"
        with open(target, "a", encoding="utf-8") as stream:  # noqa: PTH123 - one write, appended
            stream.write(line)


def pytest_unconfigure() -> None:
    """Answer when the session ends: everything that the cases import has been imported."""
    write_origins()


if __name__ == "__main__":
    write_origins()
