"""The architecture page names what is there, and every room."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_every_path_on_the_page_exists():
    paths = set(re.findall(r"`((?:testopt|tests|docs)/[\w/.]+)`", PAGE))
    assert len(paths) > 40
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_the_page_names_every_room():
    package = ROOT / "testopt"
    rooms = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    modules = {path.name for path in package.glob("*.py") if not path.name.startswith("__")}
    table = PAGE.partition("## Rooms")[2].partition("## Where do I change")[0]
    assert len(rooms) > 15
    assert [name for name in sorted(rooms | modules) if f"`{name}`" not in table] == []


def test_what_the_page_calls_by_name_is_defined_there():
    named = re.findall(r"`(\w+)` in `(testopt/[\w/]+\.py)`", PAGE)
    assert named
    for name, path in named:
        text = (ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"^(?:def|class) {name}\b|^{name}\b", text, re.MULTILINE), (name, path)
