"""Language, subsystem, test or not, and the text of a path."""

import pytest

from testopt.code.paths import (
    is_code,
    is_test_path,
    language_of,
    path_bytes,
    path_text,
    subsystem_of,
)


@pytest.mark.parametrize(
    ("path", "language"),
    [
        ("a/b.py", "python"),
        ("x.PY", "python"),
        ("src/Main.java", "java"),
        ("lib/x.test.ts", "typescript"),
        ("Makefile", "make"),
        ("docs/CMakeLists.txt", "make"),
        ("requirements.txt", "config"),
        ("poetry.lock", "config"),
        ("README", "text"),
        ("notes.txt", "text"),
        (".bashrc", "other"),
        (".py", "other"),
        ("noextension", "other"),
        ("archive.tar.gz", "other"),
        ("trailing.", "other"),
        ("", "other"),
    ],
)
def test_language(path, language):
    assert language_of(path) == language


@pytest.mark.parametrize(
    "path",
    [
        "tests/a.py",
        "pkg/test/data/x.json",
        "pkg/__tests__/x.js",
        "src/test/java/FooBar.java",
        "conftest.py",
        "a/conftest.py",
        "test_a.py",
        "a/b_test.go",
        "a/b.test.tsx",
        "a/b.spec.ts",
        "a/b_spec.rb",
        "tests.py",
        "app/tests.py",
        "test.c",
        "src/FooTest.java",
        "src/FooTests.cs",
        "src/TestFoo.java",
        "src/FooIT.java",
        "net_test/unit/x.c",
        "test_data/x",
    ],
)
def test_is_test(path):
    assert is_test_path(path)


@pytest.mark.parametrize(
    "path",
    [
        "src/a.py",
        "contest.py",
        "latest.py",
        "attestation/a.go",
        "protest/x.py",
        "src/testify.go",
        "src/Testament.java",
        "src/latest_news.py",
        "src/inspect.py",
        "specification.md",
        "src/Latest.java",
        "EXIT",
        "src/AUDIT.java",
    ],
)
def test_is_no_test(path):
    assert not is_test_path(path)


def test_subsystem():
    assert subsystem_of("a/b/c.py") == "a"
    assert subsystem_of("setup.py") == "."


def test_code_is_neither_data_nor_text():
    assert is_code("a.rs")
    assert not any(map(is_code, ["results.xml", "a.json", "README.md", "tox.ini", "blob"]))


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"plain/a.py", "plain/a.py"),
        ("gr\u00fcn/\U0001f600".encode(), "gr\u00fcn/\U0001f600"),
        (b"a\xff\xfeb", r"a\xff\xfeb"),
        (rb"a\xff", r"a\\xff"),
        (b"new\nline", "new\nline"),
        (b"\xed\xa0\x80", r"\xed\xa0\x80"),
    ],
)
def test_path_text_is_valid_and_reversible(raw, text):
    assert path_text(raw) == text
    assert path_bytes(text) == raw
