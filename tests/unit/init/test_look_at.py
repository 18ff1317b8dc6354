"""What is found in a project: runners, CI, reports, settings."""

from __future__ import annotations

import json
import os
import stat
import tomllib

import pytest

from testopt.errors import InputFileError
from testopt.init import look_at
from testopt.settings import Settings


@pytest.fixture
def project(tmp_path):
    """Return a function that writes files and looks at them, without git."""

    def look(**files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", ".").replace("_S_", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return look_at(tmp_path, in_git=False)

    look.path = tmp_path
    return look


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


TESTS = {"test_a.py": "def test_a(): pass\n"}
JEST = json.dumps({"devDependencies": {"jest": "29"}, "scripts": {"test": "jest"}})


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({**TESTS, "pytest.ini": "[pytest]\n"}, ["pytest"]),
        ({**TESTS, "tox.ini": "[tox]\n[pytest]\nx = 1\n"}, ["pytest"]),
        ({**TESTS, "setup.cfg": "[tool:pytest]\nx = %(y)s\n"}, ["pytest"]),
        ({**TESTS, "pyproject.toml": "[tool.pytest.ini_options]\n"}, ["pytest"]),
        ({**TESTS, "setup.cfg": "no section"}, ["pytest"]),
        (TESTS, ["pytest"]),
        ({"test_a.py": "import unittest\n"}, ["unittest"]),
        ({"test_a.py": "import unittest\n", "conftest.py": ""}, ["pytest"]),
        ({"app/tests.py": "from django.test import TestCase\n", "manage.py": ""}, ["django"]),
        ({"package.json": JEST, "a.test.js": ""}, ["jest"]),
        ({"package.json": JEST}, []),
        ({"package.json": '{"scripts": {"test": "vitest run"}}', "a.spec.ts": ""}, ["vitest"]),
        ({"package.json": "[" * 99_999, "jest.config.ts": "", "a.spec.ts": ""}, ["jest"]),
        ({"go.mod": "module x\n", "a_test.go": ""}, ["go"]),
        ({"Cargo.toml": "", "src/lib.rs": "#[cfg(test)]\nmod t {\n  #[test]\n  fn x() {}\n}"},
         ["nextest"]),
        ({"Cargo.toml": "", "src/lib.rs": "fn x() {}"}, []),
        ({".rspec": "", "spec/a_spec.rb": ""}, ["rspec"]),
        ({"e/spec/spec_helper.rb": "", "e/spec/a_spec.rb": "", "e/Gemfile": ""}, ["rspec"]),
        ({"phpunit.xml.dist": "", "tests/ATest.php": ""}, ["phpunit"]),
        ({"CMakeLists.txt": "", "t/CMakeLists.txt": "add_test(NAME a COMMAND a)"}, ["ctest"]),
        ({"CMakeLists.txt": "# add_test()"}, []),
        ({".mocharc.yml": "", "test/a.js": ""}, ["mocha"]),
        ({"playwright.config.ts": "", "e2e/a.spec.ts": ""}, ["playwright"]),
        ({"package.json": '{"scripts": {"test": "mocha -b"}}', "test/a.js": ""}, ["mocha"]),
        ({"test/test_helper.rb": "", "test/a_test.rb": ""}, ["minitest"]),
        ({"test/test_helper.rb": ""}, []),
        ({"e2e/a.robot": ""}, ["robot"]),
        ({"a.sln": "", "t/t.csproj": "Microsoft.NET.Test.Sdk", "t/ATests.cs": ""}, ["dotnet"]),
        ({"a.sln": "", "t/t.csproj": "", "t/ATests.cs": ""}, []),
        ({"pom.xml": "<artifactId>maven-failsafe-plugin", "src/test/java/AIT.java": ""},
         ["failsafe"]),
        ({".rspec": "", "lib/a.rb": ""}, []),
        ({"pom.xml": "", "a/pom.xml": "", "a/src/test/java/ATest.java": ""}, ["surefire"]),
        ({"build.gradle.kts": "", "src/test/kotlin/ATest.kt": ""}, ["gradle"]),
        ({"vendor/go.mod": "", "vendor/a_test.go": "", "README.md": ""}, []),
        ({"pyproject.toml": "broken = ["}, None),
    ],
)  # fmt: skip
def test_runners_are_found_by_their_files(tmp_path, files, found):
    write(tmp_path, files)
    if found is None:
        with pytest.raises(InputFileError, match="not valid TOML"):
            look_at(tmp_path, in_git=False)
        return
    assert [runner.name for runner in look_at(tmp_path, in_git=False).runners] == found


