"""Which test runners a project uses, and in which folders they start."""

from __future__ import annotations

import posixpath
import re
import tomllib
from typing import TYPE_CHECKING, Final

from testopt.runners.detect.found_runner import FoundRunner, count_tests, tops
from testopt.runners.detect.javascript import find_javascript
from testopt.runners.detect.python import find_python

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from testopt.runners.place import Sources

_MOST: Final = 12  # runners that are told of
_MOST_READ: Final = 1_000  # sources of Rust, to see which hold tests
_RUST_TEST: Final = re.compile(r"^[ \t]*#\[(?:\w+::)*(?:test|rstest)\b", re.MULTILINE)

_SPEC_HELPERS: Final = frozenset({"spec_helper.rb", "rails_helper.rb"})

_ADDS_TESTS: Final = re.compile(
    r"^[^#\n]*\b(?:add_test|gtest_(?:discover|add)_tests|catch_discover_tests)[ \t]*\(",
    re.MULTILINE | re.IGNORECASE,
)


def find_runners(tree: Sources) -> list[FoundRunner]:
    """Return the runners of a project, the one with the most test files first.

    A file that sets up a runner counts where files below its folder look like tests. One that
    stands below another for the same runner is part of that.
    """
    found = [*find_python(tree), *find_javascript(tree)]
    found += _found(tree, "go", "go.mod", lambda _: "go test")
    found += _rust(tree)
    found += _rspec(tree)
    found += _phpunit(tree)
    found += _ctest(tree)
    found += _minitest(tree)
    found += _robot(tree)
    found += _dotnet(tree)
    found += _failsafe(tree)
    found += _found(tree, "surefire", "pom.xml", _wrapped(tree, "mvnw", "mvn"))
    for file in ("build.gradle.kts", "build.gradle"):
        found += _found(tree, "gradle", file, _wrapped(tree, "gradlew", "gradle"))
    found.sort(key=lambda runner: -runner.test_files)
    return found[:_MOST]


def _found(
    tree: Sources, form: str, file: str, launcher: Callable[[str], str]
) -> Iterator[FoundRunner]:
    """Yield a runner for each top folder that has a file."""
    places = [posixpath.dirname(path) for path in tree.paths if posixpath.basename(path) == file]
    for folder in tops(places):
        count = count_tests(tree, form, folder)
        modules = [place for place in places if place.startswith(f"{folder}/" if folder else "")]
        if count:
            yield FoundRunner(
                name=form,
                form=form,
                folder=folder,
                evidence=posixpath.join(folder, file),
                test_files=count,
                launcher=launcher(folder),
                has_modules=len(modules) > 1,
            )


def _wrapped(tree: Sources, wrapper: str, program: str) -> Callable[[str], str]:
    def launcher(folder: str) -> str:
        return f"./{wrapper}" if posixpath.join(folder, wrapper) in tree.names else program

    return launcher


def _rust(tree: Sources) -> Iterator[FoundRunner]:
    """Yield nextest for each top crate or workspace: its tests stand among the sources, too."""
    places = [posixpath.dirname(p) for p in tree.paths if posixpath.basename(p) == "Cargo.toml"]
    for folder in tops(places):
        sources = [path for path in tree.below(folder) if path.endswith(".rs")]
        texts = tree.read_all(sources[:_MOST_READ])
        count = sum(_RUST_TEST.search(text) is not None for _, text in texts)
        settings = next(
            (p for p in tree.below(folder) if posixpath.basename(p) == "nextest.toml"), ""
        )
        if count:
            yield FoundRunner(
                name="nextest",
                form="nextest",
                folder=folder,
                evidence=settings or posixpath.join(folder, "Cargo.toml"),
                test_files=count,
                launcher="cargo nextest run",
                missing="" if settings else "cargo install --locked cargo-nextest",
                report=_nextest_report(tree.read(settings) or ""),
            )


def _rspec(tree: Sources) -> Iterator[FoundRunner]:
    """Yield RSpec for each top folder with ``.rspec``, or with a helper in its folder ``spec``."""
    places: dict[str, str] = {}
    for path in tree.paths:
        folder, _, file = path.rpartition("/")
        if file == ".rspec":
            places[folder] = path
        elif file in _SPEC_HELPERS and posixpath.basename(folder) == "spec":
            places.setdefault(posixpath.dirname(folder), path)
    yield from _below(places, tree, "rspec", ("Gemfile", "bundle exec rspec"))


