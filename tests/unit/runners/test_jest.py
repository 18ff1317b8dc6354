"""Plans as arguments of Jest."""

from __future__ import annotations

import re

from tests.builders import printed


def test_the_pattern_matches_the_names_and_nothing_else():
    names = ["adds (1+1)", "C# | C++", "a/b"]
    (jest,) = printed("jest", *(f"src/x.test.js::{name}" for name in names))
    pattern = jest.removeprefix("--testNamePattern=")
    assert all(re.search(pattern, name) for name in names)
    assert not any(re.search(pattern, name) for name in ("adds (1+1) more", "C", "b", "aab"))
