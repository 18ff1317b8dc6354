"""A pytest plugin that records where the packages under test came from, and what each case ran.

It is copied beside the worktrees as ``testopt_probe.py`` and runs in the user's interpreter, so it
imports the standard library only, and the package ``coverage`` where it is asked to measure. As a
program it says where the packages are found by a fresh interpreter.
"""

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

OUTPUT = "BACKFILL_PROBE_OUTPUT"
NAMES = "BACKFILL_PROBE_NAMES"
COVERAGE = "BACKFILL_PROBE_COVERAGE"  # folder for what is measured; unset: nothing is
TREE = "BACKFILL_PROBE_TREE"  # folder whose files are measured
WHY_NOT = "why-not"  # file that says why nothing was measured
_OMITTED = ["*/site-packages/*", "*/.venv/*", "*/.tox/*", "*/node_modules/*"]


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


class Meter:
    """Measures which lines each case runs, under the contexts that pytest-cov would use."""

    def __init__(self, folder: str, tree: str) -> None:
        import coverage

        self._coverage = coverage.Coverage(
            data_file=str(Path(folder, "coverage")), data_suffix=True, config_file=False,
            source=[tree], omit=_OMITTED,
        )  # fmt: skip
        self._coverage.start()

    def pytest_runtest_setup(self, item: Any) -> None:
        """Name the case whose fixtures are about to be made."""
        self._coverage.switch_context(item.nodeid + "|setup")

    def pytest_runtest_call(self, item: Any) -> None:
        """Name the case that is about to run."""
        self._coverage.switch_context(item.nodeid + "|run")

    def pytest_runtest_teardown(self, item: Any) -> None:
        """Name the case whose fixtures are about to go."""
        self._coverage.switch_context(item.nodeid + "|teardown")

    def pytest_unconfigure(self) -> None:
        """Write what was measured."""
        self._coverage.stop()
        self._coverage.save()


def pytest_load_initial_conftests(early_config: Any) -> None:
    """Begin to measure, where that is wanted, before anything of the project is imported."""
    folder = os.environ.get(COVERAGE)
    if folder:
        why = _begin(early_config, folder)
        if why:
            Path(folder, WHY_NOT).write_text(why, "utf-8")
            raise SystemExit(why)  # nothing else of this run counts


def _begin(config: Any, folder: str) -> str:
    """Measure from now on; return why not, empty where it began."""
    if sys.gettrace() or getattr(config.known_args_namespace, "cov_source", None):
        return "the command measures coverage itself"
    try:
        config.pluginmanager.register(Meter(folder, os.environ[TREE]), "testopt_meter")
    except ImportError:
        return "the Python that runs the tests has no package coverage"
    except Exception as error:  # noqa: BLE001 - whatever it dislikes is told, not raised
        return "coverage did not start: " + repr(error)
    return ""


if __name__ == "__main__":
    write_origins()
