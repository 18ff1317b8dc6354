"""Fixes by a user's pattern, and reverts by their subject line."""

import pytest

from testopt.errors import SettingsError
from testopt.git.fix_words import FileCounts
from testopt.git.subjects import FixJudge, is_revert

CODE = [FileCounts("src/a.py", 3, 1)]


def test_own_pattern_decides_alone():
    own = FixJudge(r"^PROJ-\d+")
    assert own.judge("proj-12 docs", CODE).is_fix
    assert not own.judge("Fix crash", CODE).is_fix
    assert not own.judge("proj-12 docs", CODE, issue_type="feature").is_fix
    with pytest.raises(SettingsError, match="fix_pattern"):
        FixJudge("(")


def test_empty_pattern_is_what_is_built_in():
    assert FixJudge().judge("Fix crash", CODE).is_fix
    assert not FixJudge().judge("Fix typo", CODE).is_fix


def test_rules_have_a_name_of_their_own():
    assert FixJudge().rules == FixJudge("").rules
    assert len({FixJudge().rules, FixJudge("a").rules, FixJudge("b").rules}) == 3


def test_revert():
    assert is_revert('Revert "Add x"')
    assert is_revert("Reapply the parser change")
    assert is_revert("Backed out changeset 12ab")
    assert not is_revert("Add a way to revert")
    assert not is_revert("Reverting_state: rename")
