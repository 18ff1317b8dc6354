"""What Python files say of each other, and which depend on which."""

import textwrap

import numpy as np
import pytest

from testopt.code.words import number
from testopt.impact.edits import edit_of, function_spans
from testopt.impact.import_graph import ImportGraph
from testopt.impact.import_index import Modules, plugins_of
from testopt.impact.python_module import read_module
from testopt.store.arrays import dump_arrays, load_arrays


def graph(files: dict[str, str], plugins=()) -> ImportGraph:
    modules = {p: [read_module(textwrap.dedent(t))] for p, t in files.items() if p.endswith(".py")}
    return ImportGraph(modules, files, plugins)


def depends(text: str, target: str, *, at: str = "tests/test_it.py") -> bool:
    """Tell whether a file with some text depends on a target."""
    files = {
        "pkg/__init__.py": "",
        "pkg/sub/__init__.py": "",
        "pkg/sub/mod.py": "",
        "pkg/other.py": "",
        "pkg/sub/json.py": "",
        "utils.py": "",
        at: text,
    }
    return at in graph(files).dependents([target])


MOD = "pkg/sub/mod.py"


@pytest.mark.parametrize(
    ("text", "target", "expected"),
    [
        ("import pkg.sub.mod", MOD, True),
        ("import pkg.sub.mod as m", "pkg/__init__.py", True),
        ("from pkg.sub import mod", MOD, True),
        ("from pkg.sub import mod", "pkg/sub/__init__.py", True),
        ("from pkg.sub import name", MOD, False),
        ("from pkg.sub import *", MOD, True),
        ("import pkg", MOD, False),
        ("import pkg", "pkg/__init__.py", True),
        ("import utils", "utils.py", True),
        ("import json, os", "utils.py", False),
        ("def f():\n    from pkg.sub.mod import x", MOD, True),
        ("if TYPE_CHECKING:\n    import pkg.sub.mod", MOD, True),
        ("from importlib import import_module\nimport_module('pkg.sub.mod')", MOD, True),
        ("__import__('pkg.sub.mod')", MOD, True),
        ("pytest.importorskip('pkg.sub.mod')", MOD, True),
        ("mock.patch('pkg.sub.mod.name.deep')", MOD, True),
        ("exec('from pkg.sub.mod import x')", MOD, True),
        ("pytest_plugins = ['utils']", "utils.py", True),
        ("x = 'utils'", "utils.py", False),
        ("'''In pkg.sub.mod there is more.'''", MOD, False),
        ("'''\n>>> import pkg.sub.mod\n'''", MOD, True),
        ("import_module(f'pkg.sub.{name}')", MOD, True),
        ("import_module(f'pkg.sub.{name}')", "pkg/other.py", False),
        ("import_module('pkg.sub.%s' % name)", MOD, True),
        ("import_module('pkg.sub.{}'.format(name))", MOD, True),
        ("import_module('.sub.mod', package='pkg')", MOD, True),
        ("import mod", MOD, True),  # nothing else is called so: its folder is on the path
        ("import json", "pkg/sub/json.py", False),
        ("import sys\nsys.path.insert(0, 'pkg/sub')\nimport json", "pkg/sub/json.py", True),
        ("import sys\nsys.path.insert(0, 'pkg/sub')\nimport mod", MOD, True),
    ],
)
def test_what_a_test_file_depends_on(text, target, expected):
    assert depends(text, target) is expected


@pytest.mark.parametrize(
    ("text", "target", "expected"),
    [
        ("from . import mod", MOD, True),
        ("from .mod import x", MOD, True),
        ("from .. import other", "pkg/other.py", True),
        ("from ..other import x", "pkg/other.py", True),
        ("from . import x", "pkg/other.py", False),
        ("from .. import *", "pkg/other.py", True),
        ("", "pkg/sub/__init__.py", True),
        ("", "pkg/__init__.py", True),
        ("", MOD, False),
    ],
)
def test_relative_imports_and_packages_around(text, target, expected):
    assert depends(text, target, at="pkg/sub/at.py") is expected


def test_folders_of_tests_need_not_be_packages():
    files = {
        "tests/helpers.py": "",
        "tests/unit/test_a.py": "import helpers",
        "tests/unit/conftest.py": "",
        "tests/conftest.py": "import boot",
        "boot.py": "",
        "src/thing/__init__.py": "",
        "tests/web/test_b.py": "import thing",
    }
    found = graph(files)
    assert "tests/unit/test_a.py" in found.dependents(["tests/helpers.py"])
    assert "tests/web/test_b.py" in found.dependents(["src/thing/__init__.py"])
    assert "tests/web/test_b.py" not in found.dependents(["tests/unit/conftest.py"])
    assert "tests/unit/test_a.py" in found.dependents(["tests/unit/conftest.py"])
    way = found.dependents(["boot.py"])
    assert {"tests/unit/test_a.py", "tests/web/test_b.py"} <= way.keys()
    assert way["tests/web/test_b.py"] == "tests/conftest.py"


