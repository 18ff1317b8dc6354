"""Tests that documents name exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SOURCES = {path: path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py")}
DOCUMENTS = [ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_tests_that_are_named_exist(document):
    named = re.findall(r"`(test_\w+)(\.py)?`", document.read_text("utf-8"))
    files = {path.name for path in SOURCES}
    functions = set(re.findall(r"def (test_\w+)", "\n".join(SOURCES.values())))
    missing = [n + e for n, e in named if (n + e not in files if e else n not in functions)]
    assert not missing
