"""Other plugins and options: the outcome of each case and the exit code stay what they were."""

from __future__ import annotations

from collections import Counter

import pytest

SUITE = """
import pytest, unittest

@pytest.fixture(scope="module", params=["p", "q"])
def wide(request): yield request.param
def test_1(wide): pass
def test_2(): assert 0
def test_3(wide): assert wide == "p"
@pytest.mark.parametrize("x", ["C:\\\\dir\\\\file", "a/b::c", "[]"])
def test_4(x): pass
class TestUnit(unittest.TestCase):
    def test_5(self): pass
    def test_6(self): self.fail()
def helper():
    '''
    >>> 1 + 1
    2
    '''
"""

ORDERED = """
import pytest
seen = []
@pytest.mark.order(2)
def test_b(): assert seen == ["a"]; seen.append("b")
@pytest.mark.order(1)
def test_a(): seen.append("a")
def test_c(): pass
@pytest.mark.order(-1)
def test_z(): assert seen == ["a", "b"]
"""

ASYNC = """
import pytest
@pytest.mark.asyncio
async def test_1(): pass
@pytest.mark.asyncio
async def test_2(): assert 0
"""

# Module to skip without, suite, arguments.
ROWS = [
    ("pytest", SUITE, ()),
    ("pytest", SUITE, ("-k", "test_3 or test_5")),
    ("pytest", SUITE, ("-p", "no:cacheprovider", "--doctest-modules")),
    (
        "pytest",
        SUITE,
        (
            "-p",
            "no:terminal",
        ),
    ),
    ("pytest", SUITE, ("--import-mode=importlib",)),
    ("pytest", SUITE, ("-W", "error", "-p", "no:asyncio")),
    ("pytest_rerunfailures", SUITE, ("--reruns", "1")),
    ("pytest_order", ORDERED, ()),
    ("pytest_timeout", SUITE, ("--timeout", "60")),
    ("pytest_split", SUITE, ("--splits", "2", "--group", "1")),
    ("pytest_cov", SUITE, ("--cov=.",)),
    ("pytest_asyncio", ASYNC, ()),
    ("pytest_randomly", SUITE, ("-p", "no:xdist", "--randomly-seed=7")),
]


class Outcomes:
    """A plugin that counts what is reported."""

    def __init__(self) -> None:
        self.seen: Counter[tuple[str, str, str]] = Counter()

    def pytest_runtest_logreport(self, report) -> None:
        self.seen[report.nodeid, report.when, report.outcome] += 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "suite", "args"), ROWS, ids=[f"{m} {' '.join(a)}" for m, _, a in ROWS]
)
@pytest.mark.parametrize("how", ["reverse", "shuffle"])
def test_same_outcome(pytester, with_plugin, fake_engine, how, module, suite, args):
    pytest.importorskip(module)
    pytester.makepyfile(test_it=suite, test_other="def test_0(): pass")
    if module == "pytest_randomly":
        with_plugin = ("-p", "no:hypothesispytest", *with_plugin[4:])
    log = fake_engine(how, "3")
    found = []
    for mode in ("off", "rank"):
        outcomes = Outcomes()
        result = pytester.inline_run(*with_plugin, f"--testopt={mode}", *args, plugins=[outcomes])
        found.append((outcomes.seen, int(result.ret)))
    assert found[0] == found[1]
    assert '"op":"plan"' in log.read_text()
