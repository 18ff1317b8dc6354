r"""What the path of a file says: its language, its subsystem, whether it is a test.

Rules
-----
*Test* (`is_test_path`): a folder of the path is called ``test``, ``tests``, ``testing``,
``__tests__``, ``spec``, ``specs``, ``e2e`` or ``unittests`` or ends in ``_test``, ``_tests``,
``-test`` or ``-tests``, or begins with ``test_`` or ``test-``; or the file is ``conftest.py``; or
its name without extension begins with ``test_``, ``test-``, ``test.`` or ends in ``_test``,
``-test``, ``.test``, ``_tests``, ``_spec``, ``-spec``, ``.spec`` or, with a capital as in Java and
C#, in ``Test``, ``Tests``, ``TestCase``, ``Spec`` or ``IT``, or begins with ``Test`` and a capital.

*Document* (`is_document`): a text by its extension or name, or a file that is no program in a
folder ``doc``, ``docs`` or ``documentation``.

*Supplied* (`is_supplied`): nobody writes it here by hand. A folder of the path is one that package
managers, builds or generators fill (``node_modules``, ``vendor``, ``third_party``, ``dist``,
``generated`` ...), or the file is a lock file, is minified, or is named as generators name theirs.

*Subsystem* (`subsystem_of`): the first folder, as in Kamei et al. (2013), table 1; ``.`` for files
at the top.

*Text* (`path_text`): git paths are bytes and need not be UTF-8. Bytes that are not become ``\xNN``
and a backslash is doubled, so that the text can be stored, printed, and turned back.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_BY_EXTENSION: Final = {
    extension: language
    for language, extensions in {
        "python": "py pyi pyx pxd pxi ipynb",
        "c": "c h",
        "c++": "cc cpp cxx c++ hh hpp hxx h++ inl ipp tpp",
        "c#": "cs csx",
        "clojure": "clj cljs cljc",
        "css": "css scss sass less",
        "dart": "dart",
        "elixir": "ex exs",
        "erlang": "erl hrl",
        "fortran": "f f90 f95 for",
        "go": "go",
        "groovy": "groovy gradle",
        "haskell": "hs lhs",
        "html": "html htm xhtml jinja jinja2 j2",
        "java": "java",
        "javascript": "js jsx mjs cjs",
        "julia": "jl",
        "kotlin": "kt kts",
        "lua": "lua",
        "objective-c": "m mm",
        "ocaml": "ml mli",
        "perl": "pl pm t",
        "php": "php",
        "protobuf": "proto",
        "r": "r",
        "ruby": "rb rake",
        "rust": "rs",
        "scala": "scala sc",
        "shell": "sh bash zsh fish ksh",
        "powershell": "ps1 psm1",
        "sql": "sql",
        "swift": "swift",
        "typescript": "ts tsx mts cts",
        "vue": "vue svelte",
        "zig": "zig",
        "config": "toml ini cfg conf yaml yml properties env lock",
        "json": "json jsonc json5",
        "xml": "xml xsd xsl xslt",
        "make": "mk cmake bazel bzl",
        "text": "md rst txt adoc textile po pot",
    }.items()
    for extension in extensions.split()
}
_BY_NAME: Final = {
    "makefile": "make",
    "gnumakefile": "make",
    "cmakelists.txt": "make",
    "build": "make",
    "dockerfile": "config",
    "jenkinsfile": "groovy",
    "gemfile": "ruby",
    "rakefile": "ruby",
    "license": "text",
    "readme": "text",
    "changes": "text",
    "changelog": "text",
    "authors": "text",
    "requirements.txt": "config",
    ".gitignore": "config",
    ".gitattributes": "config",
    ".gitmodules": "config",
}
_NOT_CODE: Final = frozenset({"other", "text", "json", "xml", "config", "html", "css"})

_TEST_FOLDER: Final = re.compile(
    r"(?:^|/)(?:tests?|testing|__tests__|specs?|e2e|unittests?|[^/]+[_-]tests?|test[_-][^/]*)/",
    re.IGNORECASE,
)
_TEST_NAME: Final = re.compile(
    r"(?:^conftest\.py$|^tests?(?:[_.-]|\.[^.]+$)|[_.-](?:tests?|spec)(?:\.|$))", re.IGNORECASE
)
_TEST_CAMEL: Final = re.compile(r"(?:^Test[A-Z]|[a-z0-9](?:Tests?|TestCase|Spec|IT)(?:\.|$))")

_DOCUMENT_FOLDER: Final = re.compile(r"(?:^|/)(?:docs?|documentation)/", re.IGNORECASE)
_SUPPLIED: Final = re.compile(
    r"(?:^|/)(?:node_modules|bower_components|_?vendor(?:ed)?|third[_-]?party|3rdparty|dist|"
    r"(?:auto)?generated|__snapshots__)/|\.min\.(?:js|css)$|\.lock$|"
    r"(?:^|/)(?:package-lock\.json|npm-shrinkwrap\.json|pnpm-lock\.yaml|go\.sum)$|"
    r"(?:_pb2(?:_grpc)?\.pyi?|\.pb\.[a-z]+|[._-]generated\.[a-z]+|\.snap|\.svg|\.map)$",
    re.IGNORECASE,
)

_CACHE: Final = 65_536  # paths repeat from commit to commit


@lru_cache(_CACHE)
def language_of(path: str) -> str:
    """Return the language of a file by its name.

    Parameters
    ----------
    path : str
        Path with forward slashes.

    Returns
    -------
    str
        Lower-case name such as ``python``; ``config``, ``json``, ``xml``, ``text`` for files that
        are not programs; ``other`` where the name says nothing.
    """
    name = path.rpartition("/")[2].lower()
    known = _BY_NAME.get(name)
    if known is not None:
        return known
    stem, dot, extension = name.rpartition(".")
    return _BY_EXTENSION.get(extension, "other") if dot and stem else "other"


def is_code(path: str) -> bool:
    """Tell whether a file is of a programming language (not data, text or configuration)."""
    return language_of(path) not in _NOT_CODE


@lru_cache(_CACHE)
def is_test_path(path: str) -> bool:
    """Tell whether a path belongs to tests, by the rule above.

    Parameters
    ----------
    path : str
        Path with forward slashes, relative to the repository.

    Returns
    -------
    bool
        True for test files and for the data and helpers beside them.
    """
    if _TEST_FOLDER.search(path):
        return True
    name = path.rpartition("/")[2]
    return bool(_TEST_NAME.search(name) or _TEST_CAMEL.search(name))


@lru_cache(_CACHE)
def is_document(path: str) -> bool:
    """Tell whether a file is written for readers, by the rule above; `path` as elsewhere."""
    return language_of(path) == "text" or (
        not is_code(path) and _DOCUMENT_FOLDER.search(path) is not None
    )


@lru_cache(_CACHE)
def is_supplied(path: str) -> bool:
    """Tell whether a file comes from elsewhere, by the rule above; `path` as in `is_test_path`."""
    return _SUPPLIED.search(path) is not None


def subsystem_of(path: str) -> str:
    """Return the first folder of a path; ``.`` for a file at the top.

    Parameters
    ----------
    path : str
        Path with forward slashes, relative to the repository.

    Returns
    -------
    str
        Name of the folder.
    """
    folder, slash, _ = path.partition("/")
    return folder if slash else "."


def path_text(raw: bytes) -> str:
    r"""Return the text of a path as git has it, for tables and messages.

    Parameters
    ----------
    raw : bytes
        Path as the file system and git spell it.

    Returns
    -------
    str
        Valid Unicode: bytes that are not UTF-8 as ``\xNN``, a backslash doubled.
    """
    return raw.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


_ESCAPE: Final = re.compile(rb"\\(?:\\|x([0-9a-f]{2}))")


def path_bytes(text: str) -> bytes:
    """Return the bytes of a path from `path_text`.

    Parameters
    ----------
    text : str
        What `path_text` returned.

    Returns
    -------
    bytes
        The path as git spells it.
    """
    raw = text.encode("utf-8")
    if b"\\" not in raw:
        return raw
    return _ESCAPE.sub(lambda m: bytes.fromhex(m[1].decode()) if m[1] else b"\\", raw)
