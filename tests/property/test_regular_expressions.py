"""No regular expression of testopt takes much longer than its text is long."""

import importlib
import pkgutil
import re
import re._parser as parser
import signal
import time
from pathlib import Path

import pytest

import testopt

LENGTH = 4_000
LIMIT_S = 0.012  # processor time; what is linear takes a millisecond, what is quadratic seconds
STOP_S = 2


def collected():
    """Return name, expression and use of all that modules of testopt keep."""
    found = {}
    for module in pkgutil.walk_packages(testopt.__path__, "testopt."):
        if not module.name.endswith("__main__"):
            for name, value in vars(importlib.import_module(module.name)).items():
                if isinstance(value, re.Pattern):
                    use = anchored_use(module.module_finder, module.name, name)
                    where = f"{module.name}.{name}"
                    found.setdefault((value.pattern, value.flags), (where, value, use))
    return list(found.values())


def anchored_use(finder, module, name):
    """Return `match` or `fullmatch` where a module does nothing else with an expression."""
    text = Path(finder.find_spec(module).origin).read_text()
    uses = set(re.findall(rf"\b{name}\.(\w+)", text))
    return uses.pop() if uses in ({"match"}, {"fullmatch"}) else "finditer"


def pieces(items):
    """Return the texts that parts of an expression match, and one that all of it may match."""
    found, whole = [], ""
    for op, value in items:
        inner, text = _piece(str(op), value)
        found += [*inner, text]
        whole += text
    return [*found, whole], whole


def _piece(op, value):  # noqa: PLR0911 - one a kind of part
    if op == "LITERAL":
        return [], chr(value)
    if op in {"NOT_LITERAL", "ANY"}:
        return [], "x"
    if op == "IN":
        return ["\n"] if "SPACE" in str(value) else [], _member(value)
    if op in {"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"}:
        inner, whole = pieces(value[2])
        return [*inner, whole], whole * max(value[0], 1)
    if op == "SUBPATTERN":
        return pieces(value[3])
    if op == "ATOMIC_GROUP":
        return pieces(value)
    if op == "BRANCH":
        branches = [pieces(branch) for branch in value[1]]
        return [text for inner, _ in branches for text in inner], branches[0][1]
    if op in {"ASSERT", "ASSERT_NOT"}:
        return pieces(value[1])[0], ""
    return [], ""


def _member(items):
    """Return a character of a class."""
    op, value = items[-1]
    if str(items[0][0]) == "NEGATE":
        return "x"
    if str(op) == "LITERAL":
        return chr(value)
    if str(op) == "RANGE":
        return chr(value[0])
    return {"CATEGORY_DIGIT": "1", "CATEGORY_SPACE": " ", "CATEGORY_WORD": "a"}.get(str(value), "x")


def pumped(pattern):
    """Yield long texts made of repeats of what an expression looks for, and of what it does not."""
    text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin1")
    found, _ = pieces(parser.parse(text, pattern.flags & re.VERBOSE))
    units = [unit for unit in dict.fromkeys(["a", " ", "\n", "1", *found]) if 0 < len(unit) < 40]
    short = sorted(units, key=len)[:6]
    pairs = [first + second for first in short for second in short if first != second]
    heads = ["", *sorted(units, key=len)[-2:]]
    for unit in dict.fromkeys([*units, *pairs]):
        for head in heads:
            made = head + unit * (LENGTH // len(unit)) + "\0"
            yield made if isinstance(pattern.pattern, str) else made.encode("utf-8")


def seconds(pattern, text, use):
    began = time.process_time()
    signal.setitimer(signal.ITIMER_REAL, STOP_S * 5)
    try:
        found = getattr(pattern, use)(text)
        if use == "finditer":
            all(found)
    except TimeoutError:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return time.process_time() - began


def worst(pattern, use="finditer"):
    """Return the longest time over the texts, and which text took it."""
    most = (0.0, "")
    for text in pumped(pattern):
        most = max(most, (seconds(pattern, text, use), text[:60]))
        if most[0] > STOP_S:
            break
    return most


@pytest.fixture(autouse=True)
def _alarm():
    def stop(_number, _frame):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    yield
    signal.signal(signal.SIGALRM, before)


def test_the_test_finds_what_is_quadratic():
    assert worst(re.compile(r"^\s*package\s+([\w.]+)", re.MULTILINE))[0] > LIMIT_S
    assert worst(re.compile(r"^[^\S\n]*package\s+([\w.]+)", re.MULTILINE))[0] < LIMIT_S


@pytest.mark.slow
def test_every_expression_is_linear():
    slow = {}
    for name, pattern, use in collected():
        took, text = worst(pattern, use)
        if LIMIT_S < took < STOP_S:  # the machine may have been busy
            took, text = min((took, text), worst(pattern, use))
        if took > LIMIT_S:
            slow[name] = (round(took, 2), text, pattern.pattern)
    assert not slow
