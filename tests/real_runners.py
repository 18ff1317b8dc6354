"""Real test runners on the projects of `real_projects`: what is installed, and what ran."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import real_projects as projects

from testopt.results.archives import ReportFile
from testopt.results.case_resolver import CaseResolver, files_of
from testopt.results.junit_rows import read_report_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Command = Callable[[Sequence[str], Path], list[str]]

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
INSTALLED = Path(os.environ.get("TESTOPT_RUNNERS") or _CACHE / "testopt-runners")
IN_CI = os.environ.get("CI") == "true"
DEBIAN = Path("/usr/share/maven-repo")
ROBOT = INSTALLED / "robot/bin/robot"
CARGO = Path(shutil.which("cargo") or Path.home() / ".cargo/bin/cargo")
GO = INSTALLED / "go/bin/go"


@dataclass(frozen=True)
class RealRunner:
    """A runner that is installed here, or not; how to call it, and a project for it.

    Attributes
    ----------
    title : str
        What to call it here.
    form : str
        What ``--format`` calls it.
    tool : Path
        What must be there.
    files : mapping
        Its project.
    new : mapping
        A test file that comes later: its cases are not known before.
    command : callable
        Makes the command from the project, the arguments and the report to write.
    modules : str
        Folder of its packages of npm, to which the project links.
    environment : mapping
        More variables.
    new_cases : int
        How many ids of ``new`` are those of no other test.
    is_slow : bool
        Whether it takes too long for every day.
    """

    title: str
    form: str
    tool: Path
    files: Mapping[str, str]
    new: Mapping[str, str]
    command: Command
    modules: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    new_cases: int = 1
    is_slow: bool = False

    @property
    def is_there(self) -> bool:
        """Whether it can be called."""
        return self.tool.exists()

    def make(self, root: Path) -> None:
        """Write its project, a git repository with one commit."""
        self.write(root, self.files)
        if self.modules:
            (root / "node_modules").symlink_to(INSTALLED / self.modules / "node_modules")
        git = ["git", "-C", str(root), "-c", "user.name=A", "-c", "user.email=a@example.org"]
        for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
            subprocess.run([*git, *words], check=True)

    @staticmethod
    def write(root: Path, files: Mapping[str, str]) -> None:
        """Write files into a project."""
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")

    def run(self, root: Path, arguments: Sequence[str] = ()) -> Ran:
        """Run it in its project, and read what it reports."""
        report = root.parent / f"{root.name}-report"
        shutil.rmtree(report, ignore_errors=True)
        report.mkdir()
        done = subprocess.run(
            self.command(arguments, report),
            cwd=root,
            env={**os.environ, "CI": "true", **self.environment},
            capture_output=True,
            check=False,
        )
        words = (done.stdout + done.stderr).decode("utf-8", "replace")
        return Ran(done.returncode, _cases(root, report), words)


@dataclass(frozen=True)
class Ran:
    """What a run did: its exit code, the ids of the cases that were executed, its output."""

    code: int
    cases: list[str]
    words: str


def _cases(root: Path, report: Path) -> list[str]:
    """Return the ids that testopt gives to the cases of reports, those skipped apart."""
    resolver, cases = CaseResolver(files_of(root)), []
    for path in sorted(report.iterdir()):
        parsed = read_report_file(
            ReportFile(path.name, path), resolver, spill=report / "spill", native=True
        )
        for batch in parsed.batches():
            rows = batch.to_pylist()
            cases += [row["case_id"] for row in rows if row["outcome"] != "skipped"]
    return list(dict.fromkeys(cases))


def _node(modules: str) -> str:
    own = INSTALLED / modules / "node_modules" / ".bin" / "node"
    return str(own) if own.exists() else shutil.which("node") or "node"


def _jest(arguments: Sequence[str], report: Path) -> list[str]:
    output = f"JEST_JUNIT_OUTPUT_FILE={report / 'junit.xml'}"
    script = INSTALLED / "jest/node_modules/jest/bin/jest.js"
    reporters = ("--reporters=default", "--reporters=jest-junit")
    return ["env", output, _node("jest"), str(script), "-i", *reporters, *arguments]


def _jest_files(arguments: Sequence[str], report: Path) -> list[str]:
    return ["env", "JEST_JUNIT_CLASSNAME={filepath}", *_jest(arguments, report)[1:]]


def _vitest(version: int) -> Command:
    modules = f"vitest{version}"
    script = INSTALLED / modules / "node_modules/vitest/vitest.mjs"

    def command(arguments: Sequence[str], report: Path) -> list[str]:
        outputs = ("--reporter=default", "--reporter=junit", f"--outputFile={report / 'junit.xml'}")
        return [_node(modules), str(script), "run", "--globals", *outputs, *arguments]

    return command


def _go(arguments: Sequence[str], report: Path) -> list[str]:
    call = f'{shlex.quote(str(GO))} test -json {{}} >> "$1/go.json" || code=1'
    calls = "\n".join(call.format(words) for words in arguments or ["./..."])
    return ["sh", "-c", f"code=0\n{calls}\nexit $code", "sh", str(report)]


def _unittest(arguments: Sequence[str], report: Path) -> list[str]:
    names = list(arguments) or ["discover"]
    return [sys.executable, "-m", "xmlrunner", *names, "-o", str(report)]


def _pytest(arguments: Sequence[str], report: Path) -> list[str]:
    return [sys.executable, "-m", "pytest", "-q", f"--junitxml={report / 'a.xml'}", *arguments]


def _maven(arguments: Sequence[str], report: Path) -> list[str]:
    places = (f"-Dmaven.repo.local={DEBIAN}", f"-Dreports={report}")
    return ["mvn", "-o", "-q", "-B", *places, "test", *arguments]


def _rspec(arguments: Sequence[str], report: Path) -> list[str]:
    outputs = ("--format", "progress", "--format", "JunitLike", "--out", str(report / "a.xml"))
    return ["rspec", *outputs, *arguments]


def _rspec_json(arguments: Sequence[str], report: Path) -> list[str]:
    return ["rspec", "--format", "json", "--out", str(report / "a.json"), *arguments]


def _phpunit(arguments: Sequence[str], report: Path) -> list[str]:
    return ["phpunit", "--log-junit", str(report / "a.xml"), *arguments]


def _mocha(arguments: Sequence[str], report: Path) -> list[str]:
    script = INSTALLED / "mocha/node_modules/mocha/bin/mocha.js"
    outputs = ("--reporter=mocha-junit-reporter", f"--reporter-options=mochaFile={report}/a.xml")
    return [_node("mocha"), str(script), *outputs, *arguments]


def _mocha_json(arguments: Sequence[str], report: Path) -> list[str]:
    script = INSTALLED / "mocha/node_modules/mocha/bin/mocha.js"
    outputs = ("--reporter=json", f"--reporter-option=output={report}/mocha.json")
    return [_node("mocha"), str(script), *outputs, *arguments]


def _playwright(arguments: Sequence[str], report: Path) -> list[str]:
    script = INSTALLED / "playwright/node_modules/@playwright/test/cli.js"
    output = f"PLAYWRIGHT_JUNIT_OUTPUT_NAME={report / 'a.xml'}"
    return ["env", output, _node("playwright"), str(script), "test", "--reporter=junit", *arguments]


def _cargo(arguments: Sequence[str], report: Path) -> list[str]:
    words = [*arguments] if "--" in arguments else [*arguments, "--"]
    run = shlex.join(["cargo", "test", "--offline", "-q", *words])
    form = "" if "--no-run" in arguments else " -Z unstable-options --format junit"
    split = f"grep '^<?xml' | split -l 1 --additional-suffix .xml - {shlex.quote(str(report))}/"
    return ["bash", "-c", f"set -o pipefail; {run}{form} | ({split} || true)"]


def _minitest(arguments: Sequence[str], report: Path) -> list[str]:
    return ["env", f"REPORT={report / 'a.xml'}", "ruby", "run.rb", *arguments]


def _robot(arguments: Sequence[str], report: Path) -> list[str]:
    listed = report.parent / f"{report.name}-arguments"
    listed.write_text("\n".join(arguments))
    outputs = ("-d", str(report.parent / f"{report.name}-d"), "--xunit", str(report / "a.xml"))
    return [str(ROBOT), *outputs, "--argumentfile", str(listed), "tests"]


def _ctest(arguments: Sequence[str], report: Path) -> list[str]:
    build = f"{report}-build"
    output = ("--output-junit", str(report / "a.xml"))
    run = shlex.join(["ctest", "--test-dir", build, *output, *arguments])
    return ["sh", "-c", f"cmake -B {shlex.quote(build)} > {shlex.quote(build)}.log && {run}"]


def _googletest(arguments: Sequence[str], report: Path) -> list[str]:
    build = shlex.quote(f"{report}-build")
    run = shlex.join([f"--gtest_output=xml:{report}/a.xml", *arguments])
    make = f"cmake -B {build} > {build}.log && cmake --build {build} >> {build}.log"
    return ["sh", "-c", f"{make} && {build}/demo_tests {run}"]


def _javascript(title: str, modules: str, package: str, command: Command) -> RealRunner:
    return RealRunner(
        title, title.partition(" ")[0].strip(","), INSTALLED / modules / "node_modules" / package,
        projects.JAVASCRIPT, projects.NEW_JS, command, modules=modules,
        new_cases=1 if title == "jest" else 2,
    )  # fmt: skip


_GO_ENVIRONMENT = {
    "GOCACHE": str(INSTALLED / "go-cache"), "GOTOOLCHAIN": "local", "GOPROXY": "off",
    "GOFLAGS": "-mod=mod", "GOPATH": str(INSTALLED / "go-path"),
}  # fmt: skip
REAL = (
    _javascript("jest", "jest", "jest-junit", _jest),
    _javascript("jest, files named", "jest", "jest-junit", _jest_files),
    _javascript("vitest 4", "vitest4", "vitest", _vitest(4)),
    _javascript("vitest 5", "vitest5", "vitest", _vitest(5)),
    RealRunner("go", "go", GO, projects.GO, projects.NEW_GO, _go, environment=_GO_ENVIRONMENT),
    RealRunner(
        "unittest", "unittest", INSTALLED / "python" / "xmlrunner", projects.UNITTEST,
        projects.NEW_UNITTEST, _unittest, environment={"PYTHONPATH": str(INSTALLED / "python")},
    ),
    RealRunner(
        "pytest", "pytest", Path(sys.executable), projects.PYTEST, projects.NEW_PYTEST, _pytest,
        environment={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""},
    ),
    RealRunner(
        "surefire", "surefire", DEBIAN / "org/apache/maven/surefire/surefire-junit-platform",
        projects.MAVEN, projects.NEW_MAVEN, _maven, new_cases=2,
    ),
    RealRunner(
        "phpunit", "phpunit", Path("/usr/bin/phpunit"), projects.PHPUNIT, projects.NEW_PHPUNIT,
        _phpunit,
    ),
    RealRunner(
        "mocha", "mocha", INSTALLED / "mocha/node_modules/mocha-junit-reporter", projects.MOCHA,
        projects.NEW_MOCHA, _mocha, modules="mocha",
        is_slow=True,
    ),
    RealRunner(
        "mocha, JSON", "mocha", INSTALLED / "mocha/node_modules/mocha", projects.MOCHA,
        projects.NEW_MOCHA, _mocha_json, modules="mocha", new_cases=2,
        is_slow=True,
    ),
    RealRunner(
        "playwright", "playwright", INSTALLED / "playwright/node_modules/@playwright/test",
        projects.PLAYWRIGHT, projects.NEW_PLAYWRIGHT, _playwright, modules="playwright",
        is_slow=True,
    ),
    RealRunner(
        "cargo", "cargo", CARGO, projects.CARGO, projects.NEW_CARGO, _cargo, is_slow=True,
        environment={
            "RUSTC_BOOTSTRAP": "1", "PATH": f"{CARGO.parent}:{os.environ.get('PATH', '')}",
        },
    ),
    RealRunner(
        "minitest", "minitest", Path("/usr/share/doc/ruby-minitest"), projects.MINITEST,
        projects.NEW_MINITEST, _minitest, is_slow=True,
    ),
    RealRunner(
        "robot", "robot", ROBOT, projects.ROBOT, projects.NEW_ROBOT, _robot, is_slow=True
    ),
    RealRunner(
        "ctest", "ctest", Path("/usr/bin/ctest"), projects.CTEST, projects.NEW_CTEST, _ctest
    ),
    RealRunner(
        "googletest", "googletest", Path("/usr/include/gtest/gtest.h"), projects.GOOGLETEST,
        projects.NEW_GOOGLETEST, _googletest, is_slow=True,
    ),
    RealRunner(
        "rspec", "rspec", Path("/usr/bin/rspec"), projects.RSPEC, projects.NEW_RSPEC, _rspec
    ),
    RealRunner(
        "rspec, JSON", "rspec", Path("/usr/bin/rspec"), projects.RSPEC, projects.NEW_RSPEC,
        _rspec_json, is_slow=True,
    ),
)  # fmt: skip
