"""Finds the test functions of Rust sources, named as cargo-nextest does.

A case is ``BINARY::module::function``; the binary is the package for its library,
``package::name`` for a file in ``tests/``, ``package::bin/name`` for a program. Modules are
followed from the root file of each binary.
"""

from __future__ import annotations

import posixpath
import re
import sys
import tomllib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testopt.runners.place import Place

_MOST_MODULES: Final = 3_000  # of one binary
_TOKEN: Final = re.compile(
    r"""(?P<skip>//[^\n]*|/\*.*?(?:\*/|\Z)|b?r(?P<hash>\#*)".*?(?:"(?P=hash)|\Z)|b?"(?:[^"\\]|\\.)*"
    |b?'(?:[^'\\\n]|\\x[0-9a-fA-F]{2}|\\u\{[0-9a-fA-F_]+\}|\\[^\n])'|'\w+)
    |(?P<attribute>\#!?\[(?:[^\[\]"]|"(?:[^"\\]|\\.)*"|\[[^\[\]]*\])*\])
    |\bmod\s+(?P<module>\w+)\s*(?P<end>[;{])
    |\bfn\s+(?P<function>\w+)
    |(?P<brace>[{}])
    |(?P<other>\b(?:struct|enum|impl|trait|use|let|static|const|type|macro_rules)\b|;)""",
    re.DOTALL | re.VERBOSE,
)
_TEST: Final = re.compile(r"\#\[\s*(?:\w+::)*test\b(?!_)")
_SYSTEM: Final = re.compile(r"\#\[\s*cfg\(\s*(?:target_os\s*=\s*\")?(windows|unix|macos|linux)\b")
_HERE: Final = {"win32": {"windows"}, "darwin": {"unix", "macos"}}.get(
    sys.platform, {"unix", "linux"}
)
_PATH: Final = re.compile(r"\#\[\s*path\s*=\s*\"([^\"]+)\"\s*\]")


def is_root(path: str, place: Place) -> bool:
    """Tell whether a file is the root of a binary of a package."""
    return path in _roots(place)


def rust_cases(path: str, text: str, place: Place) -> list[str]:
    """Return the ids of the test functions of a binary, by its root file."""
    binary = _roots(place).get(path)
    if binary is None:
        return []
    folder = posixpath.dirname(path)
    stack, names, seen = [(path, text, folder, "")], [], {path}
    while stack and len(seen) < _MOST_MODULES:
        file, source, inside, prefix = stack.pop()
        for kind, name, where in _items(source):
            full = f"{prefix}{name}"
            if kind == "fn":
                names.append(full)
                continue
            for candidate in _files_of(name, where, file, inside):
                if candidate in place.sources.names and candidate not in seen:
                    seen.add(candidate)
                    below = posixpath.join(inside, *name.split("::"))
                    stack.append(
                        (candidate, place.sources.read(candidate) or "", below, f"{full}::")
                    )
                    break
    return [f"{binary}::{name}" for name in dict.fromkeys(names)]


def _files_of(name: str, where: str, file: str, inside: str) -> tuple[str, ...]:
    """Return where the source of a module may stand."""
    if where:
        return (posixpath.normpath(posixpath.join(posixpath.dirname(file), where)),)
    path = posixpath.join(inside, *name.split("::"))
    return f"{path}.rs", f"{path}/mod.rs"


def _items(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield test functions, and modules in other files, with their modules in this one."""
    depth, modules, attributes = 0, list[tuple[int, str]](), list[str]()
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if match["skip"]:
            continue
        if match["attribute"]:
            attributes.append(match["attribute"])
            continue
        prefix = "".join(f"{name}::" for _, name in modules)
        if match["function"]:
            is_test = any(_TEST.match(each) for each in attributes)
            if is_test and not any(map(_leaves_out, attributes)):
                yield "fn", prefix + match["function"], ""
        elif match["module"] and match["end"] == ";":
            where = next((m[1] for each in attributes if (m := _PATH.match(each))), "")
            yield "mod", prefix + match["module"], where
        elif match["module"]:
            depth += 1
            modules.append((depth, match["module"]))
        elif kind == "brace":
            depth += 1 if match["brace"] == "{" else -1
            while modules and depth < modules[-1][0]:
                modules.pop()
        attributes.clear()


def _leaves_out(attribute: str) -> bool:
    """Tell whether an attribute keeps a test from running here unless it is asked for."""
    system = _SYSTEM.match(attribute)
    return attribute.startswith("#[ignore") or (system is not None and system[1] not in _HERE)


def _roots(place: Place) -> dict[str, str]:
    """Return the root files of all binaries, and how nextest names those."""
    if "roots" not in place.kept:
        roots: dict[str, str] = {}
        for path in place.sources.below(place.folder):
            if posixpath.basename(path) == "Cargo.toml":
                roots |= _binaries(path, place)
        place.kept["roots"] = roots
    found: dict[str, str] = place.kept["roots"]
    return found


def _binaries(manifest: str, place: Place) -> dict[str, str]:
    document = _toml(place.sources.read(manifest) or "")
    package = document.get("package")
    name = package.get("name") if isinstance(package, dict) else None
    if not isinstance(name, str):
        return {}
    folder, files = posixpath.dirname(manifest), place.sources.names
    found = {posixpath.join(folder, "src/main.rs"): f"{name}::bin/{name}"}
    for path in place.sources.below(posixpath.join(folder, "tests")):
        parts = path[len(posixpath.join(folder, "tests")) + 1 :].split("/")
        if len(parts) == 1 and path.endswith(".rs"):
            found[path] = f"{name}::{parts[0].removesuffix('.rs')}"
        elif parts[1:] == ["main.rs"]:
            found[path] = f"{name}::{parts[0]}"
    for path in place.sources.below(posixpath.join(folder, "src/bin")):
        inside = path[len(posixpath.join(folder, "src/bin")) + 1 :]
        if "/" not in inside:
            found[path] = f"{name}::bin/{inside.removesuffix('.rs')}"
    found |= _declared(document, folder, name)
    found.setdefault(posixpath.join(folder, "src/lib.rs"), name)
    return {path: binary for path, binary in found.items() if path in files}


def _declared(document: dict[str, Any], folder: str, package: str) -> dict[str, str]:
    """Return the binaries whose files the manifest names."""
    found: dict[str, str] = {}
    library = document.get("lib")
    if isinstance(library, dict) and isinstance(library.get("path"), str):
        found[posixpath.normpath(posixpath.join(folder, library["path"]))] = package
    for kind, mark in (("test", ""), ("bin", "bin/")):
        rows = document.get(kind)
        for row in rows if isinstance(rows, list) else ():
            path, name = (row.get("path"), row.get("name")) if isinstance(row, dict) else (0, 0)
            if isinstance(path, str) and isinstance(name, str):
                place = posixpath.normpath(posixpath.join(folder, path))
                found[place] = f"{package}::{mark}{name}"
    return found


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}
