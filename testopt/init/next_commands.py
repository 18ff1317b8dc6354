"""The commands that come next for a runner, to be pasted at the top of the repository.

Each runner has three: run and record, read what was recorded (or mine, where the plugin records),
run what matters first. What must be done once before them stands apart.
"""

from __future__ import annotations

import posixpath
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from testopt.runners.detect.found_runner import FoundRunner

_SELECTED: Final = "testopt select --format {form} | xargs -d '\\n' {run}"
_MINITEST: Final = 'Dir["./test/**/*_test.rb"].sort.each { |file| require file }'
_NEXTEST: Final = (
    r"""mkdir -p .config && printf '\n[profile.default.junit]\npath = "junit.xml"\n'"""
    " >> .config/nextest.toml"
)


@dataclass(frozen=True, slots=True)
class NextCommands:
    """Lines for a shell: what is needed once, and the commands that come next."""

    runner: str
    once: Sequence[str]
    commands: Sequence[str]


def next_commands(runner: FoundRunner | None, reports: Sequence[str] = ()) -> NextCommands:
    """Return the commands that come next.

    Parameters
    ----------
    runner : FoundRunner or None
        None: no known one was found.
    reports : sequence of str
        Where JUnit reports land.
    """
    if runner is None:
        report = shlex.quote(reports[0]) if reports else "JUNIT_XML"
        return NextCommands("", (), (f"testopt ingest {report}", "testopt mine", "testopt rank"))
    return _RUNNERS[runner.name](runner)


def _pytest(runner: FoundRunner) -> NextCommands:
    run = (_here(runner, f"pytest --testopt={mode}") for mode in ("record", "rank"))
    record, rank = run
    return NextCommands(runner.name, (), (record, "testopt mine", rank))


def _unittest(runner: FoundRunner) -> NextCommands:
    return NextCommands(
        runner.name,
        ("pip install unittest-xml-reporting",),
        (
            "python -m xmlrunner discover -o test-reports",
            "testopt ingest test-reports",
            _selected(runner),
        ),
    )


def _django(runner: FoundRunner) -> NextCommands:
    test = "python manage.py test --testrunner xmlrunner.extra.djangotestrunner.XMLTestRunner"
    return NextCommands(
        runner.name,
        ("pip install unittest-xml-reporting",),
        (_here(runner, test), f"testopt ingest {_path(runner, 'TEST-*.xml')}", _selected(runner)),
    )


def _jest(runner: FoundRunner) -> NextCommands:
    files = "JEST_JUNIT_CLASSNAME='{filepath}'"  # else tests of one name in two files are one
    test = f"{files} {runner.launcher} jest --reporters=default --reporters=jest-junit"
    once = (_here(runner, runner.missing),) if runner.missing else ()
    return NextCommands(
        runner.name,
        once,
        (
            _here(runner, test),
            f"testopt ingest {_path(runner, 'junit.xml')}",
            _selected(runner, f"{runner.launcher} jest"),
        ),
    )


def _vitest(runner: FoundRunner) -> NextCommands:
    run = f"{runner.launcher} vitest run"
    test = f"{run} --reporter=default --reporter=junit --outputFile.junit=junit.xml"
    ingest = f"testopt ingest {_path(runner, 'junit.xml')}"
    return NextCommands(runner.name, (), (_here(runner, test), ingest, _selected(runner, run)))


def _mocha(runner: FoundRunner) -> NextCommands:
    run = f"{runner.launcher} mocha"
    test = f"{run} --reporter json --reporter-option output=mocha.json"
    ingest = f"testopt ingest --format auto {_path(runner, 'mocha.json')}"
    return NextCommands(runner.name, (), (_here(runner, test), ingest, _selected(runner, run)))


def _playwright(runner: FoundRunner) -> NextCommands:
    run = f"{runner.launcher} playwright test"
    test = f"PLAYWRIGHT_JUNIT_OUTPUT_NAME=junit.xml {run} --reporter=list,junit"
    ingest = f"testopt ingest {_path(runner, 'junit.xml')}"
    return NextCommands(runner.name, (), (_here(runner, test), ingest, _selected(runner, run)))


def _go(runner: FoundRunner) -> NextCommands:
    ingest = _here(runner, "go test -json ./... | testopt ingest --format auto -")
    run = _here(runner, "testopt select --format go | xargs -L 1 go test")
    return NextCommands(runner.name, (), (ingest, "testopt mine", run))


