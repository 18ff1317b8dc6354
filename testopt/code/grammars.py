"""Definitions of a source file as its grammar tells them, by tree-sitter.

The grammars are the extra ``testopt[languages]``, one wheel for each language; without them
`definitions` returns None, and `testopt.code.outline` goes by indentation.
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Language, Node, Parser, Query, Tree

    _Grammar = tuple[Parser, Query]

MAX_TEXT: Final = 500_000  # characters; a longer file is generated, and broken ones take 10 us each
# A query takes time that is quadratic in the children of a node that is not understood, and in the
# depth of a tree: 0.3 s for 20,000 of either. Some places of a text tell whether it is such a one.
_MAX_DEPTH: Final = 1000
_MAX_LINE: Final = 10_000  # bytes; longer lines are data, minified or no program
_MAX_OPEN: Final = 200  # brackets; 16,000 open ones took 400 MB in TypeScript
_MAX_BROKEN: Final = 2000
_PLACES: Final = 64
_STEPS: Final = bytes(1 if c in b"([{" else 255 if c in b")]}" else 0 for c in range(256))

# What a language calls a definition. Captures: @class and @function are definitions from first to
# last line, @name their name, @owner the type that a method is written for; @call is a call of a
# function @verb that may define a test called @title.
_C: Final = """
(function_definition declarator: (_) @name) @function
(struct_specifier name: (_) @name body: (_)) @class
(union_specifier name: (_) @name body: (_)) @class
(enum_specifier name: (_) @name body: (_)) @class
(type_definition type: (struct_specifier !name body: (_)) declarator: (_) @name) @class
(preproc_function_def name: (_) @name) @function
"""
_CPP: Final = f"""{_C}
(class_specifier name: (_) @name body: (_)) @class
(namespace_definition name: (_) @name) @class
"""
_ECMASCRIPT: Final = """
(class_declaration name: (_) @name) @class
(function_declaration name: (_) @name) @function
(generator_function_declaration name: (_) @name) @function
(method_definition name: (_) @name) @function
(variable_declarator name: (identifier) @name
  value: [(arrow_function) (function_expression) (generator_function)]) @function
(variable_declarator name: (identifier) @name value: (class)) @class
(pair key: (_) @name value: [(arrow_function) (function_expression)]) @function
(assignment_expression left: (member_expression property: (_) @name)
  right: [(arrow_function) (function_expression)]) @function
(call_expression function: (_) @verb
  arguments: (arguments . [(string) (template_string)] @title)) @call
"""
_JAVASCRIPT: Final = f"""{_ECMASCRIPT}
(field_definition property: (_) @name value: [(arrow_function) (function_expression)]) @function
"""
_TYPESCRIPT: Final = f"""{_ECMASCRIPT}
(public_field_definition name: (_) @name
  value: [(arrow_function) (function_expression)]) @function
(abstract_class_declaration name: (_) @name) @class
(interface_declaration name: (_) @name) @class
(enum_declaration name: (_) @name) @class
(internal_module name: (_) @name) @class
"""
_QUERIES: Final = {
    "c": _C,
    "c++": _CPP,
    "c#": """
(class_declaration name: (_) @name) @class
(struct_declaration name: (_) @name) @class
(interface_declaration name: (_) @name) @class
(record_declaration name: (_) @name) @class
(enum_declaration name: (_) @name) @class
(method_declaration name: (_) @name) @function
(constructor_declaration name: (_) @name) @function
(property_declaration name: (_) @name) @function
(local_function_statement name: (_) @name) @function
""",
    "go": """
(function_declaration name: (_) @name) @function
(method_declaration receiver: (parameter_list (parameter_declaration type: (_) @owner))
  name: (_) @name) @function
(type_declaration (type_spec name: (_) @name type: [(struct_type) (interface_type)])) @class
""",
    "java": """
