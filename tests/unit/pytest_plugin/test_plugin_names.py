"""What the plugin makes of node ids that xdist has altered, and of values that look like paths."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from testopt.pytest_plugin.groups import without_group
from testopt.pytest_plugin.paths import refuse_paths
from testopt.pytest_plugin.record import Recorder


@pytest.mark.parametrize(
    ("altered", "node_id"),
    [
        ("t.py::test_one@db", "t.py::test_one"),
        ("t.py::C::test_one@d@b", "t.py::C::test_one"),
        ("t.py::test_two[a@b]@db", "t.py::test_two[a@b]"),
        ("t.py::test_two[a]@b]@db", "t.py::test_two[a]@b]"),
        ("t.py::test_odd@g[1]", "t.py::test_odd"),
        ("pkg@1/t.py::test_one@db", "pkg@1/t.py::test_one"),
        ("api.yaml::mail x@y@db", "api.yaml::mail x@y"),
        ("t.py::test_mail[x@y]", "t.py::test_mail[x@y]"),
    ],
)
def test_groups_are_cut_off(altered, node_id):
    assert without_group(altered) == node_id


@pytest.mark.parametrize(
    ("groups", "kept"), [(True, "t.py::test_one"), (False, "t.py::test_one@db")]
)
def test_rows_have_no_groups_where_xdist_appends_them(groups, kept):
    recorder = Recorder(groups=groups)
    for when in ("setup", "call", "teardown"):
        recorder.add(
            SimpleNamespace(
                nodeid="t.py::test_one@db", when=when, outcome="passed", duration=1.0,
                keywords={"xdist_group": 1},
            )
        )  # fmt: skip
    assert recorder.rows == [[kept, "passed", 3.0, None, ""]]


@pytest.mark.parametrize(
    ("args", "addopts", "form"),
    [
        (["--testopt-store", "there"], "", "--testopt-store=there"),
        (["--testopt-store", "not there"], "", "--testopt-store='not there'"),
        (["--testopt-base", "there", "tests"], "", "--testopt-base=there"),
        (["--testopt", "there"], "", "--testopt=there"),
        (["--testopt-base", "there::x"], "", "--testopt-base=there::x"),
        ([], "-q --testopt-store there", "--testopt-store=there"),
    ],
)
def test_a_value_that_pytest_takes_for_a_path_is_refused(tmp_path, args, addopts, form):
    (tmp_path / "there").mkdir()
    with pytest.raises(pytest.UsageError) as raised:
        refuse_paths(args, addopts, tmp_path)
    assert f"write {form}, with =" in str(raised.value)


@pytest.mark.parametrize(
    "args",
    [
        ["--testopt-store=there"],
        ["--testopt-store", "s3://bucket/there"],
        ["--testopt-base", "main"],
        ["--testopt", "rank", "there"],
        ["--testopt=rank", "there"],
        ["--testopt-store"],
        ["--", "--testopt-store", "there"],
    ],
)
def test_other_values_are_none_of_our_business(tmp_path, args):
    (tmp_path / "there").mkdir()
    refuse_paths(args, "'", tmp_path)
