"""`testopt init`: look at the repository, write the settings, say what comes next."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from testopt.cli.common import Context, print_json, printable, with_options
from testopt.errors import DataError, RepositoryError
from testopt.pluralize import pluralize

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from testopt.init import Project
    from testopt.init.settings_file import SettingsFile

_SHOWN = 4  # runners whose commands are printed, files of CI


@dataclass(frozen=True, slots=True, kw_only=True)
class InitOptions:
    """Options of ``testopt init``."""

    dry_run: bool
    as_json: bool


@click.command("init")
@click.option("--dry-run", is_flag=True, help="Show what would be written; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
@with_options(InitOptions)
def command(ctx: Context, options: InitOptions) -> None:
    """Find the test runners, write settings, and name the next steps.

    The settings go into pyproject.toml where there is one, else into testopt.toml. An existing
    table is not changed. No code of the repository runs.

    \b
    Example:
      testopt init --dry-run
      testopt init
    """
    from testopt.init import look_at

    root = ctx.root_or_none
    project = look_at(root or Path(ctx.repo).absolute(), in_git=root is not None)
    if root is None:
        ctx.warn(f"{ctx.no_repository}; without git no change is known: git init")
    if "pytest" in {runner.name for runner in project.runners} and find_spec("pytest") is None:
        ctx.note(
            "pytest is not installed beside testopt: install testopt in the environment of "
            "your tests"
        )
    written, trouble = False, None
    if not options.dry_run and project.settings_file.added:
        try:
            _write(project)
            written = True
        except DataError as error:  # told behind what was found
            trouble = error
    if options.as_json:
        print_json(_document(project, written=written))
    else:
        _show(project, written=written)
    if trouble is not None:
        raise trouble


def _write(project: Project) -> None:
    if project.bare:
        raise RepositoryError(
            f"{project.root} is a bare repository: there is no place for settings",
            "run testopt init in a clone, and commit what it writes",
        )
    project.settings_file.write()


def _document(project: Project, *, written: bool) -> dict[str, Any]:
    file = project.settings_file
    return {
        "root": str(project.root),
        "default_branch": project.default_branch,
        "languages": project.languages,
        "runners": [asdict(runner) for runner in project.runners],
        "ci": [asdict(system) for system in project.ci],
        "reports": project.reports,
        "settings": {
            "file": str(file.path),
            "written": written,
            "added": file.added,
            "present": file.present,
            "why": file.why,
        },
        "next": [asdict(steps) for steps in project.next],
    }


def _show(project: Project, *, written: bool) -> None:
    for name, value in _found(project):
        click.echo(f"{name:17}{printable(value)}")
    _show_settings(project.settings_file, written=written)
    for steps in project.next[:_SHOWN]:
        of = f", for {steps.runner}" if len(project.next) > 1 else ""
        if steps.once:
            click.echo(f"\nonce{of}:")
            _show_lines(steps.once)
            of = ""
        click.echo(f"\nnext{of}:" if not steps.once else "next:")
        _show_lines(steps.commands)


def _found(project: Project) -> Iterator[tuple[str, str]]:
    for runner in project.runners:
        files = pluralize(runner.test_files, "test file")
        yield runner.name, f"{files}, by {runner.evidence}"
    if not project.runners:
        yield "no runner", "that testopt knows; it reads JUnit XML of any"
    for system in project.ci:
        more = len(system.files) - _SHOWN
        files = ", ".join(system.files[:_SHOWN])
        yield system.name, files + (f" and {more} more" if more > 0 else "")
    if project.reports:
        yield "JUnit reports", ", ".join(project.reports)
    if project.default_branch:
        yield "default branch", project.default_branch
    if not project.whole:
        yield "many files", "the first ones were looked at"


def _show_settings(file: SettingsFile, *, written: bool) -> None:
    name = file.path.name
    if not file.added:
        click.echo(f"\n{name} has settings of testopt; it stays as it is:")
        _show_lines([f"{key} = {value!r}" for key, value in (file.present or {}).items()])
        return
    reason = f" ({file.why})" if file.why else ""
    click.echo(f"\n{'written to' if written else 'for'} {name}{reason}:")
    _show_lines(file.added.strip().splitlines())


def _show_lines(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(f"  {printable(line)}")
