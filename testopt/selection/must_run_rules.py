"""Which cases a change forces to run whatever the models say, and why, by rule.

A glob without a slash is compared with the name of a file, one with a slash with its whole path,
where ``*`` also stands for slashes. A glob that begins with ``!`` takes out what those before it
match.
"""

from __future__ import annotations

import re
from fnmatch import translate
from typing import TYPE_CHECKING, Final

from testopt.code.paths import is_test_path
from testopt.reasons import Reason, ReasonKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from testopt.schema import FileChange

# Files on which the result of every case may depend.
RUN_ALL_ON: Final = (
    # what is installed
    "*.lock", "*.lockfile", "package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "go.sum",
    "requirements*.txt", "requirements/*.txt", "*/requirements/*.txt", "constraints*.txt",
    "environment.yml", "environment.yaml", "Pipfile", "Gemfile", ".tool-versions",
    ".python-version", ".nvmrc", "rust-toolchain*", "*/gradle/libs.versions.toml", "*.gemspec",
    # how CI runs
    ".github/workflows/*", ".github/actions/*", ".gitlab-ci.yml", ".gitlab/*", ".circleci/*",
    ".buildkite/*", "azure-pipelines*.yml", "Jenkinsfile*", ".travis.yml", "appveyor.yml",
    # how it is built and tested
    "pyproject.toml", "setup.py", "setup.cfg", "tox.ini", "noxfile.py", "pytest.ini", ".coveragerc",
    "package.json", "tsconfig*.json", "babel.config.*", "jest.config.*", "vitest.config.*",
    "go.mod", "Cargo.toml", "pom.xml", "build.gradle*", "settings.gradle*", "gradle.properties",
    "*.csproj", "*.sln", "Directory.*.props", "CMakeLists.txt", "*.cmake", "Makefile",
    "configure.ac", "meson.build", "BUILD", "BUILD.bazel", "WORKSPACE", "MODULE.bazel",
    "Dockerfile*", "docker-compose*.yml", ".gitmodules",
)  # fmt: skip
_NO_DATA: Final = re.compile(r"(?:readme|changelog|licen[cs]e|\.git\w+)(?:\.\w+)?", re.IGNORECASE)


def glob_matcher(globs: Iterable[str]) -> Callable[..., str]:
    """Return a function from a path to the last glob that matches it, empty where none does.

    Its second argument, if given, is a text that each whole glob is compared with as well.

    Parameters
    ----------
    globs : iterable of str
        As above.
    """
    compiled = []
    for glob in globs:
        bare = glob.removeprefix("!").removeprefix("./")
        compiled.append((glob, "/" in bare, re.compile(translate(bare)).match))

    def match(path: str, text: str = "") -> str:
        name = path.rpartition("/")[2]
        found = ""
        for glob, whole, fits in compiled:
            if fits(path if whole else name) or (text and fits(text)):
                found = "" if glob.startswith("!") else glob
        return found

    return match


def why_everything(files: Iterable[FileChange], globs: Sequence[str] = ()) -> Reason | None:
    """Return why a change makes every case run; None where it does not.

    Parameters
    ----------
    files : iterable of FileChange
        The change.
    globs : sequence of str
        The project's own, beside ``RUN_ALL_ON``.
    """
    match = glob_matcher((*RUN_ALL_ON, *globs))
    for file in files:
        if file.is_submodule:
            return Reason(ReasonKind.SUBMODULE_CHANGED, (file.path,))
        for path in filter(None, (file.path, file.old_path)):
            if match(path):
                return Reason(ReasonKind.SHARED_FILE_CHANGED, (path,))
    return None


def always_run(cases: Iterable[str], globs: Sequence[str]) -> dict[str, Reason]:
    """Return the cases that are to run at every change, each with its reason.

    Parameters
    ----------
    cases : iterable of str
    globs : sequence of str
        Compared with the id of each case and with its file.
    """
    if not globs:
        return {}
    match = glob_matcher(globs)
    found = {}
    for case in cases:
        glob = match(case.partition("::")[0], case)
        if glob:
            found[case] = Reason(ReasonKind.ALWAYS_RUNS, (glob,))
    return found


def beside_data(cases: Sequence[str], files: Iterable[FileChange]) -> dict[str, Reason]:
    """Return the cases whose fixtures, helpers or data a change touches, each with its reason.

    A file among the tests that holds no case is what the cases around it may use: those in and
    below its folder, or the nearest folder above that holds any. Where no case names a file,
    which of them use it cannot be told.

    Parameters
    ----------
    cases : sequence of str
        Ids; what stands before ``::`` is the file.
    files : iterable of FileChange
        The change.
    """
    homes = {case: case.partition("::")[0] for case in cases}
    held = set(homes.values())
    used = [p for file in files for p in (file.path, file.old_path) if p and _is_used(p, held)]
    if not used:
        return {}
    folders = {folder for home in held for folder in _folders(home)}
    reach: dict[str, Reason] = {}
    for path in used:
        above = (folder for folder in _folders(path) if folder in folders)
        reach.setdefault(next(above, ""), Reason(ReasonKind.MAY_USE_CHANGED, (path,)))
    found = {}
    for case, home in homes.items():
        reason = next((reach[f] for f in _folders(home) if f in reach), reach.get(""))
        if reason is not None:
            found[case] = reason
    return found


def _is_used(path: str, held: set[str]) -> bool:
    """Tell whether a file may be used by cases: it is among the tests and holds none itself."""
    name = path.rpartition("/")[2]
    if name == "conftest.py":
        return True
    data = path not in held and is_test_path(path) and not is_test_path(name)
    return data and not _NO_DATA.fullmatch(name)


def _folders(path: str) -> Iterable[str]:
    """Yield the folders of a path, the innermost first; those at the top are in none."""
    while path := path.rpartition("/")[0]:
        yield path
