"""What must hold for any text, any bag of words and any values."""

from __future__ import annotations

import numpy as np
from builders import make_frame, make_query
from hypothesis import given, settings
from hypothesis import strategies as st

from testopt.code.outline import enclosing, outline
from testopt.features.cofailure import CoFailure
from testopt.schema import FileChange
from testopt.similarity.affinity import affinity_matrix, rank, share
from testopt.similarity.bags import Bags, Corpus
from testopt.similarity.texts import index_file

VALUES = st.lists(st.floats(-10, 10, allow_nan=False), min_size=1, max_size=30).map(np.array)
ROWS = st.lists(st.dictionaries(st.integers(0, 40), st.floats(0.5, 9), max_size=8), max_size=12)
PATHS = st.sampled_from(["src/a.py", "src/b.py", "lib/c.py"])
RUNS = st.lists(st.tuples(st.lists(PATHS, unique=True), st.sets(st.integers(0, 5))), max_size=6)
CASES = tuple(f"tests/t{i // 3}.py::test_{i}" for i in range(6))
SOURCE = st.text(alphabet="abdefls(:)@ \n\t\"'=_1", max_size=300)


@given(VALUES)
def test_ranks_and_shares_lie_between_zero_and_one_and_keep_the_order(values):
    ranks, shares = rank(values), share(values)
    assert ranks.min() >= 0
    assert ranks.max() <= 1
    assert shares.max() <= 1
    order = np.argsort(values)
    assert (np.diff(ranks[order]) <= 1e-12).all()
    assert (np.diff(shares[order]) >= -1e-12).all()


@given(ROWS)
def test_rows_survive_being_taken_in_any_order(rows):
    bags = Bags.of(rows)
    back = bags.take(np.arange(len(rows))[::-1])
    same = [back.row(i) for i in range(len(rows))][::-1]
    assert [r.keys() for r in same] == [r.keys() for r in rows]


@given(ROWS, st.dictionaries(st.integers(0, 40), st.floats(0.5, 9), max_size=8))
def test_a_cosine_lies_between_zero_and_one(rows, query):
    alike = Corpus(Bags.of(rows)).similarity(query)
    assert ((alike >= 0) & (alike <= 1 + 1e-9)).all()


@settings(max_examples=60)
@given(SOURCE, st.sampled_from(["a.py", "a.java", "a.js"]))
def test_any_text_has_an_outline_and_an_index(text, path):
    lines = text.count("\n") + 1
    for one in outline(text, path):
        assert 1 <= one.first <= one.last <= lines
    for one in enclosing(text, path, range(1, lines + 1)):
        assert one in outline(text, path)
    file = index_file(text, path)
    assert len(file.bodies) == len(file.uses) == len(file.names) + 1 == len(file.defines) + 1


def _query(paths):
    files = (FileChange(path, tokens="alpha beta test_3") for path in paths)
    return make_query(CASES, *files)


@settings(max_examples=40)
@given(RUNS, RUNS)
def test_a_run_sees_nothing_of_itself_or_of_later_ones(past, future):
    def read(runs):
        state, seen = CoFailure(), []
        for paths, failed in runs:
            query = _query(paths)
            seen.append((state.read(query), affinity_matrix(query)))
            state.update(make_frame(query, {CASES[i] for i in failed}))
        return seen

    alone, longer = read(past), read([*past, *future])
    for mine, same in zip(alone, longer, strict=False):
        np.testing.assert_array_equal(mine[0], same[0])
        np.testing.assert_array_equal(mine[1], same[1])
