"""Which mode the user asked for: all of the plugin that every start of pytest pays for.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pytest


MODES = ("off", "record", "rank", "select", "shadow")
_VARIABLES = ("TESTOPT_MODE", "TESTOPT")


def asked_mode(config: pytest.Config, environ: Mapping[str, str]) -> str:
    """Return the mode that was asked for; of files, unchecked.

    The environment counts only in the outermost pytest: a suite that runs pytest itself (tests of
    plugins) does not mean it to be ordered or recorded. What it holds and is no mode, nobody knows
    what for, moves and leaves out no case: what the project records is recorded.
    """
    typed = config.getoption("testopt", None)
    if typed is not None:
        return str(typed)
    _, value = _variable(environ)
    if value in MODES:
        return value
    usual = str(config.getini("testopt") or project_table(config).get("mode") or "off")
    return "record" if value and usual != "off" else usual


def wrong_mode(config: pytest.Config, environ: Mapping[str, str]) -> str:
    """Say what the environment holds in place of a mode; empty where that is fine."""
    name, value = _variable(environ)
    if not value or value in MODES or config.getoption("testopt", None) is not None:
        return ""
    return f"{name} is {environ[name]!r}; it takes {', '.join(MODES[:-1])} or {MODES[-1]}"


def _variable(environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the variable that is meant as a mode, and what it holds.

    ``TESTOPT`` is not ours alone: a path in it is that of a program.
    """
    for name in _VARIABLES if "PYTEST_CURRENT_TEST" not in environ else ():
        value = environ.get(name, "").strip().lower()
        if value and not (name == "TESTOPT" and "/" in value):
            return name, value
    return "", ""


def project_table(config: pytest.Config) -> dict[str, Any]:
    """Return the settings of the root folder: ``[tool.testopt]``, else ``testopt.toml``.

    A file is parsed only where it could hold some.
    """
    tool = _parsed(config.rootpath / "pyproject.toml", b"tool.testopt").get("tool", {})
    table = tool.get("testopt") if isinstance(tool, dict) else None
    table = table or _parsed(config.rootpath / "testopt.toml", b"=")
    return table if isinstance(table, dict) else {}


def _parsed(path: Path, mark: bytes) -> dict[str, Any]:
    try:
        data = path.read_bytes()
        if mark not in data:
            return {}
        import tomllib

        return tomllib.loads(data.decode("utf-8"))
    except (OSError, ValueError):
        return {}
