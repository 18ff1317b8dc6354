"""Other plugins and options: the outcome of each case and the exit code stay what they were."""

from __future__ import annotations

from collections import Counter

import pytest

pytestmark = pytest.mark.integration

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

SUBTESTS = """
import pytest
def test_1(subtests):
    for i in range(3):
        with subtests.test(i=i):
            assert i != 1
def test_2(subtests):
    with subtests.test("skips"):
        pytest.skip("no")
def test_3(subtests):
    with subtests.test("inside"):
        pass
    assert 0
"""

# Plugin to load, suite, arguments.
OPTIONS = [
    ("", SUITE, ()),
    ("", SUITE, ("-m", "parametrize")),
    ("", SUITE, ("-m", "not parametrize", "-k", "not Unit")),
    ("", SUITE, ("--lf",)),
    ("", SUITE, ("--ff",)),
    ("", SUITE, ("--nf",)),
    ("", SUITE, ("--maxfail", "99")),
    ("", SUITE, ("--deselect", "test_it.py::test_2", "--strict-markers")),
    ("", SUITE, ("test_other.py", "test_it.py::test_4", "test_it.py::TestUnit")),
    ("", SUITE, ("-k", "test_3 or test_5")),
    ("", SUITE, ("-p", "no:cacheprovider", "--doctest-modules")),
    ("", SUITE, ("-p", "no:terminal")),
    ("", SUITE, ("--import-mode=importlib",)),
    ("", SUITE, ("-W", "error")),
]
PLUGINS = [
    ("", SUBTESTS, ()),
    ("xdist.plugin", SUITE, ("-n", "2", "--dist", "no")),
    ("pytest_rerunfailures", SUITE, ("--reruns", "1")),
    ("pytest_order", ORDERED, ()),
    ("pytest_timeout", SUITE, ("--timeout", "60")),
    ("pytest_split.plugin", SUITE, ("--splits", "2", "--group", "1")),
    ("pytest_cov.plugin", SUITE, ("--cov=.", "--cov-report=")),
    ("pytest_asyncio.plugin", ASYNC, ("-o", "asyncio_default_fixture_loop_scope=function")),
    ("pytest_randomly", SUITE, ("--randomly-seed=7",)),
]
SLOW = pytest.mark.slow
ROWS = [
    pytest.param(*row, how, marks=[] if quick else SLOW, id=f"{row[0]} {' '.join(row[2])} {how}")
    for rows, usual in ((OPTIONS, ()), (PLUGINS, ("reverse",)))
    for row in rows
    for how in ("reverse", "shuffle")
    for quick in [how in usual or row[2] == ()]
]


class Outcomes:
    """A plugin that counts what is reported."""

    def __init__(self) -> None:
        self.seen: Counter[tuple[str, str, str]] = Counter()

    def pytest_runtest_logreport(self, report) -> None:
        self.seen[report.nodeid, report.when, report.outcome] += 1


@pytest.mark.parametrize(("plugin", "suite", "args", "how"), ROWS)
def test_same_outcome(pytester, with_plugin, fake_engine, plugin, suite, args, how):
    if plugin:
        pytest.importorskip(plugin)
        with_plugin = (*with_plugin, "-p", plugin)
    pytester.makepyfile(test_it=suite, test_other="def test_0(): pass")
    pytester.makeini("[pytest]")
    log = fake_engine(how, "3")
    if {"--lf", "--ff"} & set(args):
        pytester.inline_run(*with_plugin)  # they go by what failed last
    found = []
    for mode in ("off", "rank"):
        outcomes = Outcomes()
        result = pytester.inline_run(*with_plugin, f"--testopt={mode}", *args, plugins=[outcomes])
        found.append((outcomes.seen, int(result.ret)))
    assert found[0] == found[1]
    assert sum(found[0][0].values()) > 0
    assert '"op":"known"' in log.read_text() if "-n" in args else '"op":"plan"' in log.read_text()


@pytest.mark.parametrize("args", [("-x",), ("--maxfail=2",)])
def test_a_run_that_stops_early_has_the_same_exit_code(pytester, with_plugin, fake_engine, args):
    """Another order stops elsewhere; what has run has the outcome that it always has."""
    pytester.makepyfile(test_it=SUITE)
    fake_engine("reverse")
    whole, stopped = Outcomes(), Outcomes()
    plain = pytester.inline_run(*with_plugin, *args)
    pytester.inline_run(*with_plugin, plugins=[whole])
    ranked = pytester.inline_run(*with_plugin, "--testopt=rank", *args, plugins=[stopped])
    assert int(ranked.ret) == int(plain.ret) == 1
    assert stopped.seen <= whole.seen
    failed = sum(n for (_, _, outcome), n in stopped.seen.items() if outcome == "failed")
    assert failed == (1 if args == ("-x",) else 2)


@pytest.mark.parametrize("args", [("--collect-only",), ("--co", "-q"), ("--co", "-qq")])
def test_collecting_alone_prints_the_same_in_shadow(pytester, with_plugin, fake_engine, args):
    pytester.makepyfile(test_it=SUITE)
    log = fake_engine("reverse")
    plain = pytester.runpytest_inprocess(*with_plugin, *args)
    shadow = pytester.runpytest_inprocess(*with_plugin, "--testopt=shadow", *args)
    assert [x for x in shadow.outlines if "::" in x] == [x for x in plain.outlines if "::" in x]
    assert shadow.ret == plain.ret
    assert log.read_text() == ""