def test_a_monorepo_has_a_runner_for_each_folder(tmp_path):
    write(tmp_path, {
        "back/pyproject.toml": "[tool.pytest.ini_options]\n",
        "back/tests/test_a.py": "", "back/tests/test_b.py": "",
        "back/old/pytest.ini": "[pytest]\n",
        "front/package.json": JEST, "front/a.test.js": "", "front/node_modules/b.test.js": "",
    })  # fmt: skip
    project = look_at(tmp_path, in_git=False)
    assert [(r.name, r.folder, r.test_files) for r in project.runners] == [
        ("pytest", "back", 2), ("jest", "front", 1),
    ]  # fmt: skip
    assert project.next[0].commands[0] == "(cd back && pytest --testopt=record)"
    assert project.next[1].commands[1] == "testopt ingest front/junit.xml"


def test_ci_and_where_it_puts_reports(tmp_path):
    write(tmp_path, {
        ".github/workflows/a.yml": "run: pytest --junitxml=out/junit.xml --cov-report=xml:cov.xml",
        ".gitlab-ci.yml": "reports:\n  junit: build/report.xml\n  junit:\n    - ../evil.xml\n",
        ".circleci/config.yml": "- store_test_results:\n    path: test-results\n",
        "Jenkinsfile": "junit '**/surefire-reports/*.xml'",
    })  # fmt: skip
    project = look_at(tmp_path, in_git=False)
    assert [system.name for system in project.ci] == [
        "GitHub Actions", "GitLab CI", "Jenkins", "CircleCI",
    ]  # fmt: skip
    assert set(project.reports) == {
        "out/junit.xml", "build/report.xml", "test-results", "**/surefire-reports/*.xml",
    }  # fmt: skip


@pytest.mark.parametrize(
    "before",
    [b"", b"[project]\nname = 'x'", b"# c\r\n[project]\r\nname = 'x'\r\n", b"[tool.ruff]\nx=1\n\n"],
)
def test_every_byte_before_the_table_stays(project, before):
    file = project(pyproject__toml=before, smoke_S_test_a__py="").settings_file
    file.write()
    after = file.path.read_bytes()
    assert after.startswith(before)
    assert file.path.name == ("pyproject.toml" if before else "testopt.toml")
    assert after.count(b"\r\n") in {0, after.count(b"\n")}
    assert Settings.load(project.path, env={}).must_run == ("smoke/*",)
    again = look_at(project.path, in_git=False).settings_file
    assert not again.added
    assert again.present == {"must_run": ["smoke/*"]}


def test_a_table_that_is_there_is_never_touched(project):
    file = project(pyproject__toml="[tool.testopt]\nmode = 'rank'\n").settings_file
    assert (file.added, file.present) == ("", {"mode": "rank"})


def test_an_inline_table_takes_no_other(project):
    file = project(pyproject__toml="tool = {ruff = {}}\n").settings_file
    assert file.path.name == "testopt.toml"
    assert "takes no table" in file.why


def test_links_are_not_followed(tmp_path):
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    write(outside, {"pyproject.toml": "[tool.pytest]\n", "t/test_a.py": "import pytest\n"})
    inside.mkdir()
    (inside / "pyproject.toml").symlink_to(outside / "pyproject.toml")
    (inside / "t").symlink_to(outside / "t")
    os.mkfifo(inside / "tox.ini")
    project = look_at(inside, in_git=False)
    assert project.runners == []
    project.settings_file.write()
    assert (outside / "pyproject.toml").read_text() == "[tool.pytest]\n"
    assert tomllib.loads((inside / "testopt.toml").read_text()) == {}
    (inside / "testopt.toml").unlink()
    (inside / "testopt.toml").symlink_to(outside / "new.toml")
    with pytest.raises(InputFileError, match="not a regular file"):
        look_at(inside, in_git=False)


def test_what_has_changed_meanwhile_is_not_written_over(project):
    file = project(pyproject__toml="a = 1\n").settings_file
    file.path.write_text("a = 2\n")
    with pytest.raises(InputFileError, match="just changed"):
        file.write()
    assert file.path.read_text() == "a = 2\n"


def test_the_mode_of_the_file_stays(project):
    file = project(pyproject__toml="a = 1\n").settings_file
    file.path.chmod(0o640)
    file.write()
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o640
    assert [path.name for path in project.path.iterdir()] == ["pyproject.toml"]