def test_two_files_of_one_name_are_both_meant():
    found = graph({"a/x.py": "", "b/x.py": "", "test_it.py": "import x"})
    assert all("test_it.py" in found.dependents([path]) for path in ("a/x.py", "b/x.py"))


@pytest.mark.parametrize(
    "text",
    [
        "import_module(name)",
        "__import__(name)",
        "import_module(f'{package}.x')",
        "from importlib import import_module as im\nim('a')",
        "list(map(import_module, names))",
        "for m in pkgutil.walk_packages(path): pass",
        "importlib.metadata.entry_points(group='x')",
        "runpy.run_path(path)",
        "def broken(:",
    ],
)
def test_imports_that_cannot_be_told(text):
    found = graph({"a.py": text, "test_it.py": "import a", "test_other.py": ""})
    assert found.unknowable() == {"a.py": "a.py", "test_it.py": "a.py"}


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("import subprocess\nsubprocess.run([sys.executable, '-m', 'x'])", "test_it.py", True),
        ("import subprocess\nsubprocess.run(command)", "test_it.py", True),
        ("import subprocess\nsubprocess.run(['git', 'init'])", "test_it.py", False),
        ("from subprocess import check_output\ncheck_output('git log')", "test_it.py", False),
        ("import os\nos.system('make all')", "test_it.py", True),
        ("def test_x(pytester): pass", "test_it.py", True),
        ("asyncio.run(main())", "test_it.py", False),
        ("import subprocess\nsubprocess.run(command)", "pkg.py", False),
        ("import subprocess\nsubprocess.run([sys.executable])", "pkg.py", True),
    ],
)
def test_files_that_start_processes(text, path, expected):
    assert (path in graph({path: text}).starters()) is expected


@pytest.mark.parametrize(
    ("text", "data", "expected"),
    [
        ("open('table.json')", "src/table.json", {"a.py"}),
        ("open('src/' + 'table' + '.json')", "src/table.json", {"a.py"}),
        ("Path('src').glob('*.json')", "src/table.json", {"a.py"}),
        ("Path().rglob('**/*')", "src/table.json", {"a.py"}),
        ("for p in DATA / 'fixtures': pass", "tests/fixtures/x.dat", {"a.py"}),
        ("'*'", "src/table.json", None),
        ("", "src/table.json", None),
        ("", "beside.json", None),
        ("open('beside.json')", "beside.json", {"a.py", "b.py"}),
        ("open('README.md')", "docs/README.md", {"a.py"}),
        ("", "docs/README.md", set()),
        ("", "docs/page.rst", set()),
        ("", "docs/page.txt", None),
        ("", "README.md", set()),
        ("", "LICENSE", set()),
        ("open('README.md')", "README.md", {"a.py", "b.py"}),
        ("", "pkg/notes.md", None),
    ],
)
def test_who_may_read_a_file(text, data, expected):
    files = {"a.py": text, "b.py": "", "pkg/c.py": "", data: ""}
    assert graph(files).readers(data) == expected


def test_plugins_of_the_project_run_in_every_case():
    texts = {
        "pyproject.toml": '[project.entry-points.pytest11]\nmine = "pkg.plugin"\n[x]\ny = "z"\n',
        "setup.cfg": "[options.entry_points]\npytest11 =\n    it = pkg.it\n",
        "pytest.ini": "[pytest]\naddopts = -q -p pkg.other -p no:cacheprovider\n",
    }
    assert plugins_of(texts) == ["pkg.plugin", "pkg.it", "pkg.other"]
    files = {"pkg/__init__.py": "", "pkg/plugin.py": "", "tests/test_it.py": ""}
    assert "tests/test_it.py" in graph(files, ["pkg.plugin"]).dependents(["pkg/plugin.py"])


FUNCTIONS = """\
import functools

LIMIT = 1


class Shape:
    sides = 3

    def area(self):
        def inner():
            return 1
        return inner()

    @property
    def name(self): return "x"

    @name.setter
    def name(self, value):
        self.value = value


async def fetch(limit=LIMIT):
    '''Docs.'''
    return limit
"""


