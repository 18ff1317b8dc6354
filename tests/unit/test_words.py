"""Words: identifiers, their parts, and numbers."""

from __future__ import annotations

import pytest

from testopt.features.words import identifiers, name_number, number, text_words, words_of


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("group_typedLiteral", ("group_typedliteral", "group", "typed", "literal")),
        ("HTTPServer2", ("httpserver2", "http", "server")),
        ("parse", ("parse",)),
        ("Parse", ("parse",)),
        ("__init__", ("__init__", "init")),
        ("x", ("x",)),
        ("42", ("42",)),
        ("größe", ("größe", "gr", "öß")),
        ("日本", ("日本",)),
        ("return", ()),
        ("test_return", ("test_return",)),
    ],
)
def test_a_token_gives_itself_and_its_parts(token, words):
    assert words_of(token) == words


def test_identifiers_keep_order_and_repeats():
    assert identifiers("a_b = foo(foo, 3)") == ["a_b", "foo", "foo"]


def test_words_of_a_text_are_counted_with_those_inside_strings():
    found = text_words("lexer.add_keyword('SELECT', select)")
    assert found[number("select")] == 2
    assert found[number("keyword")] == 1
    assert number("add") in found


def test_exact_names_and_words_have_different_numbers():
    assert name_number("parse") != number("parse")
    assert name_number("Parse") != name_number("parse")
