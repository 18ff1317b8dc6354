"""Every command opens its store with the user's settings, through one function."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import testopt.cli
from testopt.cli.common import Context
from testopt.store import Store

MODULES = sorted(Path(testopt.cli.__file__).parent.glob("*.py"))


def opens_store(source: str) -> bool:
    """Whether code calls ``Store.open``, or anything else named so."""
    return any(
        isinstance(node, ast.Attribute)
        and node.attr == "open"
        and isinstance(node.value, ast.Name)
        and node.value.id == "Store"
        for node in ast.walk(ast.parse(source))
    )


def test_only_common_opens_a_store():
    assert [path.name for path in MODULES if opens_store(path.read_text("utf-8"))] == ["common.py"]


@pytest.mark.integration
def test_settings_reach_the_store(tmp_path, monkeypatch):
    monkeypatch.setenv("TESTOPT_COMPACT_FILES", "7")
    monkeypatch.setenv("TESTOPT_RETENTION_DAYS", "3")
    given = {}
    monkeypatch.setattr(Store, "open", lambda url, **options: given.update(options, url=url))
    Context(repo=str(tmp_path), store=str(tmp_path / "store")).open_store()
    assert given == {
        "url": str(tmp_path / "store"),
        "create": False,
        "light": True,
        "compact_files": 7,
        "retention_days": 3,
    }
