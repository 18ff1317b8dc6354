"""Fixes by a user's pattern, and reverts by their subject line."""

import pytest

from testopt.errors import SettingsError
from testopt.git.subjects import fix_matcher, is_revert, judge_fix

CODE = ["src/a.py"]


def test_own_pattern_decides_alone():
    own = fix_matcher(r"^PROJ-\d+")
    assert judge_fix("proj-12 docs", CODE, matcher=own).is_fix
    assert not judge_fix("Fix crash", CODE, matcher=own).is_fix
    assert not judge_fix("proj-12 docs", CODE, matcher=own, issue_type="feature").is_fix
    with pytest.raises(SettingsError, match="fix_pattern"):
        fix_matcher("(")


def test_empty_pattern_is_what_is_built_in():
    assert judge_fix("Fix crash", CODE, matcher=fix_matcher("")).is_fix
    assert not judge_fix("Fix typo", CODE, matcher=fix_matcher("")).is_fix


def test_revert():
    assert is_revert('Revert "Add x"')
    assert is_revert("Reapply the parser change")
    assert is_revert("Backed out changeset 12ab")
    assert not is_revert("Add a way to revert")
    assert not is_revert("Reverting_state: rename")
