"""Finds the test functions of Go sources as ``go test`` would, named as ``go test -json`` does."""

from __future__ import annotations

import platform
import posixpath
import re
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testopt.runners.place import Place

_MODULE: Final = re.compile(r"^module\s+(?:\"([^\"\s]+)\"|(\S+))", re.MULTILINE)
_TEXTS: Final = re.compile(
    r"""(?P<kept>//[^\n]*)|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)+'|`[^`]*`|/\*.*?(?:\*/|\Z)""",
    re.DOTALL,
)
_FUNCTION: Final = re.compile(
    r"^func (?:(?P<name>(?:Test|Fuzz)(?![a-z])\w*)\s*\(\s*\w+\s+\*\w+\.[TF]\s*\)"
    r"|(?P<example>Example(?![a-z])\w*)\s*\(\s*\)\s*\{)",
    re.MULTILINE,
)
_OUTPUT: Final = re.compile(
    r"^[ \t]*//[ \t]*(?:unordered[ \t]+)?output:", re.IGNORECASE | re.MULTILINE
)
_CONSTRAINT: Final = re.compile(r"^//go:build (.+)$", re.MULTILINE)
_TOKEN: Final = re.compile(r"&&|\|\||[!()]|[\w.]+")
_SYSTEM: Final = {"win32": "windows"}.get(sys.platform, sys.platform)
_MACHINE: Final = {
    "x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64", "i686": "386",
}.get(platform.machine().lower(), platform.machine().lower())  # fmt: skip
_SYSTEMS: Final = frozenset({
    "aix", "android", "darwin", "dragonfly", "freebsd", "illumos", "ios", "js", "linux", "netbsd",
    "openbsd", "plan9", "solaris", "wasip1", "windows",
})  # fmt: skip
_MACHINES: Final = frozenset({
    "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64",
    "ppc64le", "riscv64", "s390x", "wasm",
})  # fmt: skip
_NOT_UNIX: Final = frozenset({"js", "plan9", "wasip1", "windows"})
_TAGS: Final = frozenset(
    {_SYSTEM, _MACHINE, "gc", "cgo", *(() if _SYSTEM in _NOT_UNIX else ("unix",))}
)


def is_go_test(path: str, place: Place) -> bool:
    """Tell whether ``go test ./...`` looks for tests in a file on this machine."""
    folder, _, name = path.rpartition("/")
    inside = folder.removeprefix(place.folder).strip("/").split("/")
    if not name.endswith("_test.go") or name.startswith(("_", ".")):
        return False
    if any(part == "testdata" or part.startswith(("_", ".")) for part in inside if part):
        return False
    return _module_folder(folder, place) == place.folder and _is_for_here(name)


def go_cases(path: str, text: str, place: Place) -> list[str]:
    """Return the ids of the test functions of a file: ``package::TestName``."""
    head = text.partition("\npackage ")[0]
    constraint = _CONSTRAINT.search(head)
    if constraint is not None and not _holds(constraint[1]):
        return []
    plain = _TEXTS.sub(lambda match: match["kept"] or "", text)
    package = package_of(posixpath.dirname(path), place)
    return [f"{package}::{name}" for name in _functions(plain)]


def package_of(folder: str, place: Place) -> str:
    """Return the import path of a folder, by the ``go.mod`` of the place."""
    if "module" not in place.kept:
        text = place.sources.read(posixpath.join(place.folder, "go.mod")) or ""
        match = _MODULE.search(text)
        place.kept["module"] = (match[1] or match[2]) if match else ""
    inside = folder.removeprefix(place.folder).strip("/")
    return posixpath.join(place.kept["module"], inside) if inside else place.kept["module"]


def _module_folder(folder: str, place: Place) -> str:
    """Return the nearest folder upwards that has a ``go.mod``."""
    while folder and posixpath.join(folder, "go.mod") not in place.sources.names:
        folder = posixpath.dirname(folder)
    return folder


def _functions(text: str) -> Iterator[str]:
    for match in _FUNCTION.finditer(text):
        if match["name"]:
            yield match["name"]
        else:  # an example is compiled, and runs only where it says what it prints
            end = text.find("\n}", match.end())
            if _OUTPUT.search(text, match.end(), end if end >= 0 else len(text)):
                yield match["example"]


def _is_for_here(name: str) -> bool:
    """Tell whether the ending of a name (``x_windows_test.go``) is that of this machine."""
    parts = name.removesuffix("_test.go").split("_")[1:]
    if parts and parts[-1] in _MACHINES and parts.pop() != _MACHINE:
        return False
    return not parts or parts[-1] not in _SYSTEMS or parts[-1] == _SYSTEM


def _holds(constraint: str) -> bool:
    """Tell whether a build constraint holds here, without tags of the user."""
    tokens = _TOKEN.findall(constraint)[:200]
    value, rest = _either(tokens)
    return value if not rest else True  # what cannot be read excludes nothing


def _either(tokens: list[str]) -> tuple[bool, list[str]]:
    value, tokens = _both(tokens)
    while tokens[:1] == ["||"]:
        other, tokens = _both(tokens[1:])
        value = value or other
    return value, tokens


def _both(tokens: list[str]) -> tuple[bool, list[str]]:
    value, tokens = _one(tokens)
    while tokens[:1] == ["&&"]:
        other, tokens = _one(tokens[1:])
        value = value and other
    return value, tokens


def _one(tokens: list[str]) -> tuple[bool, list[str]]:
    if not tokens:
        return True, []
    first, rest = tokens[0], tokens[1:]
    if first == "!":
        value, rest = _one(rest)
        return not value, rest
    if first == "(":
        value, rest = _either(rest)
        return value, rest[1:]
    return first in _TAGS or first.startswith("go1."), rest
