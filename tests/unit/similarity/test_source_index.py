"""The index of sources: kept as arrays, and only as what the same grammars read."""

import numpy as np
import pytest

from testopt.similarity import source_index
from testopt.similarity.source_index import SourceIndex
from testopt.similarity.texts import index_file


def indexed(tmp_path, path, text):
    index = SourceIndex(tmp_path)
    return index, index.put(text, path)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.py", "def f():\n    pass\n"),
        ("a.test.js", "describe('out\tside', () => {\n  it('is', () => {\n  });\n});\n"),
    ],
)
def test_what_is_kept_is_read_again(tmp_path, path, text):
    index, name = indexed(tmp_path, path, text)
    again = SourceIndex(tmp_path)
    again.load(index.dump(index.objects()))
    assert again.get(name).names == index.get(name).names


def test_an_index_by_other_grammars_is_read_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(source_index, "languages", frozenset)
    python, _ = indexed(tmp_path, "a.py", "def f():\n    pass\n")
    index, _ = indexed(tmp_path, "a.c", "int\nf(void)\n{\n}\n")
    kept = [each.dump(each.objects()) for each in (python, index)]
    monkeypatch.setattr(source_index, "languages", lambda: frozenset({"c"}))
    SourceIndex(tmp_path).load(kept[0])
    with pytest.raises(ValueError, match="other grammars"):
        SourceIndex(tmp_path).load(kept[1])


def test_a_loaded_index_says_by_which_grammars_when_it_is_kept_again(tmp_path, monkeypatch):
    monkeypatch.setattr(source_index, "languages", lambda: frozenset({"c"}))
    index, _ = indexed(tmp_path, "a.c", "int\nf(void)\n{\n}\n")
    again = SourceIndex(tmp_path)
    again.load(index.dump(index.objects()))
    kept = again.dump(again.objects())
    monkeypatch.setattr(source_index, "languages", frozenset)
    with pytest.raises(ValueError, match="other grammars"):
        SourceIndex(tmp_path).load(kept)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("src/a.rs", "fn f() {\n    g();\n}\n\n#[test]\nfn test_f() {\n    f();\n}\n"),
        ("pkg/a.py", "def f():\n    g()\n\ndef test_f():\n    f()\n"),
    ],
)
def test_the_calls_of_a_source_are_the_same_where_it_holds_cases(path, text):
    """Else features would depend on which runs were read before."""
    cases, alone = index_file(text, path), index_file(text, path, words=False)
    assert cases.names == alone.names
    for field in ("ends", "words", "counts"):
        np.testing.assert_array_equal(getattr(cases.uses, field), getattr(alone.uses, field))