@pytest.mark.parametrize(
    ("old", "new", "how", "functions"),
    [
        ("return 1", "return 2", "bodies", {"Shape.area"}),
        ("self.value = value", "pass", "bodies", {"Shape.name#2"}),
        ("return limit", "return limit  # remark", "nothing", set()),
        ("\n\nclass", "\n\n\n\nclass", "nothing", set()),
        ("Docs", "Other docs", "bodies", {"fetch"}),
        ("limit=LIMIT", "limit=2", "module", set()),
        ("sides = 3", "sides = 4", "module", set()),
        ("LIMIT = 1", "LIMIT = 2", "module", set()),
        ("@property", "@functools.cached_property", "module", set()),
        ("async def", "def", "module", set()),
        ("async def fetch", "def more(): pass\nasync def fetch", "module", set()),
        ("class Shape", "class Shape(", "module", set()),
    ],
)
def test_what_a_change_does_to_a_module(old, new, how, functions):
    edit = edit_of("a.py", FUNCTIONS, FUNCTIONS.replace(old, new, 1))
    assert (edit.extent, edit.functions) == (how, functions)


@pytest.mark.parametrize(
    ("path", "old", "new", "how"),
    [
        ("a.py", None, "x = 1", "module"),
        ("a.py", "x = 1", None, "module"),
        ("a.pyi", "x: int", "x: str", "nothing"),
        ("a.json", None, None, "data"),
        ("src/fast.pyx", None, None, "everything"),
        ("main.go", None, None, "everything"),
        ("poetry.lock", None, None, "everything"),
        ("setup.py", "x = 1", "x = 2", "everything"),
        ("setup.py", "x = 1", "x = 1", "nothing"),
    ],
)
def test_what_a_change_does_to_a_file(path, old, new, how):
    assert edit_of(path, old, new).extent == how


def test_lines_of_functions():
    spans = dict(function_spans(FUNCTIONS))
    assert spans["Shape.area"] == range(10, 13)
    assert spans["Shape.name"] == range(15, 16)
    assert spans["fetch"] == range(23, 25)
    assert function_spans("def broken(:") == []


def uses_at_import(text: str, name: str) -> bool:
    files = {"a.py": "def target():\n    pass\n" + textwrap.dedent(text)}
    return number(name) in graph(files).early()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("X = target()", True),
        ("class A:\n    x = target()", True),
        ("def f():\n    return target()", False),
        ("def f():\n    return target()\nX = f()", True),
        ("def f(x=target()): pass", True),
        ("@target\ndef f(): pass", True),
        ("@lru_cache\ndef f():\n    return target()", True),
        ("@pytest.fixture\ndef f():\n    return target()", True),
        ("def setup_module():\n    target()", True),
        ("K = {}\ndef f():\n    K[1] = target()", True),
        ("def f():\n    k = {}\n    k[1] = target()", False),
        ("def f():\n    global k\n    k = target()", True),
        ("class A:\n    def f(self):\n        self.x = target()", False),
        ("class A:\n    @classmethod\n    def f(cls):\n        cls.x = target()", True),
        ("class A:\n    def __eq__(self, other):\n        return target()", True),
        ("class A:\n    def __init__(self):\n        target()", False),
        ("class A:\n    def __init__(self):\n        target()\nX = A()", True),
        ("X = getattr(m, 'target')()", True),
    ],
)
def test_what_may_run_at_import_or_for_others(text, expected):
    assert uses_at_import(text, "target") is expected


def test_facts_survive_a_file(tmp_path):
    texts = {"a": FUNCTIONS, "b": "import a\nopen('*.txt')", "c": "import_module(x)"}
    modules, again = Modules(tmp_path), Modules(tmp_path)
    for name, text in texts.items():
        modules.put(name, text)
    assert modules.has_news(texts)
    assert not modules.has_news(["other"])
    arrays = load_arrays(dump_arrays(modules.dump([*texts, "other"])))
    again.load(arrays)
    assert not again.has_news(texts)
    for path, first in modules.read({name: name for name in texts}).items():
        second = again.read({path: path})[path]
        for field in ("imports", "beneath", "globs", "names", "dynamic", "starts"):
            assert getattr(first, field) == getattr(second, field)
        for field in ("literals", "ends", "used"):
            np.testing.assert_array_equal(getattr(first, field), getattr(second, field))
    assert len(modules.dump(["a"])["flags"]) == 1
    arrays["used"] = arrays["used"][:-1]
    with pytest.raises((ValueError, IndexError)):
        Modules(tmp_path).load(arrays)
