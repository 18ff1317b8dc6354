"""Which messages announce fixes."""

import json
from pathlib import Path

import pytest

from testopt.git import fixes
from testopt.git.fix_words import FileCounts
from testopt.git.fixes import classify, stated_commits
from testopt.risk import base_models
from testopt.szz.ranking import TAUGHT_BY

CODE = [FileCounts("src/a.py", 3, 1)]
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
        # learnt words
        "Check for a null pointer before the name is read",
        "Handle short reads\n\nOtherwise the buffer is used after it was freed.",
        # other languages
        "Behebt Absturz beim Start",
        "Corrige l'erreur de calcul",
        "Corrección de errores al guardar",
        "Corrige erro ao salvar",
        "Исправлена ошибка при запуске",
        "修复登录崩溃的问题",
        "ログイン時のクラッシュを修正",
        "Fehler beim Speichern behoben",
        "Richtige Meldung anzeigen\n\nBehebt #520.",
        "Évite un plantage au démarrage",
        "Soluciona un fallo al guardar",
        "Correção do cálculo de juros",
        "Устранена утечка памяти",
        "修复空指针异常",
        "データが表示されない問題を修正",
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
        "Apply automatic fixes",
        "[pre-commit.ci] auto fixes from pre-commit.com hooks",
        "Fix build",
        "Fix the build error on Windows",
        "Fix import path",
        "fix(importer): cs fixer",
        "style: apply automatic fixes from rubocop",
        "Bump lodash from 4.17.20 to 4.17.21",
        "chore(deps): update dependency jest to v29",
        "Translated using Weblate (German)",
        "ci: fix the cache",
        "test: fix a race in the server test",
        "build(deps): fix the lock file",
        "Fix lint warnings",
        "Fix docstring of parse",
        "Fix the doctest of dissoc",
        "Fixed example of the proxy settings",
        "Tippfehler korrigiert",
        "Dokumentation korrigiert",
        "Corrige les tests",
        "Corrección de documentación",
        "Neue Funktion zum Exportieren hinzugefügt",
        "Добавлена новая команда",
        "错字修改",
        "添加导出功能",
        "スペルミスを修正",
        "検索機能を追加",
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
        (["Makefile", "examples/todo/app.js", "go.sum"], "builds, tests or explains"),
        ([], "no file"),
    ],
)
def test_paths_decide(paths, reason):
    verdict = classify("Fix crash", [FileCounts(path, 1, 1) for path in paths])
    assert not verdict.is_fix
    assert reason in verdict.reason


def test_a_package_called_samples_is_part_of_the_program():
    program = "src/main/java/org/acme/samples/clinic/Pet.java"
    assert classify("Fix crash", [FileCounts(program, 1, 1)]).is_fix
    assert not classify("Fix crash", [FileCounts(f"samples/{program}", 1, 1)]).is_fix


def test_lines_count():
    message = "Handle names that are too long"
    few, many = [FileCounts("a.c", 2, 1)], [FileCounts("a.c", 300, 0), FileCounts("b.c", 90, 0)]
    assert classify(message, few).is_fix
    assert not classify(message, many).is_fix
    assert classify("Fix crash", [FileCounts("a.c", None, None)]).is_fix  # counts are not known


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


# what is kept apart to examine testopt on; nothing that ships may have learnt from it
EXAM = {
    "jinja", "click", "werkzeug", "marshmallow", "iproute2", "libbpf", "nvme-cli", "linux", "pflag",
    "hashie", "ufo", "cJSON", "retrofit", "deeplearning4j", "druid",
}  # fmt: skip


def test_what_is_kept_apart_taught_nothing():
    document = json.loads(Path(fixes.__file__).with_name("fix_words.json").read_text("utf-8"))
    taught_by = {*document["taught_by"], *TAUGHT_BY, *base_models.TAUGHT_BY}
    assert len(taught_by) > 20
    assert all(len(commit) >= 40 for commit in document["taught_by"].values())
    assert not EXAM & {name.partition("/")[2] for name in taught_by}


def test_a_reason_names_the_words_that_weigh_most():
    verdict = classify("Check the name before it is read\n\nA null name leads to a crash.", CODE)
    assert verdict.is_fix
    assert "words of fixes" in verdict.reason or "says" in verdict.reason


def test_odd_messages_are_judged():
    for message in ("", "\n\n", "\x00", "a" * 100_000, "(" * 5000, "x: " * 20_000, "é\u0301\u202e"):
        assert not classify(message, CODE).is_fix