def _nextest(runner: FoundRunner) -> NextCommands:
    profile, _, report = runner.report.partition("/")
    once = [runner.missing] if runner.missing else []
    once += [] if report else [_here(runner, _NEXTEST)]
    chosen = f" --profile {shlex.quote(profile)}" if profile not in {"", "default"} else ""
    place = f"target/nextest/{profile or 'default'}/{report or 'junit.xml'}"
    return NextCommands(
        runner.name,
        once,
        (
            _here(runner, f"{runner.launcher} --no-fail-fast{chosen}"),
            f"testopt ingest {_path(runner, place)}",
            _selected(runner),
        ),
    )


def _rspec(runner: FoundRunner) -> NextCommands:
    test = f"{runner.launcher} -f progress -f json -o rspec.json"
    ingest = f"testopt ingest --format auto {_path(runner, 'rspec.json')}"
    return NextCommands(runner.name, (), (_here(runner, test), ingest, _selected(runner)))


def _phpunit(runner: FoundRunner) -> NextCommands:
    test = f"{runner.launcher} --log-junit junit.xml"
    ingest = f"testopt ingest {_path(runner, 'junit.xml')}"
    return NextCommands(runner.name, (), (_here(runner, test), ingest, _selected(runner)))


def _ctest(runner: FoundRunner) -> NextCommands:
    test = f'{runner.launcher} --output-junit "$PWD/junit.xml"'
    ingest = f"testopt ingest {_path(runner, 'junit.xml')}"
    once = (_here(runner, "cmake -B build && cmake --build build"),)
    return NextCommands(runner.name, once, (_here(runner, test), ingest, _selected(runner)))


def _surefire(runner: FoundRunner) -> NextCommands:
    return _jvm(runner, "target/surefire-reports", "-fae test", "test -DfailIfNoTests=false")


def _failsafe(runner: FoundRunner) -> NextCommands:
    some = "verify -DskipTests=false -DfailIfNoTests=false"
    return _jvm(runner, "target/failsafe-reports", "-fae verify", some)


def _minitest(runner: FoundRunner) -> NextCommands:
    run = f"{runner.launcher} -Ilib -Itest -e {shlex.quote(_MINITEST)} --"
    return NextCommands(
        runner.name,
        ("gem install minitest-reporters  # and in test_helper.rb: Minitest::Reporters.use!",),
        (
            _here(runner, f"MINITEST_REPORTER=JUnitReporter {run}"),
            f"testopt ingest {_path(runner, 'test/reports')}",
            _selected(runner, run),
        ),
    )


def _robot(runner: FoundRunner) -> NextCommands:
    tests = shlex.quote(runner.launcher)
    some = "testopt select --format robot > tests.txt && robot --argumentfile tests.txt"
    return NextCommands(
        runner.name,
        (),
        (f"robot --xunit junit.xml {tests}", "testopt ingest junit.xml", f"{some} {tests}"),
    )


def _dotnet(runner: FoundRunner) -> NextCommands:
    ingest = f"testopt ingest --format auto {_path(runner, '**/TestResults/*.trx')}"
    test = f"{runner.launcher} --logger trx"
    return NextCommands(runner.name, (), (_here(runner, test), ingest, _selected(runner)))


def _gradle(runner: FoundRunner) -> NextCommands:
    return _jvm(runner, "build/test-results", "test --continue", "test")


def _jvm(runner: FoundRunner, reports: str, everything: str, some: str) -> NextCommands:
    place = f"**/{reports}/**/*.xml" if runner.has_modules else reports
    return NextCommands(
        runner.name,
        (),
        (
            _here(runner, f"{runner.launcher} {everything}"),
            f"testopt ingest {_path(runner, place)}",
            _selected(runner, f"{runner.launcher} {some}"),
        ),
    )


_RUNNERS: Final[dict[str, Callable[[FoundRunner], NextCommands]]] = {
    "pytest": _pytest,
    "unittest": _unittest,
    "django": _django,
    "jest": _jest,
    "vitest": _vitest,
    "go": _go,
    "nextest": _nextest,
    "surefire": _surefire,
    "gradle": _gradle,
    "rspec": _rspec,
    "minitest": _minitest,
    "robot": _robot,
    "dotnet": _dotnet,
    "failsafe": _failsafe,
    "mocha": _mocha,
    "playwright": _playwright,
    "ctest": _ctest,
    "phpunit": _phpunit,
}


def _selected(runner: FoundRunner, run: str = "") -> str:
    """Return the line that runs what is selected; without arguments everything runs."""
    return _here(runner, _SELECTED.format(form=runner.form, run=run or runner.launcher))


def _here(runner: FoundRunner, line: str) -> str:
    """Return a line that runs in the runner's folder, and leaves the shell where it is."""
    return f"(cd {_path(runner, '')} && {line})" if runner.folder else line


def _path(runner: FoundRunner, path: str) -> str:
    whole = posixpath.join(runner.folder, path) if path else runner.folder
    return shlex.quote(f"./{whole}" if whole.startswith("-") else whole)
