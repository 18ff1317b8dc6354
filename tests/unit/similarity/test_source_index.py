"""The index of sources: kept as arrays, and only as what the same grammars read."""

import pytest

from testopt.similarity import source_index
from testopt.similarity.source_index import SourceIndex


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
