"""Fixes and reverts by their subject line."""

import re

import pytest

from testopt.git.subjects import fix_matcher, is_fix, is_revert


@pytest.mark.parametrize(
    "subject",
    [
        "Fix crash on empty input",
        "fixes #12",
        "bugfix: off by one",
        "hotfix for login",
        "Fixed a regression in parsing",
        "Handle error when the file is missing",
        "Closes #44",
        "resolve #7 by waiting",
        "Merge pull request #3 from a/fix-it",
        "Correct wrong rounding",
    ],
)
def test_fix(subject):
    assert is_fix(subject)


@pytest.mark.parametrize(
    "subject",
    [
        "Add prefix option",
        "New fixture for databases",
        "Add suffix",
        "Fix typo in README",
        "Fix docs",
        "Release 1.0",
        "Close the file",
        "Debugging output",
        "",
    ],
)
def test_no_fix(subject):
    assert not is_fix(subject)


def test_own_pattern_decides_alone():
    own = fix_matcher(r"^PROJ-\d+")
    assert is_fix("proj-12 docs", own)
    assert not is_fix("Fix crash", own)
    with pytest.raises(re.error):
        fix_matcher("(")


def test_empty_pattern_is_the_built_in_one():
    assert is_fix("Fix crash", fix_matcher(""))
    assert not is_fix("Fix typo", fix_matcher(""))


def test_revert():
    assert is_revert('Revert "Add x"')
    assert is_revert("Reapply the parser change")
    assert is_revert("Backed out changeset 12ab")
    assert not is_revert("Add a way to revert")
    assert not is_revert("Reverting_state: rename")