def _below(
    places: Mapping[str, str], tree: Sources, form: str, installed: tuple[str, str]
) -> Iterator[FoundRunner]:
    """Yield a runner for each top folder with tests; `installed`: a file and the start it tells."""
    file, launcher = installed
    for folder in tops(places):
        count = count_tests(tree, form, folder)
        if count:
            yield FoundRunner(
                name=form,
                form=form,
                folder=folder,
                evidence=places[folder],
                test_files=count,
                launcher=launcher if posixpath.join(folder, file) in tree.names else form,
            )


def _phpunit(tree: Sources) -> Iterator[FoundRunner]:
    """Yield PHPUnit for each top folder with its settings."""
    names = ("phpunit.xml.dist", "phpunit.dist.xml", "phpunit.xml")  # the last one decides
    places = {
        posixpath.dirname(path): path
        for name in names
        for path in tree.paths
        if posixpath.basename(path) == name
    }
    yield from _below(places, tree, "phpunit", ("composer.json", "vendor/bin/phpunit"))


def _ctest(tree: Sources) -> Iterator[FoundRunner]:
    """Yield CTest for each top folder whose files of CMake add tests."""
    files = [path for path in tree.paths if posixpath.basename(path) == "CMakeLists.txt"]
    texts = dict(tree.read_all(files[:_MOST_READ]))
    for folder in tops(posixpath.dirname(path) for path in files):
        adding = [path for path in tree.below(folder) if _ADDS_TESTS.search(texts.get(path, ""))]
        if adding:
            yield FoundRunner(
                name="ctest",
                form="ctest",
                folder=folder,
                evidence=adding[0],
                test_files=len(adding),
                launcher="ctest --test-dir build",
            )


def _minitest(tree: Sources) -> Iterator[FoundRunner]:
    """Yield Minitest for each top folder with a helper in its folder ``test``."""
    helpers = [path for path in tree.paths if f"/{path}".endswith("/test/test_helper.rb")]
    for folder in tops(posixpath.dirname(posixpath.dirname(path)) for path in helpers):
        count = count_tests(tree, "minitest", folder)
        if count:
            bundled = posixpath.join(folder, "Gemfile") in tree.names
            yield FoundRunner(
                name="minitest",
                form="minitest",
                folder=folder,
                evidence=posixpath.join(folder, "test/test_helper.rb"),
                test_files=count,
                launcher="bundle exec ruby" if bundled else "ruby",
            )


def _robot(tree: Sources) -> Iterator[FoundRunner]:
    """Yield Robot Framework, started at the top, where there are files of it."""
    files = [path for path in tree.paths if path.endswith(".robot")]
    if files:
        folders = {path.partition("/")[0] if "/" in path else "." for path in files}
        yield FoundRunner(
            name="robot",
            form="robot",
            folder="",
            evidence=files[0],
            test_files=len(files),
            launcher=folders.pop() if len(folders) == 1 else ".",
        )


def _dotnet(tree: Sources) -> Iterator[FoundRunner]:
    """Yield ``dotnet test`` for each top folder whose projects refer to its SDK of tests."""
    projects = [path for path in tree.paths if re.search(r"\.(?:cs|fs|vb)proj\Z", path)]
    testing = [
        path
        for path, text in tree.read_all(projects[:_MOST_READ])
        if "Microsoft.NET.Test.Sdk" in text
    ]
    solutions = [path for path in tree.paths if re.search(r"\.slnx?\Z", path)]
    for folder in tops(posixpath.dirname(path) for path in [*solutions, *testing]):
        held = [path for path in testing if not folder or path.startswith(f"{folder}/")]
        if held:
            yield FoundRunner(
                name="dotnet",
                form="dotnet",
                folder=folder,
                evidence=held[0],
                test_files=count_tests(tree, "dotnet", folder),
                launcher="dotnet test",
            )


def _failsafe(tree: Sources) -> Iterator[FoundRunner]:
    """Yield Failsafe where a file of Maven names it."""
    for runner in _found(tree, "failsafe", "pom.xml", _wrapped(tree, "mvnw", "mvn")):
        poms = [p for p in tree.below(runner.folder) if posixpath.basename(p) == "pom.xml"]
        texts = tree.read_all(poms[:_MOST_READ])
        if any("maven-failsafe-plugin" in text for _, text in texts):
            yield runner


def _nextest_report(text: str) -> str:
    """Return the profile that writes a JUnit report, and its path: ``ci/junit.xml``."""
    try:
        profiles = tomllib.loads(text).get("profile")
    except (tomllib.TOMLDecodeError, RecursionError):
        return ""
    for name, profile in profiles.items() if isinstance(profiles, dict) else ():
        junit = profile.get("junit") if isinstance(profile, dict) else None
        path = junit.get("path") if isinstance(junit, dict) else None
        if isinstance(path, str) and path and "/" not in name:
            return f"{name}/{path}"
    return ""
