"""The command line: parse, call one use case, print. Commands are imported when they are called."""

from __future__ import annotations

import atexit
import gc
import os
import sys
import threading
from typing import Any, Final

import click

from testopt import __version__
from testopt.cli.common import Context, LazyGroup, report_error
from testopt.cli.platform_support import check_platform, lacking_package, open_standard_streams
from testopt.errors import DataError, TestoptError, UsageError

# New objects after which cycles are looked for: a plan of 10,000 cases makes many, in no cycles.
_NEW_OBJECTS: Final = 50_000

# Command -> module that holds a click command named `command`.
COMMANDS = {
    "backfill": "testopt.cli.backfill",
    "backtest": "testopt.cli.backtest",
    "doctor": "testopt.cli.doctor",
    "hotspots": "testopt.cli.hotspots",
    "init": "testopt.cli.init",
    "ingest": "testopt.cli.ingest",
    "mine": "testopt.cli.mine",
    "models": "testopt.cli.models",
    "monitor": "testopt.cli.monitor",
    "rank": "testopt.cli.rank",
    "retrain": "testopt.cli.retrain",
    "risk": "testopt.cli.risk",
    "select": "testopt.cli.select",
    "store": "testopt.cli.store",
    "szz": "testopt.cli.szz",
    "train": "testopt.cli.train",
    "why": "testopt.cli.why",
}


@click.command(
    cls=LazyGroup,
    commands_by_module=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, message="testopt %(version)s")
@click.option(
    "--repo",
    metavar="PATH",
    type=click.Path(path_type=str),
    default=".",
    help="Repository (default: the current folder).",
)
@click.option(
    "--store",
    metavar="URL",
    default=None,
    help="Store: folder or URL (default: .testopt of the repository).",
)
@click.option(
    "--project",
    metavar="NAME",
    default=None,
    help="What {project} in the store's URL stands for (default: owner.name of the remote origin).",
)
@click.option("--debug", is_flag=True, expose_value=False, help="Show tracebacks.")
@click.option("-q", "--quiet", is_flag=True, help="Print no progress and no notes.")
@click.option("-v", "--verbose", count=True, help="Print details.")
@click.pass_context
def cli(ctx: click.Context, /, **options: Any) -> None:
    """Order and select tests for each change, and point at risky changes.

    \b
    Start here:
      testopt init              look at the repository, and say what comes next
      testopt mine              read the git history
      testopt ingest results/   read JUnit XML
      testopt train             fit the models
      testopt rank              order the tests for the change at hand
      testopt select            choose those that need to run

    Shell completion: eval "$(_TESTOPT_COMPLETE=bash_source testopt)"
    (zsh_source and fish_source for the other shells).
    """
    ctx.obj = Context(**options)


def run() -> None:
    """Run the command line as a process of its own, which ends without being taken to pieces.

    To free every object and module takes a tenth of the time of a plan of 10,000 cases.
    """
    gc.set_threshold(_NEW_OBJECTS, 20, 20)
    try:
        main()
    except SystemExit as end:
        if threading.active_count() > 1 or not isinstance(end.code, int | None):
            raise
        atexit._run_exitfuncs()  # noqa: SLF001 - the only way to do what an exit does
        try:
            for stream in filter(None, (sys.stdout, sys.stderr)):  # None: closed
                stream.flush()
        except (OSError, ValueError):  # nobody reads it: Python says so
            raise end from None
        os._exit(end.code or 0)


def main(argv: list[str] | None = None) -> None:
    """Run the command line; exit codes: 0 done, 1 a gate was not met, 2 usage, 3 data."""
    args = sys.argv[1:] if argv is None else argv
    debug = "--debug" in args
    sys.excepthook = _print_redacted
    open_standard_streams()
    try:
        check_platform()
        _check_text(args)
        cli.main(args=args, prog_name="testopt", standalone_mode=True)
    except TestoptError as error:
        if debug:
            raise
        sys.exit(report_error(error))
    except (ImportError, OSError) as error:
        found: TestoptError | None = lacking_package(error)
        if found is None and isinstance(error, OSError):
            from testopt.store.remote import redact

            found = DataError(redact(str(error)), "see where it happens: testopt --debug ...")
        if debug or found is None:
            raise
        sys.exit(report_error(found))
    except UnicodeEncodeError:
        wrong = _not_utf8(args)
        if debug or wrong is None:
            raise
        sys.exit(report_error(wrong))


def _check_text(args: list[str]) -> None:
    """Refuse what no name, path or text holds: other code of ours may call `main`."""
    wrong = next((arg for arg in args if "\0" in arg), None)
    if wrong is not None:
        raise UsageError(f"{wrong[:80]!r} holds a character NUL")


def _not_utf8(args: list[str]) -> TestoptError | None:
    """Return what is wrong where a text of the command line cannot be written; paths may be any."""
    texts = [arg for arg in args if any("\ud800" <= c <= "\udfff" for c in arg)]
    return UsageError(f"{texts[0][:80]!r} is not valid UTF-8") if texts else None


def _print_redacted(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """Print a traceback without the credentials that errors of a server may repeat."""
    import traceback

    from testopt.store.remote import redact

    click.echo(redact("".join(traceback.format_exception(kind, error, trace))), err=True, nl=False)
