"""What commit messages say."""

import pytest

from testopt.git.messages import explanation_words

pytestmark = pytest.mark.integration


def test_words_below_the_subject_are_counted_without_trailers(make_repo):
    repo = make_repo()
    bodies = {
        "": 0,
        "Three more words.\n\nAnd two.\n\nSigned-off-by: A <a@b>\nFixes: 0123456789ab": 5,
        "修复了一个错误": 4,  # two signs are about a word
        "a\x01b \x02 c": 3,
    }
    shas = {
        repo.commit(f"Subject\n\n{body}", {"a.py": f"{i}\n"}): n
        for i, (body, n) in enumerate(bodies.items())
    }
    unknown = "1" * 40
    assert explanation_words(repo.path, [*shas, unknown]) == shas
    assert explanation_words(repo.path, [unknown]) == {}
    assert explanation_words(repo.path, []) == {}
    early = dict(list(shas.items())[:2])
    repo.git("notes", "add", "-m", "what came later", list(early)[1])
    repo.git("reset", "--hard", list(early)[1])
    repo.git("reflog", "expire", "--expire=now", "--all")
    repo.git("gc", "-q", "--prune=now")
    assert explanation_words(repo.path, list(shas)) == early  # what came later is gone
