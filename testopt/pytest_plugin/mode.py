"""Which mode the user asked for: all of the plugin that every start of pytest pays for.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pytest


def asked_mode(config: pytest.Config, environ: Mapping[str, str]) -> str:
    """Return the mode that was asked for, unchecked; it is all that pytest's start pays for.

    The environment counts only in the outermost pytest: a suite that runs pytest itself (tests of
    plugins) does not mean it to be ordered or recorded.
    """
    mode = config.getoption("testopt", None)
    if mode is None and "PYTEST_CURRENT_TEST" not in environ:
        mode = environ.get("TESTOPT_MODE") or None
    return str(mode or config.getini("testopt") or project_table(config).get("mode") or "off")


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
