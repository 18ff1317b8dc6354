"""Words: identifiers, their parts, and numbers."""

from __future__ import annotations

import pytest

from testopt.code.words import (
    identifiers,
    name_number,
    stem,
    text_words,
    word_number,
    words_of,
)


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
    assert found[word_number("select")] == 2
    assert found[word_number("keyword")] == 1
    assert word_number("add") in found


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("token", "tokens"),
        ("case", "cases"),
        ("class", "classes"),
        ("match", "matches"),
        ("entry", "entries"),
        ("parse", "parses"),
    ],
)
def test_a_word_and_its_plural_are_one(one, many):
    assert stem(one) == stem(many)
    assert word_number(one) == word_number(many)


@pytest.mark.parametrize("word", ["as", "bus", "class", "axis", "status", "this", "is", "1000"])
def test_what_is_no_plural_stays(word):
    assert stem(word) == word


def test_exact_names_and_words_have_different_numbers():
    assert name_number("parse") != word_number("parse")
    assert name_number("tokens") != name_number("token")
    assert name_number("Parse") != name_number("parse")
