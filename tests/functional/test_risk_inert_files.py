"""Files in which nothing that runs has changed, told by real diffs."""

import pytest

from testopt.git.change import find_change
from testopt.risk.inert_files import FileEffects, effects_in, file_effects

pytestmark = pytest.mark.integration

C = "int f(int a) {\n  if (a > 0) {\n    return 1;\n  }\n  return a;\n}\n"
PY = "def f(a):\n    if a:\n        return 1\n    return 2\n"
CHANGES = {  # name: path, before, after, nothing that runs has changed
    "re-indented C": ("a.c", C, C.replace("  ", "\t"), True),
    "re-indented Python": ("a.py", PY, PY.replace("    ", "  "), True),
    "joined lines": ("a.rs", "f(\n  a,\n  b\n);\n", "f(a, b);\n".replace(", ", ","), True),
    "comments": ("a.js", "// one\nf();\n", "// two\n\nf();\n", True),
    "inside of a block": ("a.c", "/*\n * one\n */\n" + C, "/*\n * two\n */\n" + C, True),
    "an inverted condition": ("a.c", C, C.replace("a > 0", "a <= 0"), False),
    "a negation": ("a.py", PY, PY.replace("if a", "if not a"), False),
    "another depth": ("b.py", PY, PY.replace("    return 2", "        return 2"), False),
    "a line that was one": ("a.sh", "a\nb\n", "a b\n", False),
    "a text": ("a.md", "a\nb\n", "a b\n", False),
    "settings": ("a.yml", "a:\n  b: 1\n", "a:\n    b: 1\n", False),
    "a pointer": (
        "p.c",
        "void f(int *p) {\n  *p = 1;\n}\n",
        "void f(int *p) {\n  *p = 2;\n}\n",
        False,
    ),
}


def place(name):
    return f"{name.replace(' ', '-')}/{CHANGES[name][0]}"


def test_what_runs_is_told_from_what_does_not(make_repo):
    repo = make_repo()
    repo.commit("before", {place(name): before for name, (_, before, _, _) in CHANGES.items()})
    after = repo.commit("after", {place(name): text for name, (_, _, text, _) in CHANGES.items()})
    expected = frozenset(place(name) for name, (*_, inert) in CHANGES.items() if inert)
    turned = {place("an inverted condition"), place("a negation")}
    assert file_effects(repo.path, [after]) == {after: FileEffects(expected, turned)}
    new = repo.commit("new", {"new.c": "// a comment alone\n"})
    both = file_effects(repo.path, [new, after])
    assert both == {new: FileEffects(), after: FileEffects(expected, turned)}
    assert file_effects(repo.path, ["0" * 40]) == {}

    repo.write("re-indented-C/a.c", C)
    repo.write("a-negation/a.py", PY)
    inert, turned = {"re-indented-C/a.c"}, {"a-negation/a.py"}
    assert effects_in(repo.path, find_change(repo.path)) == FileEffects(inert, turned)
