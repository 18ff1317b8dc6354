"""Plans as arguments of cargo-nextest."""

from __future__ import annotations

import re

from tests.builders import printed


def test_the_pattern_matches_the_names_and_nothing_else():
    names = ["adds", "a/b"]
    option, expression = printed("nextest", *(f"crate::mod::{name}" for name in names))
    assert option == "-E"
    pattern = expression.removeprefix("test(/").removesuffix("/)").replace("\\/", "/")
    assert all(re.search(pattern, name) for name in [*names, "mod::a/b"])
    assert not any(re.search(pattern, name) for name in ("adds_more", "C", "b", "aab"))
