"""What is missing is said in one line, with what to do; nothing else is swallowed."""

import sys

import pytest

import testopt.cli
from testopt.cli.platform_support import lacking_package


def test_windows_is_refused_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(SystemExit) as end:
        testopt.cli.main(["rank"])
    assert end.value.code == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "error: testopt does not run on Windows"
    assert said[1].startswith("  hint: ")


@pytest.mark.parametrize(
    ("error", "package"),
    [
        (
            ModuleNotFoundError("No module named 'x'", name="sklearn.base"),
            "pip install scikit-learn",
        ),
        (ModuleNotFoundError("No module named 'x'", name="pandas"), "pip install pandas"),
        (OSError("libgomp.so.1: cannot open shared object file"), "apt-get install libgomp1"),
        (OSError("dlopen(x): Library not loaded: @rpath/libomp.dylib"), "brew install libomp"),
    ],
)
def test_what_to_install_is_said(error, package, monkeypatch, capsys):
    def fail(**_):
        raise error

    monkeypatch.setattr(testopt.cli.cli, "main", fail)
    with pytest.raises(SystemExit) as end:
        testopt.cli.main(["train"])
    assert end.value.code == 2
    assert package in capsys.readouterr().err
    with pytest.raises(type(error)):
        testopt.cli.main(["--debug", "train"])


@pytest.mark.parametrize(
    "error",
    [
        ModuleNotFoundError("No module named 'testopt.gone'", name="testopt.gone"),
        ImportError("cannot import name 'x' from 'testopt'", name="testopt"),
        OSError(28, "No space left on device"),
        FileNotFoundError(2, "No such file or directory", "/src/libomp/list.txt"),
    ],
)
def test_other_errors_are_not_taken_for_it(error):
    assert lacking_package(error) is None
