"""Settings of one of several repositories, read on a worker."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from testopt.cli.repositories import fix_pattern_of
from testopt.errors import SettingsError


def own(pattern):
    return SimpleNamespace(repo="r", settings=SimpleNamespace(fix_pattern=pattern))


@pytest.mark.parametrize(("what", "command"), [("mine", "mine"), ("trace", "szz")])
def test_a_pattern_that_nothing_could_stop_is_refused(what, command):
    assert fix_pattern_of(own("fix"), what, command) == "fix"
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(fix_pattern_of, own(""), what, command).result() == ""
        with pytest.raises(SettingsError, match="a worker cannot stop") as error:
            pool.submit(fix_pattern_of, own("fix"), what, command).result()
    assert error.value.hint == f"{what} it without --scheduler: testopt --repo r {command}"
