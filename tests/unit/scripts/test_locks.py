"""What is pinned: the tools on top of what running needs, by hash, and no index named."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
RUNNING, TOOLS = "requirements.lock", "requirements-dev.lock"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def pins(name):
    """Return name and version -> hashes, without the marker that says where one is needed."""
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", "")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {line.split()[0]: {w for w in line.split() if w.startswith("--hash=")} for line in lines}


def names(requirements):
    found = (re.match(r"[\w.-]+", r) for r in requirements if isinstance(r, str))
    return {match[0].lower().replace("_", "-") for match in found if match}


def test_the_tools_lock_holds_all_of_the_other_in_the_same_versions():
    running, tools = pins(RUNNING), pins(TOOLS)
    assert len(running) > 15
    assert {pin: tools.get(pin) for pin in running} == running
    assert len(tools) > len(running)


def test_everything_is_pinned_by_hash():
    for name in (RUNNING, TOOLS):
        assert [pin for pin, hashes in pins(name).items() if "==" not in pin or not hashes] == []


def test_no_lock_names_an_index():
    for name in (RUNNING, TOOLS):
        assert not re.search("https?:|index-url|find-links", (ROOT / name).read_text())


def test_each_dependency_is_in_its_lock():
    project, groups = PROJECT["project"], PROJECT["dependency-groups"]
    asked = names(project["dependencies"]) | names(groups["demo"])
    extras = names(r for listed in project["optional-dependencies"].values() for r in listed)
    assert asked - names(pins(RUNNING)) == set()
    assert (asked | extras | names(groups["dev"])) - names(pins(TOOLS)) == set()


def test_each_dependency_is_used():
    files = (ROOT / "testopt").rglob("*.py")
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    imported = set(re.findall(r"^\s*(?:import|from) (\w+)", text, re.MULTILINE))
    modules = {"scikit-learn": "sklearn"}
    asked = names(PROJECT["project"]["dependencies"])
    assert {name for name in asked if modules.get(name, name) not in imported} == set()
