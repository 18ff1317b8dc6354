"""Who decides: a pseudonym, the CI, or nobody knows."""

from testopt.git.decider import who_decides
from testopt.git.pseudonyms import pseudonym

KEY = "a key that is long enough"


def test_who_decides():
    me = {"TESTOPT_KEY": KEY, "GIT_AUTHOR_EMAIL": "Ann@example.org"}
    assert who_decides(None, me) == pseudonym(b"ann@example.org", KEY.encode())
    assert who_decides(None, me | {"CI": "true"}) == "ci"
    assert who_decides(None, me | {"GITLAB_CI": "true"}) == "ci"
    assert who_decides(None, {"TESTOPT_KEY": KEY}) == "unknown"
    assert who_decides(None, me | {"TESTOPT_KEY": "short"}) == "unknown"
