"""The pytest plugin: a thin client of the engine, which imports the standard library and pytest.

Nothing of it is imported before it is asked for, and nothing that goes wrong in it changes the
outcome of a run: the tests then run in their original order, and one line says why.
PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


class Note(NamedTuple):
    """A text for the line in the terminal summary.

    ``trouble`` is shown in quiet runs too; ``what`` is what became of the run because of it.
    """

    text: str
    trouble: bool = False
    what: str = ""


_NOTES: pytest.StashKey[list[Note]] = pytest.StashKey()
MORE: pytest.StashKey[list[str]] = pytest.StashKey()  # lines below; a quiet run leaves them out
DETAILS: pytest.StashKey[list[str]] = pytest.StashKey()  # lines of a verbose run
FIRST: pytest.StashKey[list[tuple[str, list[str]]]] = pytest.StashKey()  # cases, and why
LEFT_OUT: pytest.StashKey[int] = pytest.StashKey()  # how many cases
NOT_ORDERED = "original order"  # what becomes of a run whose plan is not followed
_UNDIVIDED = "no parts, everything runs"
ALWAYS = "testopt_always"  # mark of a case that is never left out

# Options of pytest that end before any test runs.
_NO_RUN = (
    "help",
    "version",
    "markers",
    "showfixtures",
    "show_fixtures_per_test",
    "cacheshow",
    "setupplan",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options; each is an ini option too (``--testopt-base``: ``testopt_base``)."""
    group = parser.getgroup("testopt", "order of tests by testopt")

    def add(name: str, text: str, **kwargs: Any) -> None:
        dest = name.replace("-", "_")
        group.addoption(f"--{name}", dest=dest, default=None, help=text, **kwargs)
        parser.addini(dest, text, default="")

    add(
        "testopt",
        "off: touch nothing. record: note the results of this run in the store. rank: run the "
        "likely failures first, and record. select: do the same, and leave out what the promised "
        "recall allows. shadow: run everything in the original order, and record what "
        "select would have done.",
        choices=("off", "record", "rank", "select", "shadow"),
    )
    add("testopt-base", "revision that the change is compared with", metavar="REV")
    add(
        "testopt-store",
        "store: folder or URL, written --testopt-store=DIR (default: .testopt of the repository)",
    )
    add(
        "testopt-granularity",
        "what moves alone. auto (default): cases, and blocks of cases that share the set-up of a "
        "class, module or package fixture or of a parametrised one, so that no fixture is set up "
        "more often than without testopt. module: files as a whole. case: every case.",
        choices=("auto", "case", "module"),
    )
    share, time = partial(_typed, "share"), partial(_typed, "duration")
    add("testopt-recall", "share of regressions that a selection must catch: 0.95", type=share)
    add("testopt-case-recall", "share of the regressing cases to catch", type=share)
    add("testopt-budget", "time limit for the selected cases: 10m", metavar="TIME", type=time)
    add("testopt-fraction", "time limit as a share of the time of all cases", type=share)
    add(
        "testopt-shard",
        "run part I of N, in all modes. Classes and functions are divided by their names, so that "
        "the parts make up the whole even if their stores differ. A budget is for all parts.",
        metavar="I/N",
        type=partial(_typed, "part"),
    )
    add(
        "testopt-engine-timeout-s",
        "seconds to wait for the engine (default: 10)",
        type=partial(_typed, "seconds"),
    )
    parser.addini(
        "testopt_shard_durations", "file of the project by which parts are divided", default=""
    )
    parser.addini("testopt_command", "command that starts the engine", default="")
    parser.addini(
        "testopt_order_marks",
        "marks that fix the place of a case; nothing moves across it",
        type="args",
        default=["order", "run", "dependency", "incremental"],
    )


