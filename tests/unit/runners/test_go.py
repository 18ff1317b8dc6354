"""Plans as arguments of ``go test``."""

from __future__ import annotations

import re
import shlex

from tests.builders import printed


def test_each_package_has_a_pattern_of_its_own():
    found = printed("go", "m/a::TestX/sub_1", "m/a::TestX/sub_2", "m/a::TestY", "m/b::TestZ(1)$")
    first, second = map(shlex.split, found)
    assert first == ["m/a", "-run", "^(TestX|TestY)$"]
    assert second[0] == "m/b"
    assert re.fullmatch(second[2], "TestZ(1)$")


def test_a_subtest_may_be_named_as_ids_are():
    assert printed("go", "m/net::TestDial/::1") == ["m/net -run '^(TestDial)$'"]
