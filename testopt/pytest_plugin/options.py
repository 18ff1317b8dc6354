"""What the user asked of the plugin: ``--testopt-X`` > ``TESTOPT_X`` > ini file > pyproject.toml.

The last is the table ``[tool.testopt]`` that the other commands read too.
PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import argparse
import os
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from testopt.durations import parse_duration
from testopt.parts import parse_part
from testopt.pytest_plugin.mode import MODES, project_table
from testopt.shares import parse_share

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

GRANULARITIES = ("auto", "case", "module")
ORDER_MARKS = ("order", "run", "dependency", "incremental")
TIMEOUT_S = 10.0
_LONGEST_S = 86_400.0
SELECTION_OPTIONS = ("recall", "case_recall", "budget", "fraction", "shard")


class OptionError(Exception):
    """An option outside the command line has a value with which nothing can be done."""

    __test__ = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginOptions:
    """The options of one run of pytest; texts are empty where nothing is asked for.

    ``selection`` holds what was asked of a plan that leaves cases out, by name, as it was written;
    ``wrong`` says which option outside the command line has a value that cannot be used.
    """

    mode: str = "off"
    base: str = ""
    store: str = ""
    granularity: str = "auto"
    command: tuple[str, ...] = ()
    timeout_s: float = TIMEOUT_S
    order_marks: tuple[str, ...] = ORDER_MARKS
    selection: tuple[tuple[str, str], ...] = ()
    wrong: str = ""

    @property
    def plans(self) -> bool:
        """Whether an order is asked for, to be applied or only noted."""
        return not self.wrong and self.mode in {"rank", "select", "shadow"}

    @property
    def applies(self) -> bool:
        """Whether the order is applied."""
        return self.mode in {"rank", "select"}


def read_options(config: pytest.Config, mode: str) -> PluginOptions:
    """Return all options.

    Raises
    ------
    OptionError
        For a mode or a command that is not known.
    """
    values = _Values(config)
    if mode not in MODES:
        raise OptionError(f"unknown mode {mode!r}; known: {', '.join(MODES)}")
    try:
        command = tuple(shlex.split(values.get("command")))
    except ValueError as error:
        raise OptionError(f"cannot use a setting: command: {error}") from None
    granularity = values.get("granularity") or "auto"
    timeout, wrong = TIMEOUT_S, ""
    if granularity not in GRANULARITIES:
        wrong = f"unknown granularity {granularity!r}; known: {', '.join(GRANULARITIES)}"
    try:
        timeout = parse_seconds(values.get("engine_timeout_s") or str(TIMEOUT_S))
    except ValueError as error:
        wrong = f"engine_timeout_s: {error}"
    return PluginOptions(
        mode=mode,
        base=values.get("base"),
        store=values.get("store"),
        granularity=granularity,
        command=command,
        timeout_s=timeout,
        order_marks=tuple(config.getini("testopt_order_marks")),
        selection=tuple(
            (name, text) for name in SELECTION_OPTIONS if (text := values.own_text(name))
        ),
        wrong=wrong,
    )


def parse_seconds(text: str) -> float:
    """Return a number of seconds to wait.

    Raises
    ------
    ValueError
        For what is none; the message says what to write.
    """
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds <= _LONGEST_S:
        raise ValueError(f"Invalid time {text!r}: write it in seconds, like 10.")
    return seconds


def check_typed(kind: str, text: str) -> str:
    """Return the text of an option of the command line, if it can be used: a share, time, part.

    Raises
    ------
    argparse.ArgumentTypeError
        When it cannot; pytest prints it as an error of usage.
    """
    parsers: dict[str, Callable[[str], object]] = {
        "share": parse_share,
        "duration": parse_duration,
        "seconds": parse_seconds,
        "part": parse_part,
    }
    try:
        parsers[kind](text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def shard_durations(config: pytest.Config) -> Path | None:
    """Return the file of durations by which parts are divided; None: by names alone."""
    name = _Values(config).get("shard_durations")
    return config.rootpath / name if name else None


class _Values:
    """Looks a setting up in all places."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._table = project_table(config)

    def own_text(self, name: str) -> str:
        """Return the value of the command line or ini file; the engine knows of the others."""
        value = self._config.getoption(f"testopt_{name}", None)
        return str(self._config.getini(f"testopt_{name}") if value is None else value)

    def get(self, name: str) -> str:
        """Return the value in the first place that has one, or an empty text."""
        for value in (
            self._config.getoption(f"testopt_{name}", None),
            os.environ.get(f"TESTOPT_{name.upper()}"),
            self._config.getini(f"testopt_{name}"),
            self._table.get(name),
        ):
            if value not in (None, ""):
                return str(value)
        return ""
