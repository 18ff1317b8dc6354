"""Whatever a random edit of a random package does to a case, the case counts as affected."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testopt.impact.edits import edit_of, function_spans
from testopt.impact.import_graph import ImportGraph
from testopt.impact.python_module import read_module
from testopt.impact.safe_selection import CaseCoverage, DependencyEvidence, affected

pytestmark = pytest.mark.integration

pytest.importorskip("coverage")

# Runs the cases of a project in a new process: `before` while measuring, `after` without.
RUNNER = """
import importlib.util, json, os, sys, types

def load(path):
    spec = importlib.util.spec_from_file_location(os.path.basename(path)[:-3], path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module

def run(root, cov):
    os.chdir(root)
    sys.path[:0] = [root, root + "/tests"]
    pytest = types.ModuleType("pytest")
    pytest.fixture = lambda scope="function": lambda f: setattr(f, "scope", scope) or f
    sys.modules["pytest"] = pytest
    kept, seen = {}, {}
    conftest = load(root + "/tests/conftest.py")

    def fixture(name):
        made = getattr(conftest, name)
        if made.scope == "session":
            if name not in kept:
                kept[name] = made()
            return kept[name]
        return made()

    files = sorted(n for n in os.listdir("tests") if n.startswith("test_"))
    modules = [(n, load(root + "/tests/" + n)) for n in files]
    for file, module in modules:
        for name, case in vars(module).items():
            if name.startswith("test_"):
                node = f"tests/{file}::{name}"
                args = case.__code__.co_varnames[: case.__code__.co_argcount]
                cov and cov.switch_context(node + "|setup")
                try:
                    values = [fixture(a) for a in args]
                    cov and cov.switch_context(node + "|run")
                    seen[node] = repr(case(*values))
                except Exception as error:
                    seen[node] = repr(error)
    return seen

before, after, out = sys.argv[1:4]
import coverage
child = os.fork()
if child == 0:
    json.dump(run(after, None), open(out + "/after.json", "w"))
    os._exit(0)
cov = coverage.Coverage(data_file=None, include=[before + "/*"], config_file=False)
cov.start()
seen = run(before, cov)
cov.stop()
data = cov.get_data()
lines = {}
for path in data.measured_files():
    for line, contexts in data.contexts_by_lineno(path).items():
        for context in contexts:
            lines.setdefault(context, {}).setdefault(os.path.relpath(path, before), []).append(line)
os.waitpid(child, 0)
json.dump({"seen": seen, "lines": lines}, open(out + "/before.json", "w"))
os._exit(0)
"""
COUNT = 3


def module(number: int, draw) -> list[str]:
    """Return the lines of one module, which may use those of smaller numbers."""
    lower = draw(st.integers(0, number - 1)) if number else None
    uses = f" + f{lower}(x)" if lower is not None else ""
    how = draw(st.sampled_from(["top", "inside", "package", "dynamic", "none"]))
    lines = ["import functools, importlib, os"]
    inside = []
    if lower is None or how == "none":
        uses = ""
    elif how == "top":
        lines.append(f"from pkg.m{lower} import f{lower}, C{lower}")
    elif how == "package":
        lines.append(f"from . import m{lower}")
        uses = f" + m{lower}.C{lower}().method()"
    elif how == "inside":
        inside = [f"    from .m{lower} import f{lower}"]
    else:
        inside = [f"    f{lower} = importlib.import_module('pkg.' + 'm{lower}').f{lower}"]
    early = draw(st.booleans())
    lines += [
        f"CONSTANT = {number}",
        f"def helper{number}(x):",
        f"    return x * 2 + {number}",
        f"EARLY = helper{number}(3)" if early else "EARLY = 0",
        f"class C{number}:",
        f"    attribute = {number}",
        "    def method(self):",
        f"        return self.attribute + {number} + EARLY",
        f"def f{number}(x):",
        *inside,
        f"    return x + CONSTANT + EARLY + {number}{uses}",
        f"def data{number}():",
        "    with open(os.path.join(os.path.dirname(__file__), 'table.txt')) as file:",
        "        return file.read()",
        "@functools.lru_cache",
        f"def cached{number}():",
        f"    return f{number}({number})",
        "_KEPT = {}",
        f"def kept{number}():",
        "    if not _KEPT:",
        f"        _KEPT['it'] = helper{number}({number})",
        "    return _KEPT['it']",
        f"def unused{number}():",
        f"    return {number}",
    ]
    return lines


CALLS = ("f{}(1)", "C{}().method()", "data{}()", "cached{}()", "kept{}()", "EARLY + {}")


@st.composite
def projects(draw) -> tuple[dict[str, str], dict[str, str]]:
    """Return the files of a project before and after an edit of one number."""
    files = {f"pkg/m{n}.py": module(n, draw) for n in range(COUNT)}
    files["pkg/table.txt"] = ["7"]
    files["pkg/__init__.py"] = draw(st.sampled_from([[], ["from .m1 import f1"]]))
    scope = draw(st.sampled_from(["", "scope='session'"]))
    used = draw(st.integers(0, COUNT - 1))
    files["tests/conftest.py"] = [
        "import pytest",
        f"from pkg import m{used}",
        f"@pytest.fixture({scope})",
        "def value():",
        f"    return m{used}.f{used}(5)",
    ]
    # most cases meet in one module and one call, where one can leave something to the other
    focus, favourite = draw(st.integers(0, COUNT - 1)), draw(st.sampled_from(CALLS))
    for n in range(2):
        chosen = draw(st.sampled_from([focus, *range(COUNT)]))
        files[f"tests/test_{n}.py"] = [f"from pkg.m{chosen} import *"]
        for case in range(2):
            call = draw(st.sampled_from([favourite, draw(st.sampled_from(CALLS))])).format(chosen)
            args, more = draw(st.sampled_from([("", ""), ("value", ", value")]))
            files[f"tests/test_{n}.py"] += [
                f"def test_{case}({args}):",
                f"    return {call}, 1{more}",
            ]
    before = {path: "\n".join(lines) + "\n" for path, lines in files.items()}
    places = [
        (path, at)
        for path, text in before.items()
        for at, (one, two) in enumerate(pairwise(text))
        if one in " (" and two.isdigit()
    ] + [("pkg/table.txt", -1)]
    near = [place for place in places if place[0] == f"pkg/m{focus}.py"]
    path, at = draw(st.sampled_from(draw(st.sampled_from([near, places]))))
    text = before[path]
    return before, before | {path: text[: at + 1] + "9" + text[at + 2 :]}


def executed(before: dict[str, str], after: dict[str, str], folder: Path):
    """Return what each case gave before and after, and the lines it ran before."""
    for name, files in (("before", before), ("after", after)):
        for path, text in files.items():
            target = folder / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, folder / "before", folder / "after", folder],
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "COVERAGE_CORE": "ctrace"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((folder / "before.json").read_text())
    return found["seen"], json.loads((folder / "after.json").read_text()), found["lines"]


def evidence_of(before, after, cases, lines) -> tuple[list, DependencyEvidence]:
    """Return the touches of the edit, and the evidence as of the commit before it."""
    edits = [edit_of(p, before[p], after[p]) for p in before if before[p] != after[p]]
    versions = {
        p: [read_module(before[p]), read_module(after[p])] for p in before if p.endswith(".py")
    }
    definitions = {case: tuple(case.split("::")) for case in cases}
    spans = {p: function_spans(text) for p, text in before.items() if p.endswith(".py")}
    ran = {
        context: frozenset(
            (path, name)
            for path, numbers in files.items()
            for name, span in spans[path]
            if not set(numbers).isdisjoint(span)
        )
        for context, files in lines.items()
    }
    shared = [places for context, places in ran.items() if not context.endswith("|run")]
    evidence = DependencyEvidence(
        graph=ImportGraph(versions, before),
        definitions=definitions,
        coverage={case: CaseCoverage("c", ran.get(f"{case}|run", frozenset())) for case in cases},
        shared={"c": frozenset().union(*shared)},
        measured={"c": frozenset(path for files in lines.values() for path in files)},
        since={"c": tuple(edits)},
    )
    return edits, evidence


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(projects())
def test_what_changes_is_affected(tmp_path_factory, project):
    before, after = project
    first, second, lines = executed(before, after, tmp_path_factory.mktemp("project"))
    assert first.keys() == second.keys() != set()
    differ = {case for case in first if first[case] != second[case]}
    edits, narrowed = evidence_of(before, after, list(first), lines)
    wide = DependencyEvidence(narrowed.graph, narrowed.definitions)
    for evidence in (narrowed, wide):
        impact = affected(edits, evidence, list(first))
        assert differ <= impact.affected.keys(), (differ, impact, after)
        assert impact.affected.keys() | impact.clear.keys() == first.keys()
