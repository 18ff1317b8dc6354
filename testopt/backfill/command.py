"""Runs the user's test command: its arguments, its environment, and pytest's extra options."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from testopt.backfill import probe
from testopt.schema import digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

JUNIT: Final = "{junit}"
JUNIT_FOLDER: Final = "{junit_dir}"
JUNIT_VARIABLE: Final = "TESTOPT_JUNIT"
PROBE: Final = "testopt_probe"
_DEFAULT: Final = ("-m", "pytest", "-q")
_PYTEST: Final = frozenset({"pytest", "py.test"})
_WORDS_BEFORE_PYTEST: Final = frozenset({"-m", "run", "exec", "--"})
# What belongs to the session that called us, not to the one that is started.
_SESSION_VARIABLES: Final = (
    "TESTOPT_",
    "PYTEST_XDIST_",
    "PYTEST_CURRENT_TEST",
    "COV_CORE_",
    "GIT_",
)


@dataclass(frozen=True, slots=True)
class CommandPaths:
    """Folders of one run: checked-out tree, results, temporary files, the probe's copy."""

    tree: Path
    results: Path
    scratch: Path
    probe: Path

    @property
    def junit(self) -> Path:
        """The file that the command is asked to write."""
        return self.results / "junit.xml"

    @property
    def origins(self) -> Path:
        """The file that the probe writes."""
        return self.scratch / "origins.jsonl"

    @property
    def coverage(self) -> Path:
        """The folder for what the probe measures."""
        return self.scratch / "coverage"


@dataclass(frozen=True, slots=True)
class Command:
    """A test command.

    Parameters
    ----------
    words : tuple of str
        Program and arguments as the user typed them; empty: pytest.
    setup : tuple of str
        Command that prepares a fresh worktree; empty: none.
    """

    words: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """What stands for the command in run ids; the place of the interpreter is left out."""
        program = Path(self.words[0]).name if self.words else "python"
        return digest("\0".join([program, *(self.words[1:] or _DEFAULT), "", *self.setup]))

    @property
    def program(self) -> list[str]:
        """The words to run, placeholders unfilled."""
        return list(self.words) or [_python(), *_DEFAULT]

    @property
    def is_pytest(self) -> bool:
        """Tell whether pytest's options can be put into the command."""
        return _options_index(self.program) > 0

    def arguments(self, paths: CommandPaths) -> list[str]:
        """Return program and arguments for one run."""
        placeholders = {JUNIT: str(paths.junit), JUNIT_FOLDER: str(paths.results)}
        words = [_filled(word, placeholders) for word in self.program]
        index = _options_index(words)
        if index:
            options = pytest_options(paths, cache="no:cacheprovider" not in words)
            if not any("junitxml" in w or "junit-xml" in w for w in words):
                options.append(f"--junitxml={paths.junit}")
            words[index:index] = options
        return words

    def environment(
        self, paths: CommandPaths, *, roots: Sequence[Path], names: Sequence[str]
    ) -> dict[str, str]:
        """Return the environment of a run.

        Parameters
        ----------
        paths : CommandPaths
            Folders of the run.
        roots : sequence of Path
            Folders that lead ``PYTHONPATH``.
        names : sequence of str
            Packages that the probe looks for.
        """
        env = clean_environment(os.environ)
        path = [*map(str, roots), str(paths.probe), env.get("PYTHONPATH", "")]
        env |= {
            "PYTHONPATH": os.pathsep.join(filter(None, path)),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONHASHSEED": "0",
            "TMPDIR": str(paths.scratch),
            JUNIT_VARIABLE: str(paths.junit),
            probe.OUTPUT: str(paths.origins),
            probe.NAMES: ",".join(names),
        }
        if not self.is_pytest:  # a script may still end in pytest
            options = shlex.join(pytest_options(paths))
            env["PYTEST_ADDOPTS"] = f"{options} {env.get('PYTEST_ADDOPTS', '')}".strip()
        return env

    def measuring(self, paths: CommandPaths) -> dict[str, str]:
        """Return what the environment of a run holds besides, in which the probe measures."""
        # the only core that can tell cases apart on every Python
        return {
            probe.COVERAGE: str(paths.coverage),
            probe.TREE: str(paths.tree),
            "COVERAGE_CORE": "ctrace",
        }

    def interpreter(self) -> str | None:
        """Return the Python that the command most likely runs with, for a probe of its own."""
        program = self.program[0]
        if Path(program).name.startswith("python"):
            return program
        return shutil.which("python") or shutil.which("python3")


def pytest_options(paths: CommandPaths, *, cache: bool = True) -> list[str]:
    """Return the options that make pytest report every case of the tree, and leave nothing.

    Without the plugin that keeps the cache, pytest may refuse to be told where to keep it.
    """
    cache_options = ["-o", f"cache_dir={paths.scratch / 'cache'}"] if cache else []
    return [
        "-p", PROBE, "-p", "no:testopt", f"--rootdir={paths.tree}", "--maxfail=0",
        "--continue-on-collection-errors", "-o", "junit_family=xunit1",
        "-o", "junit_logging=no", *cache_options,
    ]  # fmt: skip


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without what belongs to this session or to a git around it."""
    return {
        name: value for name, value in environ.items() if not name.startswith(_SESSION_VARIABLES)
    }


def _filled(word: str, placeholders: Mapping[str, str]) -> str:
    for name, value in placeholders.items():
        word = word.replace(name, value)
    return word


def _options_index(words: Sequence[str]) -> int:
    """Return the index behind the word that starts pytest; 0 where none is seen."""
    for index, word in enumerate(words):
        if Path(word).name in _PYTEST and (index == 0 or words[index - 1] in _WORDS_BEFORE_PYTEST):
            return index + 1
    return 0


def _python() -> str:
    """Return the interpreter of the active environment, else the one that runs testopt."""
    active = os.environ.get("VIRTUAL_ENV")
    python = Path(active) / "bin" / "python" if active else None
    return str(python) if python is not None and python.is_file() else sys.executable
