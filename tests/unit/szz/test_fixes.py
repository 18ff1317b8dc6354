"""Which messages announce fixes."""

import pytest

from testopt.szz.fixes import classify, stated_commits

CODE = ["src/a.py"]
SHA = "272f03ff3b5bf79829f80c2febd004904d64006e"


@pytest.mark.parametrize(
    "message",
    [
        "Fix crash when the list is empty",
        "fix(parser): handle None",
        "fix!: drop the wrong default",
        "[fix] upload",
        "BUG/MINOR: peers: close sessions",
        "Bugfix: correct output",
        ":bug: support forks",
        "Avoid deadlock on shutdown",
        "Oops, wrong sign",
        "Handle empty input (closes #12)",
        "Use the right port\n\nFixes #7",
        "Use the right port\n\nThis fixes a regression of the last release.",
        f'Use the right port\n\nFixes: {SHA[:12]} ("Ports")',
        f"Set the size again, introduced in commit {SHA[:8]}",
        'Revert "Speed up"\n\nThis reverts commit ' + SHA + ".",
        "Fix typo in variable name that caused a crash",
        "Repair the index",
    ],
)
def test_fixes(message):
    verdict = classify(message, CODE)
    assert verdict.is_fix, verdict.reason
    assert verdict.reason


@pytest.mark.parametrize(
    "message",
    [
        "Fix typo",
        "Fix typos in documentation",
        "docs: fix link",
        "fix: typo in README",
        "style: fix whitespace",
        "Fix indentation",
        "Fix pep8",
        "Fix flaky tests",
        "feat: fix sized columns",
        "Add a fixture for prefixes",
        "Use a fixed-width font",
        "Improve error messages",
        "Add bug report template",
        "Bump version",
        "Release v1.2.3",
        'Revert "Revert "Speed up""',
        "Refactor the parser",
        "refactor: move errors",
        "Implement export (closes #3)",
        "",
    ],
)
def test_others(message):
    assert not classify(message, CODE).is_fix


@pytest.mark.parametrize(
    ("paths", "reason"),
    [
        (["tests/test_a.py"], "tests only"),
        (["README.md", "docs/guide.rst"], "documents only"),
        ([".travis.yml"], "CI only"),
        ([], "no file"),
    ],
)
def test_paths_decide(paths, reason):
    verdict = classify("Fix crash", paths)
    assert not verdict.is_fix
    assert reason in verdict.reason


def test_a_merge_is_no_fix():
    assert not classify("Fix crash", CODE, parents=2).is_fix


def test_the_type_of_the_issue_decides():
    assert classify("Rework ports", CODE, issue_type="Bug").is_fix
    assert not classify("Fix ports", CODE, issue_type="enhancement").is_fix


def test_copies_say_so():
    verdict = classify(f"Fix crash\n\n(cherry picked from commit {SHA})", CODE)
    assert SHA in verdict.reason
    assert "back-port" in classify("Backport of #3: fix crash", CODE).reason


def test_stated_commits():
    trailer = f'Port\n\nFixes: {SHA[:12]} ("x")\n'
    prose = f"Fix a bug introduced in {SHA}.\n\nSee 1234567 for more."
    assert stated_commits(trailer) == [SHA[:12]]
    assert stated_commits(prose) == []
    assert stated_commits(prose, prose=True) == [SHA]
    assert stated_commits(f'Revert "x"\n\nThis reverts commit {SHA}.') == [SHA]
    assert stated_commits("fix bug introduced by accident in facade", prose=True) == []
