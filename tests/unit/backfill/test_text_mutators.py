"""Faults in languages other than Python: which there are, and what is left alone."""

from __future__ import annotations

import pytest

from testopt.backfill.mutate import choose_faults, find_faults, same_code


def _faulty(path, source):
    content = source.encode()
    lines = range(1, content.count(b"\n") + 2)
    return {fault.apply(content).decode() for _, fault in find_faults(path, content, lines)}


@pytest.mark.parametrize(
    ("path", "source", "fault"),
    [
        ("a.go", "if a == b {\n", "if a != b {\n"),
        ("a.go", "if a && b {\n", "if !(a && b) {\n"),
        ("a.go", "x := a || b\n", "x := a && b\n"),
        ("a.go", "for i := 0; i < n; i++ {\n", "for i := 0; i <= n; i++ {\n"),
        ("a.go", "\tsend(a, 1)\n", "\t\n"),
        ("a.ts", "return a > 2;\n", "return null;\n"),
        ("a.ts", "const f = (a) => a >= 2;\n", "const f = (a) => a > 2;\n"),
        ("a.js", "if (f(a) === (1)) {\n", "if (!(f(a) === (1))) {\n"),
        ("a.java", "    i += step;\n", "    i -= step;\n"),
        ("a.java", "    i++;\n", "    i--;\n"),
        ("a.c", "while (i < 10)\n", "while (i < 11)\n"),
        ("a.rs", "let ok = true;\n", "let ok = false;\n"),
        ("a.rb", "return 1 unless x\n", "return 1 if x\n"),
        ("a.php", "$a = $b + $c;\n", "$a = $b - $c;\n"),
        ("a.cs", "    continue;\n", "    break;\n"),
    ],
)
def test_operator(path, source, fault):
    assert fault in _faulty(path, source)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("a.go", "// a == b\n"),
        ("a.go", 's := "a == b"\n'),
        ("a.go", "import f 1\n"),
        ("a.js", "/* a < 1\n b == 2 */\n"),
        ("a.js", "const t = `1 == 2`;\n"),
        ("a.js", "const r = /a==1/;\n"),
        ("a.c", "#define A (1 == 1)\n"),
        ("a.cpp", "std::vector<int> v;\n"),
        ("a.ts", "let m: Map<string, Array<number>>;\n"),
        ("a.go", 'p += "x"\n'),
        ("a.go", "return value\n"),  # what else has its type is not known
        ("a.rb", "# a == b\n"),
        ("a.txt", "1 == 2\n"),
        ("a.go", "a == b // é"[:-1] + "\udce9"),
    ],
)
def test_what_is_left_alone(path, source):
    content = source.encode("utf-8", "surrogateescape")
    assert find_faults(path, content, [1, 2]) == []


def test_a_loop_is_not_made_endless_by_its_step():
    assert not any("i--" in text for text in _faulty("a.go", "for i := 0; i < n; i++ {\n"))


def test_faults_are_chosen_near_the_change_and_keep_what_is_defined():
    lines = [f"func F{n}(x int) bool {{\n\treturn x > {n}\n}}\n" for n in range(20)]
    source = "".join(lines).encode()
    found = find_faults("a.go", source, [29])
    chosen = choose_faults(found, 3, seed="s", sources={"a.go": source})
    assert len(chosen) == 3
    assert {fault.line for fault in chosen} & {29, 26, 32}
    assert all(abs(fault.line - 29) <= 6 for fault in chosen)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("x := 1 // a\n", "x  :=  1\n", True), ("x := 1\n", "x := 2\n", False)],
)
def test_comments_and_layout_are_the_same_code(one, other, same):
    assert same_code(one.encode(), other.encode(), "a.go") is same
