"""Bags of words and their similarity to a query."""

from __future__ import annotations

import numpy as np
import pytest

from testopt.similarity.bags import Bags, Corpus, log_counts, weighted_sum


def test_rows_come_back_as_they_were_put_in():
    bags = Bags.of([{3: 1.0, 1: 2.0}, {}, {7: 0.5}])
    assert [bags.row(i) for i in range(3)] == [{3: 1.0, 1: 2.0}, {}, {7: 0.5}]
    assert len(bags) == 3
    assert bags.owners().tolist() == [0, 0, 2]


def test_take_concat_and_part_agree():
    bags = Bags.of([{1: 1.0}, {}, {2: 1.0, 3: 4.0}])
    again = Bags.concat([bags.part(0), bags.part(1, 3)])
    for mine, same in zip((again.ends, again.words, again.counts),
                          (bags.ends, bags.words, bags.counts), strict=True):  # fmt: skip
        assert mine.tolist() == same.tolist()
    assert bags.take(np.array([2, 0])).row(0) == {2: 1.0, 3: 4.0}
    assert len(Bags.concat([])) == 0


def test_sums_and_maxima_of_empty_rows_are_zero():
    bags = Bags.of([{}, {1: 1.0, 2: 1.0}, {}])
    assert bags.sums(np.array([2.0, 3.0])).tolist() == [0.0, 5.0, 0.0]
    assert bags.maxima(np.array([2.0, 3.0])).tolist() == [0.0, 3.0, 0.0]


def test_a_text_is_most_like_itself_and_rare_words_weigh_more():
    corpus = Corpus(Bags.of([{1: 1.0, 2: 1.0}, {1: 1.0, 3: 1.0}, {1: 1.0}]))
    alike = corpus.similarity({1: 1.0, 2: 1.0})
    assert alike[0] == pytest.approx(1.0)
    assert alike[0] > alike[2] > 0
    assert corpus.similarity({2: 1.0})[1] == 0
    total, most = corpus.overlap({1: 5.0, 2: 1.0})
    assert total[0] > total[1] > 0
    assert most[0] > most[1] == pytest.approx(total[1])


def test_strange_words_make_a_query_longer_and_rows_beyond_the_common_ones_count():
    corpus = Corpus(Bags.of([{1: 1.0}, {2: 1.0}, {9: 1.0}]), common=2)
    assert corpus.similarity({1: 1.0, 77: 1.0})[0] < corpus.similarity({1: 1.0})[0]
    assert corpus.similarity({9: 1.0})[2] == pytest.approx(1.0)


def test_nothing_is_like_nothing():
    assert Corpus(Bags.of([{}, {}])).similarity({1: 1.0}).tolist() == [0.0, 0.0]
    assert Corpus(Bags.of([{1: 1.0}])).similarity({}).tolist() == [0.0]


def test_damping_and_blending():
    assert log_counts({1: 1.0}) == {1: 1.0}
    assert weighted_sum((1.0, {1: 1.0}), (2.0, {1: 1.0, 2: 3.0})) == {1: 3.0, 2: 6.0}