def _typed(kind: str, text: str) -> str:
    """Refuse what is typed wrong before anything runs; the engine reads it again."""
    from testopt.pytest_plugin.options import check_typed

    return check_typed(kind, text)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Refuse a value of ours that pytest has taken for the path of tests, before anything runs."""
    given = early_config.invocation_params.args
    addopts = os.environ.get("PYTEST_ADDOPTS", "")
    if any(str(arg).startswith("--testopt") for arg in given) or "--testopt" in addopts:
        from testopt.pytest_plugin.paths import refuse_paths

        refuse_paths([*map(str, given)], addopts, early_config.invocation_params.dir)


def pytest_configure(config: pytest.Config) -> None:
    """Start what was asked for; in a worker of xdist, what the controller sent."""
    config.addinivalue_line("markers", f"{ALWAYS}: testopt never leaves this case out")
    fail_open(config, _UNDIVIDED, _divide, config)
    fail_open(config, "inactive", _configure, config)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was done, and why."""
    if _NOTES in terminalreporter.config.stash:
        from testopt.pytest_plugin.summary import write_summary

        write_summary(terminalreporter)


def note_more(config: pytest.Config, lines: list[str]) -> None:
    """Add lines that stand below the one line; a quiet run leaves them out."""
    config.stash.setdefault(MORE, []).extend(lines)


def note_left_out(config: pytest.Config, count: int) -> None:
    """Keep how many cases a selection or a part leaves out."""
    config.stash[LEFT_OUT] = count


def add_note(config: pytest.Config, text: str, *, trouble: bool = False, what: str = "") -> None:
    """Keep a text for the line in the terminal summary; see `Note`."""
    config.stash.setdefault(_NOTES, []).append(Note(text, trouble, what))


def notes(config: pytest.Config) -> list[Note]:
    """Return what was noted."""
    found = config.stash.get(_NOTES, None)
    return [] if found is None else list(found)


def fail_open(config: pytest.Config, what: str, step: Callable[..., Any], *args: Any) -> Any:
    """Take a step that must not touch the run: return what it returns, or None if it fails.

    This is the one place that catches everything: whatever goes wrong in the plugin becomes a
    note on `what` became of the run, and pytest goes on as if the plugin were not there.
    """
    try:
        return step(*args)
    except Exception as error:  # noqa: BLE001 - the outermost guard
        text = " ".join(str(error).split()) or type(error).__name__
        add_note(config, text, trouble=True, what=what)
        return None


def _divide(config: pytest.Config) -> None:
    """Leave other parts out where one is asked for, before anything else can go wrong."""
    typed, worker = config.getoption("testopt_shard", None), getattr(config, "workerinput", None)
    asked = config.getini("testopt_shard") if typed is None else typed
    if worker is not None:
        asked = worker.get("testopt_part")
    if not asked:
        return
    from testopt.pytest_plugin.mode import asked_mode
    from testopt.pytest_plugin.parts import Part

    if worker is None and asked_mode(config, os.environ) == "off":
        add_note(config, "the mode is off", trouble=True, what=_UNDIVIDED)
        return
    part = Part.asked(config, str(asked)) if worker is None else Part.sent(config, asked)
    config.pluginmanager.register(part, "testopt-part")


def _configure(config: pytest.Config) -> None:
    worker = getattr(config, "workerinput", None)
    if worker is not None:
        if "testopt" in worker:
            from testopt.pytest_plugin.worker import WorkerPlanner

            config.pluginmanager.register(WorkerPlanner(config, worker["testopt"]), "testopt-order")
        return
    from testopt.pytest_plugin.mode import asked_mode, wrong_mode

    mode, wrong = asked_mode(config, os.environ), wrong_mode(config, os.environ)
    if wrong:
        add_note(config, wrong, trouble=True, what="off" if mode == "off" else "recorded only")
    if mode == "off" or any(getattr(config.option, name, False) for name in _NO_RUN):
        return
    if getattr(config.option, "collectonly", False) and mode in {"record", "shadow"}:
        return  # the list is the original one, and nothing is recorded
    if sys.platform == "win32":
        add_note(config, "testopt does not run on Windows", trouble=True, what="inactive")
        return
    from testopt.pytest_plugin.session import start

    start(config, mode)
