"""Changes that raise version numbers alone, told by their lines."""

import pytest

from testopt.risk.explanations import explain
from testopt.risk.values import MetricContribution
from testopt.risk.version_changes import renumbered, version_kind

OWN, USED = "version_bump", "dependency_update"


@pytest.mark.parametrize(
    ("path", "old", "new", "kind"),
    [
        ("app/__init__.py", '__version__ = "1.9"', '__version__ = "2.0rc1"', OWN),
        ("configure.ac", "AC_INIT(openvswitch, 2.17.0)", "AC_INIT(openvswitch, 2.17.90)", OWN),
        ("pyproject.toml", 'version = "1.2.3"', 'version = "1.3.0"', OWN),
        ("package.json", '  "version": "1.2.3",', '  "version": "1.2.4",', OWN),
        ("requirements/dev.txt", "left-pad==1.0.0", "left-pad==1.0.1", USED),
        ("package.json", '    "left-pad": "^1.0.0",', '    "left-pad": "^2.0.0"', USED),
        ("go.mod", "\tx.org/y v0.0.0-20190308221718-c2843e01d9a2", "\tx.org/y v0.1.0", USED),
        (
            "pom.xml",
            "<junit.version>4.12</junit.version>",
            "<junit.version>5</junit.version>",
            USED,
        ),
        (".github/workflows/ci.yml", "uses: a/b@v3", "uses: a/b@v4", USED),
        ("web/yarn.lock", "left-pad@1:", "right-pad@2:", USED),
        ("requirements.txt", "left-pad==1.0.0", "right-pad==1.0.0", None),
        ("app.py", "LIMIT = 90", "LIMIT = 91", None),
        ("app.py", "if version > 3:", "if version > 4:", None),
        ("app.py", "version = 3", "version = later()", None),
        ("package.json", '  "test": "jest"', '  "test": "jest --ci"', None),
    ],
)
def test_a_file_that_raises_versions(path, old, new, kind):
    assert renumbered(path, [([old], [new])]) == kind


def test_a_line_more_is_no_raised_version():
    assert renumbered("requirements.txt", [(["a==1"], ["a==2", "b==1"])]) is None
    assert renumbered("requirements.txt", [(["a==1"], ["a==2"]), ([], ["b==1"])]) is None
    assert renumbered("app.py", [(['version = "1' + "1" * 500], ['version = "2'])]) is None


def test_a_change_is_what_all_of_its_files_are():
    found = {"a/version.py": OWN, "go.mod": USED}
    assert version_kind(["a/version.py", "NEWS.md"], found) == OWN
    assert version_kind(["go.mod", "go.sum"], found) == USED
    assert version_kind(["a/version.py", "go.mod"], found) == USED
    assert version_kind(["go.mod", "main.go"], found) is None
    assert version_kind(["NEWS.md"], {}) is None


def test_a_raised_version_is_told_though_it_weighs_nothing():
    (told,) = explain([MetricContribution(USED, 1.0, 0.0)])
    assert told.subject == "versions"
    assert "run the tests that use them" in told.text
