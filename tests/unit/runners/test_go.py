"""Plans as arguments of ``go test``."""

from __future__ import annotations

import shlex
import shutil
import subprocess

import pytest

from testopt.errors import UsageError
from tests.builders import printed

MODULE = "module example.org/m\n\ngo 1.21\n"


def test_each_package_has_a_pattern_of_its_own():
    cases = ["m/a::TestX/sub_1", "m/a::TestX/sub_2", "m/a::TestY", "m/b::TestZ"]
    first, second = map(shlex.split, printed("go", *cases))
    assert first == ["m/a", "-run", "^(TestX|TestY)$"]
    assert second == ["m/b", "-run", "^(TestZ)$"]


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("m/net::TestDial/::1", "m/net -run '^(TestDial)$'"),
        ("m/net::FuzzAdd/seed#0", "m/net -run '^(FuzzAdd)$'"),
        ("m/net::ExampleAdd", "m/net -run '^(ExampleAdd)$'"),
        ("m/net::BenchmarkAdd-8", "m/net -run '^$' -bench '^(BenchmarkAdd)$'"),
        ("m/net::[build failed]", "m/net"),
        ("m/net::TestMain", "m/net"),
        ("TestAlone/sub", "./... -run '^(TestAlone)$'"),
    ],
)
def test_what_has_a_name_of_its_own(case, expected):
    assert printed("go", case) == [expected]


def test_a_short_name_is_no_package_of_go_itself(tmp_path):
    (tmp_path / "go.mod").write_text(MODULE)
    cases = ["net::TestDial", "example.org/m/net::TestAdd"]
    assert printed("go", *cases, root=tmp_path) == [
        "./... -run '^(TestDial)$'",
        "example.org/m/net -run '^(TestAdd)$'",
    ]


def test_a_package_is_named_by_the_nearest_module(tmp_path):
    from testopt.runners.registry import RUNNERS

    (tmp_path / "tools").mkdir()
    (tmp_path / "go.mod").write_text(MODULE)
    (tmp_path / "tools" / "go.mod").write_text('module "other" // a comment\n')
    package = RUNNERS["go"].group_of_file
    assert package("net/net_test.go", tmp_path) == "example.org/m/net"
    assert package("main_test.go", tmp_path) == "example.org/m"
    assert package("tools/x/y_test.go", tmp_path) == "other/x"
    assert package("net/net_test.go", None) == ""


def test_an_id_is_no_option_of_go():
    from testopt.runners.registry import RUNNERS

    assert not RUNNERS["go"].fits("-exec=sh::TestX")
    assert not RUNNERS["go"].fits("m/a::TestX|.*")


def test_everything_nothing_and_whole_packages():
    assert printed("go", "m/a::TestX", everything=True) == ["./..."]
    assert printed("go") == ["./... -run '^$'"]
    assert printed("go", "m/a::TestX", "m/b::TestY", whole=["m/b", "m/new"]) == [
        "m/new",
        "m/a -run '^(TestX)$'",
        "m/b",
    ]


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.skipif(shutil.which("go") is None, reason="needs go")
def test_go_runs_what_is_printed(tmp_path):
    (tmp_path / "go.mod").write_text(MODULE)
    (tmp_path / "a_test.go").write_text(
        'package m\nimport "testing"\n'
        'func TestA(t *testing.T) { t.Run("::1", func(t *testing.T) {}) }\n'
        "func TestAb(t *testing.T) {}\nfunc FuzzC(f *testing.F) { f.Add(1); "
        "f.Fuzz(func(t *testing.T, a int) {}) }\nfunc BenchmarkD(b *testing.B) {}\n"
    )

    def ran(*cases, **request):
        (line,) = printed("go", *cases, root=tmp_path, **request)
        done = subprocess.run(
            ["go", "test", "-v", *shlex.split(line)], cwd=tmp_path, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        words = (text.split() for text in done.stdout.splitlines())
        return {w[2] for w in words if w[:2] == ["===", "RUN"]}

    package = "example.org/m::"
    assert ran(f"{package}TestA/::1") == {"TestA", "TestA/::1"}
    assert ran(f"{package}FuzzC/seed#0") == {"FuzzC", "FuzzC/seed#0"}
    assert ran() == set()
    assert ran("a::TestAb", everything=True) >= {"TestA", "TestAb", "FuzzC"}


def test_a_name_goes_on_with_any_letter_but_a_small_one():
    cases = [f"m/a::{name}" for name in ("TestÜx", "Test_x", "Test")]
    assert printed("go", *cases) == ["m/a -run '^(TestÜx|Test_x|Test)$'"]
    with pytest.raises(UsageError, match="no case is one of go's"):
        printed("go", "m/a::Testüx")
