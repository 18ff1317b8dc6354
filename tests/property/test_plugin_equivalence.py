"""Random suites have the same outcome with and without testopt, and no more fixture set-ups."""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.integration

SCOPES = ("function", "class", "module", "package", "session")
BODIES = ("pass", "assert 0", "pytest.skip('no')", "pytest.xfail('known')", "raise KeyError('x')")

# Fixtures of every scope that write their set-up to a log; some take parameters or each other.
CONFTEST = """
import os, pytest

def log(*words):
    with open(os.environ["SETUP_LOG"], "a") as out:
        print(*words, file=out)
{fixtures}
"""

RARELY = st.integers(0, 9).map(lambda n: n == 0)


@st.composite
def fixture_texts(draw) -> tuple[list[str], str]:
    """Names and text of a few fixtures, each of which may use wider ones before it."""
    names: list[tuple[str, int]] = []
    text = ""
    for number in range(draw(st.integers(1, 5))):
        level = draw(st.integers(0, 4))
        name = f"fix{number}"
        wider = [n for n, other in names if other >= level]
        needs = draw(st.lists(st.sampled_from(wider), unique=True, max_size=2)) if wider else []
        params = draw(st.sampled_from(["", "", "params=[1, 2]"]))
        options = [f'scope="{SCOPES[level]}"', *([params] if params else [])]
        if draw(RARELY):
            options.append("autouse=True")
        args = ", ".join(["request", *needs])
        fail = "    assert 0\n" if draw(RARELY) else ""
        text += (
            f"\n@pytest.fixture({', '.join(options)})\ndef {name}({args}):\n"
            f'    log("{name}", getattr(request, "param", ""))\n{fail}    yield\n'
        )
        names.append((name, level))
    return [name for name, _ in names], text


@st.composite
def module_texts(draw, names: list[str]) -> str:
    text = "import pytest\nfrom conftest import log\n"
    if draw(st.booleans()):
        text += 'def setup_module():\n    log("setup_module", __name__)\n'
    for number in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["function", "class", "unittest"]))
        indent = "" if kind == "function" else "    "
        if kind == "class":
            text += f"class TestC{number}:\n"
            if draw(st.booleans()):
                text += (
                    "    @classmethod\n    def setup_class(cls):\n"
                    '        log("setup_class", __name__, cls.__name__)\n'
                )
        elif kind == "unittest":
            text += (
                f"import unittest\nclass TestU{number}(unittest.TestCase):\n"
                "    @classmethod\n    def setUpClass(cls):\n"
                '        log("setUpClass", __name__, cls.__name__)\n'
            )
        for case in range(draw(st.integers(1, 3))):
            used = draw(st.lists(st.sampled_from(names), unique=True, max_size=3))
            me = "self" if indent else ""
            if kind == "unittest":
                mark = f"    @pytest.mark.usefixtures({str(used)[1:-1]})\n" if used else ""
                plain = ", ".join(used)
                unparametrised = mark if plain else ""
                text += unparametrised
                args = me
            else:
                args = ", ".join(filter(None, [me, *used]))
            body = draw(st.sampled_from(BODIES)) if draw(st.booleans()) else "pass"
            text += f"{indent}def test_{number}_{case}({args}):\n{indent}    {body}\n"
    return text


@st.composite
def suites(draw) -> dict[str, str]:
    """Files of a suite, some of them in packages."""
    names, fixtures = draw(fixture_texts())
    files = {"conftest.py": CONFTEST.format(fixtures=fixtures)}
    for number in range(draw(st.integers(1, 4))):
        folder = draw(st.sampled_from(["", "pkg/", "pkg/sub/"]))
        for part in {"pkg/": ["pkg"], "pkg/sub/": ["pkg", "pkg/sub"]}.get(folder, []):
            files[f"{part}/__init__.py"] = ""
        files[f"{folder}test_m{number}.py"] = draw(module_texts(names))
    return files


class Outcomes:
    """A plugin that notes the worst outcome of each case, and how it came to it."""

    def __init__(self) -> None:
        self.seen: Counter[tuple[str, str, str]] = Counter()

    def pytest_runtest_logreport(self, report) -> None:
        self.seen[report.nodeid, report.when, report.outcome] += 1


class Kept:
    """A plugin that leaves only some of the collected cases."""

    def __init__(self, ids: set[str]) -> None:
        self.ids = ids

    def pytest_collection_modifyitems(self, items) -> None:
        items[:] = [item for item in items if item.nodeid in self.ids]


def run(pytester, with_plugin, *args: str, plugins: tuple[object, ...] = ()):
    log = pytester.path.parent / "setups.log"
    log.write_text("")
    outcomes = Outcomes()
    base = (
        *with_plugin,
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "--continue-on-collection-errors",
    )
    result = pytester.inline_run(*base, *args, plugins=[outcomes, *plugins])
    return outcomes.seen, int(result.ret), Counter(log.read_text().splitlines())


def write(pytester, monkeypatch, files):
    for path in pytester.path.glob("**/*.py"):
        path.unlink()
    for name, text in files.items():
        path = pytester.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setenv("SETUP_LOG", str(pytester.path.parent / "setups.log"))


def equal(planned, plain):
    assert planned[0] == plain[0]
    assert planned[1] == plain[1]
    more = {line: n for line, n in planned[2].items() if n > plain[2][line]}
    assert more == {}


def compare(pytester, with_plugin, fake_engine, monkeypatch, files, seed, how):
    write(pytester, monkeypatch, files)
    fake_engine(how, str(seed))
    plain = run(pytester, with_plugin, "--testopt=off")
    equal(run(pytester, with_plugin, "--testopt=rank"), plain)


def compare_selected(pytester, with_plugin, fake_engine, monkeypatch, files, seed):
    """Outcomes and exit code are those of a run of just the cases that the engine chose."""
    write(pytester, monkeypatch, files)
    log = fake_engine("select", str(seed))
    chosen = run(pytester, with_plugin, "--testopt=select")
    (ids,) = (r["ids"] for r in map(json.loads, log.read_text().splitlines()) if r["op"] == "plan")
    draw = random.Random(seed)
    kept = {case for case in ids if draw.random() < 0.5}
    plain = run(pytester, with_plugin, "--testopt=off", plugins=(Kept(kept),))
    assert {case for case, _, _ in chosen[0]} == kept
    equal(chosen, plain if kept else (plain[0], 0, plain[2]))


COMMON = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}
GIVEN = given(suites(), st.integers(0, 999), st.sampled_from(["shuffle", "shuffle-values"]))


@pytest.fixture
def tools(pytester, with_plugin, fake_engine, monkeypatch):
    monkeypatch.syspath_prepend(pytester.path)
    return pytester, with_plugin, fake_engine, monkeypatch


@settings(max_examples=6, **COMMON)
@given(suites(), st.integers(0, 999))
def test_a_few_selections(tools, files, seed):
    compare_selected(*tools, files, seed)


@pytest.mark.slow
@settings(max_examples=200, **COMMON)
@given(suites(), st.integers(0, 999))
def test_many_selections(tools, files, seed):
    compare_selected(*tools, files, seed)


@settings(max_examples=10, **COMMON)
@GIVEN
def test_a_few_suites(tools, files, seed, how):
    compare(*tools, files, seed, how)


@pytest.mark.slow
@settings(max_examples=400, **COMMON)
@GIVEN
def test_many_suites(tools, files, seed, how):
    compare(*tools, files, seed, how)