(class_declaration name: (_) @name) @class
(interface_declaration name: (_) @name) @class
(enum_declaration name: (_) @name) @class
(record_declaration name: (_) @name) @class
(annotation_type_declaration name: (_) @name) @class
(method_declaration name: (_) @name) @function
(constructor_declaration name: (_) @name) @function
(compact_constructor_declaration name: (_) @name) @function
""",
    "javascript": _JAVASCRIPT,
    "typescript": _TYPESCRIPT,
    "php": """
(class_declaration name: (_) @name) @class
(interface_declaration name: (_) @name) @class
(trait_declaration name: (_) @name) @class
(enum_declaration name: (_) @name) @class
(function_definition name: (_) @name) @function
(method_declaration name: (_) @name) @function
""",
    "ruby": """
(class name: (_) @name) @class
(module name: (_) @name) @class
(method name: (_) @name) @function
(singleton_method name: (_) @name) @function
(call method: (_) @verb arguments: (argument_list . (_) @title) block: (_)) @call
""",
    "rust": """
(function_item name: (_) @name) @function
(macro_definition name: (_) @name) @function
(impl_item type: (_) @name) @class
(trait_item name: (_) @name) @class
(mod_item name: (_) @name body: (_)) @class
(struct_item name: (_) @name) @class
(enum_item name: (_) @name) @class
(union_item name: (_) @name) @class
""",
}
_MODULES: Final = {
    "c": "tree_sitter_c",
    "c++": "tree_sitter_cpp",
    "c#": "tree_sitter_c_sharp",
    "typescript": "tree_sitter_typescript",
    **{name: f"tree_sitter_{name}" for name in ("go", "java", "javascript", "php", "ruby", "rust")},
}
_FACTORIES: Final = {"typescript": "language_typescript", "php": "language_php"}
_TEST_VERBS: Final = frozenset(
    [
        "describe",
        "context",
        "suite",
        "it",
        "test",
        "specify",
        "bench",
        "feature",
        "scenario",
        "shared_examples",
        "shared_examples_for",
        "shared_context",
    ]
)
_TEST_MACROS: Final = frozenset({"TEST", "TEST_F", "TEST_P", "TYPED_TEST", "TYPED_TEST_P"})
_MARKS: Final = frozenset({"attribute_item", "decorator", "inner_attribute_item"})
# Nodes around the name in a declarator of C and C++: pointers, references, arrays, parameters.
_WRAPPERS: Final = "declarator"


@dataclass(frozen=True, slots=True)
class Span:
    """A definition: its own name, its first and last line from 1."""

    name: str
    first: int
    last: int
    is_class: bool


def languages() -> frozenset[str]:
    """Return the languages whose grammars are installed."""
    if importlib.util.find_spec("tree_sitter") is None:
        return frozenset()
    return frozenset(name for name, module in _MODULES.items() if importlib.util.find_spec(module))


def supported(language: str) -> bool:
    """Tell whether there is a grammar for a language, installed or not."""
    return language in _QUERIES


def definitions(text: str, path: str, language: str) -> list[Span] | None:
    """Return the definitions of a source text; None where no grammar reads it.

    Parameters
    ----------
    text : str
        Content of the file. Broken text is read as far as it can be.
    path : str
        Its path: ``.tsx`` has a grammar of its own.
    language : str
        As `testopt.code.paths.language_of` says.

    Returns
    -------
    list of Span, or None
        In order; an outer one comes before those inside of it.
    """
    if len(text) > MAX_TEXT:
        return None
    # Headers of C may be those of C++, whose grammar reads both.
    special = {"tsx": "tsx", "jsx": "tsx", "h": "c++"}.get(path.rpartition(".")[2])
    grammar = _grammar(special or language)
    if grammar is None:
        return None
    from tree_sitter import QueryCursor

    parser, query = grammar
    data = text.encode("utf-8", "replace")
    if max(map(len, data.split(b"\n"))) > _MAX_LINE or _most_open(data) > _MAX_OPEN:
        return None
    tree = parser.parse(data)
    if _is_hard(tree, len(data)):
        return None
    spans = [
        span
        for _, captures in QueryCursor(query).matches(tree.root_node)
        if (span := _span(captures))
    ]
    return sorted(dict.fromkeys(spans), key=lambda s: (s.first, -s.last, not s.is_class))


@lru_cache(len(_QUERIES) + 1)
def _grammar(language: str) -> _Grammar | None:
    """Return the parser and the query of a language, where its wheel is installed and fits."""
    base = "typescript" if language == "tsx" else language
    if base not in _QUERIES or base not in languages():
        return None
    from tree_sitter import Language, Parser, Query

    module = importlib.import_module(_MODULES[base])
    factory = "language_tsx" if language == "tsx" else _FACTORIES.get(base, "language")
    grammar: Language = Language(getattr(module, factory)())
    return Parser(grammar), Query(grammar, _QUERIES[base])


def _most_open(data: bytes) -> int:
    """Return how many brackets are open at once, at most; those in strings and comments count."""
    steps = np.frombuffer(data.translate(_STEPS), np.int8).cumsum(dtype=np.int32)
    return int((steps - np.minimum.accumulate(steps)).max(initial=0))


def _is_hard(tree: Tree, size: int) -> bool:
    """Tell whether a query would take minutes, as it does of no program."""
    for place in range(0, size, size // _PLACES + 1):
        cursor = tree.walk()
        while True:
            node = cursor.node
            broken = node is not None and node.is_error and node.child_count > _MAX_BROKEN
            if broken or cursor.depth > _MAX_DEPTH:
                return True
            if cursor.goto_first_child_for_byte(place) is None:
                break
    return False


def _span(captures: dict[str, list[Node]]) -> Span | None:
    if "call" in captures:
        node, name = captures["call"][0], _title(captures["verb"][0], captures["title"][0])
    else:
        node = (captures.get("class") or captures["function"])[0]
        name = _name(captures["name"][0])
    if "owner" in captures:
        name = f"{_text(captures['owner'][0]).lstrip('*').partition('[')[0]}.{name}"
    name = " ".join(name.split())  # one line, without tabs: indexes of sources are kept so
    if not name:
        return None
    row, column = node.end_point  # a directive ends with its line
    return Span(name, _first_line(node), row + (column > 0), "class" in captures)


def _first_line(node: Node) -> int:
    """Return the line where a definition begins: its decorators, attributes and template count."""
    if node.parent is not None and node.parent.type in {"template_declaration", "export_statement"}:
        node = node.parent
    before = node.prev_sibling
    while before is not None and before.type in _MARKS:
        node, before = before, before.prev_sibling
    return node.start_point[0] + 1


def _name(node: Node) -> str:
    """Return the name inside of a declarator; a test macro is named by its arguments."""
    inner: Node | None = node
    while inner is not None and inner.type.endswith(_WRAPPERS):
        named = inner.child_by_field_name("declarator")
        if named is None:
            named = next((c for c in inner.named_children if not c.type.endswith("list")), None)
        if named is not None and _text(named) in _TEST_MACROS:
            return ".".join(_arguments(inner))
        inner = named
    return "" if inner is None else _plain(_text(inner))


def _arguments(declarator: Node) -> Iterator[str]:
    parameters = declarator.child_by_field_name("parameters")
    for child in parameters.named_children if parameters is not None else ():
        yield _text(child)


def _title(verb: Node, title: Node) -> str:
    """Return the title of a test that a call defines, else nothing."""
    word = _text(verb).partition("(")[0].partition(".")[0]
    if word not in _TEST_VERBS and not (word == "RSpec" and "describe" in _text(verb)):
        return ""
    return _text(title).strip("'\"`").partition("\n")[0]


def _plain(name: str) -> str:
    """Return a name with dots between its parts, without type arguments."""
    return name.partition("<")[0].replace("::", ".").strip("'\"`: ")


def _text(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "replace")
