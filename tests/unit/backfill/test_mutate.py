"""Faults: each operator, where they may lie, and that they are chosen alike again."""

from __future__ import annotations

import ast

import pytest

from testopt.backfill.mutate import NEAR_LINES, choose_faults, find_faults, same_code

PATH = "calc.py"


def _faulty(source: str) -> set[str]:
    content = source.encode()
    lines = range(1, content.count(b"\n") + 2)
    return {fault.apply(content).decode() for _, fault in find_faults(PATH, content, lines)}


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("a < b", "a <= b"),
        ("a < b <= c", "a < b < c"),
        ("a is  not b", "a is b"),
        ("a not in b", "a in b"),
        ("(a)==(b)", "(a)!=(b)"),
        ("a and b or c", "a or b or c"),
        ("x = a + b", "x = a - b"),
        ("x //= 2", "x *= 2"),
        ("x = y[1:]", "x = y[2:]"),
        ("x = y[1:]", "x = y[0:]"),
        ("f(True)", "f(False)"),
        ("x = 'word'", "x = ''"),
        ("x = 1.5", "x = (1.5 + 1.0)"),
        ("if a:\n    b()", "if not (a):\n    b()"),
        ("if not a:\n    b()", "if (a):\n    b()"),
        ("x = [a for a in b if a]", "x = [a for a in b if not (a)]"),
        ("def f():\n    return 3", "def f():\n    return None"),
        ("for a in b:\n    break", "for a in b:\n    continue"),
        ("if a:\n    b()", "if a:\n    pass"),
        ("a.b = 1", "pass"),
        ("raise E", "pass"),
        ("f(a, b)", "f(b, a)"),
        ("x = len(a)", "x = (len(a) - 1)"),
        ("x = min(a)", "x = max(a)"),
        ("a.startswith(b)", "a.endswith(b)"),
        ("é = 'ü' if a < b else c", "é = 'ü' if a <= b else c"),
        ("# é\r\nx = a < b\r\n", "# é\r\nx = a > b\r\n"),
    ],
)
def test_operator(source: str, fault: str) -> None:
    assert fault in _faulty(source)


@pytest.mark.parametrize(
    "source",
    [
        '"""Docstring."""',
        "import a",
        "__version__ = '1.0'",
        "x: int",
        "def f(a: 'T' = b) -> 'T':\n    ...",
        "if TYPE_CHECKING:\n    a = 1",
        "if __name__ == '__main__':\n    main()",
        "x = a",
        "def broken(:",
        "x = f'{a < b}'",
    ],
)
def test_nothing_to_seed(source: str) -> None:
    assert _faulty(source) == set()


def test_not_utf8_has_no_faults() -> None:
    assert find_faults(PATH, b"# coding: latin-1\nx = '\xe9' < 1\n", [2]) == []


def test_byte_order_mark_shifts_offsets() -> None:
    content = b"\xef\xbb\xbfx = a < b\n"
    applied = {fault.apply(content) for _, fault in find_faults(PATH, content, [1])}
    assert b"\xef\xbb\xbfx = a <= b\n" in applied


def test_only_near_the_changed_lines() -> None:
    source = "\n".join(f"x{i} = {i}" for i in range(1, 60)).encode()
    found = find_faults(PATH, source, [30])
    assert {fault.line for _, fault in found} == set(range(30 - NEAR_LINES, 31 + NEAR_LINES))
    assert {d for d, fault in found if fault.line == 30} == {0}


def test_rest_of_the_function_is_near() -> None:
    body = "".join(f"    x = a + {i}\n" for i in range(30))
    source = f"def f(a):\n{body}y = 1\ndef g(a):\n    return a\n".encode()
    lines = {fault.line for _, fault in find_faults(PATH, source, [2])}
    assert lines == set(range(2, 32))


def test_chosen_faults_prefer_changed_lines_and_differ() -> None:
    source = b"def f(a, b):\n    if a < b:\n        return a + 1\n    return b\n\nx = 3\ny = 4\n"
    chosen = choose_faults(find_faults(PATH, source, [2]), 4, seed="s", sources={PATH: source})
    assert chosen[0].line == 2
    assert len({fault.line for fault in chosen}) == 4
    assert all(ast.parse(fault.apply(source)) for fault in chosen)


def test_seed_decides() -> None:
    source = b"\n".join(b"x%d = a < %d" % (i, i) for i in range(50))
    faults = find_faults(PATH, source, range(1, 51))

    def pick(seed: str) -> list[str]:
        chosen = choose_faults(reversed(faults), 5, seed=seed, sources={PATH: source})
        return [fault.key for fault in chosen]

    assert pick("1") == pick("1")
    assert pick("1") != pick("2")


def test_fault_that_does_not_compile_is_left_out() -> None:
    # `break` for `continue` is fine, and so is the reverse; a lone `continue` in finally is too
    source = b"def f():\n    x = yield 1\n    return x\n"
    chosen = choose_faults(find_faults(PATH, source, [1, 2, 3]), 9, seed="", sources={PATH: source})
    assert chosen
    for fault in chosen:
        compile(fault.apply(source), PATH, "exec")


def test_same_code_ignores_comments_layout_and_docstrings() -> None:
    assert same_code(b"def f():\n    'a'\n    return 1", b"def f(): # b\n    return (1)\n")
    assert not same_code(b"x = 1", b"x = 2")
    assert not same_code(b"x = (", b"x = (")
