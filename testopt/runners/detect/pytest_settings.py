"""Reads pytest's settings that say what is a test, from any of its files."""

from __future__ import annotations

import posixpath
import shlex
import tomllib
from configparser import ConfigParser, Error
from typing import Any, Final

# The files with settings, in the order in which pytest looks, and the section of each.
FILES: Final = {
    "pytest.toml": "pytest", ".pytest.toml": "pytest", "pytest.ini": "pytest",
    ".pytest.ini": "pytest", "pyproject.toml": "", "tox.ini": "pytest",
    "setup.cfg": "tool:pytest",
}  # fmt: skip
_LISTS: Final = ("testpaths", "python_files", "python_classes", "python_functions", "norecursedirs")


def read_settings(path: str, text: str) -> dict[str, tuple[str, ...]] | None:
    """Return the settings that a file holds; None where it holds none of pytest.

    Parameters
    ----------
    path : str
        Its name tells its form.
    text : str
    """
    name = posixpath.basename(path)
    section = FILES.get(name)
    if section is None:
        return None
    table = _of_toml(text, section) if name.endswith(".toml") else _of_ini(text, section)
    if table is None:
        return {} if name.removeprefix(".") in {"pytest.ini", "pytest.toml"} else None
    return {name: found for name in _LISTS if (found := _words(table.get(name)))}


def _of_toml(text: str, section: str) -> dict[str, Any] | None:
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return None
    if section:
        own = document.get(section)
        return own if isinstance(own, dict) else None
    tool = document.get("tool")
    own = tool.get("pytest") if isinstance(tool, dict) else None
    if not isinstance(own, dict):
        return None
    options = own.get("ini_options")
    return options if isinstance(options, dict) else own


def _of_ini(text: str, section: str) -> dict[str, Any] | None:
    parser = ConfigParser(interpolation=None, strict=False, allow_no_value=True)
    try:
        parser.read_string(text)
    except Error:
        return None
    return dict(parser.items(section)) if parser.has_section(section) else None


def _words(value: object) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(map(str, value))
    if not isinstance(value, str):
        return ()
    try:
        return tuple(shlex.split(value, comments=True))
    except ValueError:
        return tuple(value.split())
