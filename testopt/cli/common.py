"""What all commands share: the repository, settings and store, printing and errors."""

from __future__ import annotations

import json
import math
import os
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, wraps
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from testopt.errors import GitFailedError, RepositoryError, TestoptError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import pyarrow as pa

    from testopt.settings import Settings
    from testopt.store import Store

JSON_VERSION = 1  # of every --json document

_Options = TypeVar("_Options")


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called or described."""

    def __init__(self, *args: Any, commands_by_module: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._modules = dict(commands_by_module)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of all commands."""
        return sorted(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return one command."""
        module = self._modules.get(cmd_name)
        return None if module is None else import_module(module).command

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Parse the options before the command; errors hold nothing that drives a terminal."""
        with _printable_errors():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Parse the rest, and call the command; errors as above."""
        with _printable_errors():
            return super().invoke(ctx)


@contextmanager
def _printable_errors() -> Iterator[None]:
    """Escape what click's errors repeat of the command line."""
    try:
        yield
    except click.ClickException as error:
        error.message = printable(error.message)  # type: ignore[misc]
        raise


@dataclass
class Context:
    """The options before the command, and what follows from them."""

    repo: str = "."
    store: str | None = None
    project: str | None = None
    quiet: bool = False
    verbose: int = 0

    @cached_property
    def root(self) -> Path:
        """Top folder of the repository; raises `RepositoryError` when there is none."""
        from testopt.git.process import find_root

        return find_root(Path(self.repo))

    @cached_property
    def root_or_none(self) -> Path | None:
        """Top folder of the repository, or None for commands that can do without."""
        try:
            return self.root
        except RepositoryError:
            if not Path(self.repo).is_dir():
                raise
            return None

    @property
    def no_repository(self) -> str:
        """Why there is no repository to work with, in git's words; empty where there is one."""
        if self.root_or_none is not None:
            return ""
        try:
            return str(self.root)
        except GitFailedError as error:  # what git advises helps, as with an unsafe folder
            return f"{error.message} ({error.hint})" if error.hint else error.message
        except RepositoryError as error:
            return error.message

    @cached_property
    def settings(self) -> Settings:
        """Settings of the repository, the environment and the command line."""
        from testopt.settings import Settings

        base = self.root_or_none or Path(self.repo)
        return Settings.load(base, overrides={"store": self.store, "project": self.project})

    @property
    def store_url(self) -> str:
        """Where the store is: a relative ``--store`` is relative to the working folder."""
        if self.store is not None:
            place = self.settings.with_project(self.store, self._name_of_remote)
            return place if "://" in place else str(Path(place).absolute())
        top = (self.root_or_none or Path(self.repo)).absolute()
        return self.settings.store_url(top, self._name_of_remote)

    @property
    def project_in_store(self) -> str | None:
        """Which project of a shared store this is; None where the store is one project's."""
        return self.settings.project_in(self.settings.store, self._name_of_remote)

    def _name_of_remote(self) -> str:
        from testopt.git.project import project_name

        return project_name(self.root_or_none)

    def open_store(self, *, create: bool = False) -> Store:
        """Open the store with the user's settings for compaction.

        Parameters
        ----------
        create : bool
            Make a new store where there is none.

        Raises
        ------
        EmptyStoreError
            When there is none, and none is to be made.
        """
        from testopt.store import Store

        return Store.open(
            self.store_url,
            create=create,
            light=True,
            compact_files=self.settings.compact_files,
            retention_days=self.settings.retention_days,
        )

    def open_other_store(self, url: str) -> Store:
        """Open a store that the user names beside their own; ``{project}`` stands for the same."""
        from testopt.store import Store

        return Store.open(self.settings.with_project(url, self._name_of_remote))

    def note(self, text: str) -> None:
        """Say something on stderr, unless quiet."""
        if not self.quiet:
            click.echo(text, err=True)

    def warn(self, text: str) -> None:
        """Warn on stderr, also when quiet."""
        click.secho(f"warning: {text}", fg="yellow", err=True)

    def progress(self, label: str) -> Callable[[int, int], None]:
        """Return a callback ``(done, total)`` that draws a progress bar on a terminal."""
        return _Progress(label, enabled=not self.quiet and sys.stderr.isatty())


def with_options(
    options: Callable[..., _Options],
) -> Callable[[Callable[[Context, _Options], None]], Callable[..., None]]:
    """Return a decorator for a command that takes its parameters as one object.

    Parameters
    ----------
    options : type
        Dataclass with a field for each parameter of the command, of the same name.
    """

    def decorate(function: Callable[[Context, _Options], None]) -> Callable[..., None]:
        @click.pass_obj
        @wraps(function)
        def call(context: Context, /, **values: Any) -> None:
            function(context, options(**values))

        return call

    return decorate


scheduler_option = click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Run on worker processes: local:N starts N of them here, tcp://HOST:PORT names a Dask "
    "scheduler (needs testopt[distributed]).",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonOptions:
    """Options of a command that has none but ``--json``."""

    as_json: bool


class _Progress:
    """A progress bar driven by absolute positions; silent where stderr is not a terminal."""

    def __init__(self, label: str, *, enabled: bool) -> None:
        self._label, self._enabled = label, enabled
        self._bar: Any = None
        self._at = 0

    def __call__(self, done: int, total: int) -> None:
        if not self._enabled:
            return
        if self._bar is None:
            self._bar = click.progressbar(length=max(total, 1), label=self._label, file=sys.stderr)
            self._bar.__enter__()
        self._bar.length = max(total, 1)
        self._bar.update(done - self._at)
        self._at = done
        if done >= total:
            self._bar.__exit__(None, None, None)
            self._bar, self._enabled = None, False


def time_option(_ctx: click.Context, _param: click.Parameter, value: str | None) -> datetime | None:
    """Parse an ISO 8601 time given on the command line; without a zone it is UTC."""
    if value is None:
        return None
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"Invalid time {value!r} (example: 2025-06-01T12:00).") from None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time


def print_json(document: Mapping[str, Any]) -> None:
    """Print a JSON document on stdout, with its version; `docs/schemas` says what each holds."""
    click.echo(json_text({"version": JSON_VERSION, **document}))


def json_text(document: Mapping[str, Any]) -> str:
    """Return a document as JSON: times as ISO 8601, null for numbers that are infinite or none."""
    try:
        return _dumps(document)
    except ValueError:
        return _dumps(_finite(document))


def _dumps(document: Any) -> str:
    return json.dumps(document, indent=1, ensure_ascii=True, default=_json_value, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _json_value(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def report_error(error: TestoptError) -> int:
    """Print an error and its hint on stderr; return the exit code."""
    click.secho("error: ", fg="red", err=True, nl=False)
    click.echo(printable(error.message), err=True)
    if error.hint:
        click.echo(f"  hint: {printable(error.hint)}", err=True)
    return error.exit_code


def printable(text: str) -> str:
    """Return `text` without control characters that could drive a terminal or break a line."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def write_table(table: pa.Table, out: str) -> None:
    """Write a table as Parquet or CSV by the ending of `out`; complete or not at all.

    Raises
    ------
    UsageError
        For another ending, or a place that cannot be written.
    """
    check_table_name(out)
    path = Path(out)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as stream:  # of a path pyarrow makes a URL where it can
            if path.suffix == ".csv":
                from pyarrow import csv

                csv.write_csv(table, stream)
            else:
                from pyarrow import parquet

                parquet.write_table(table, stream, compression="zstd")
        part.replace(path)
    except OSError as error:
        why = error.strerror or error
        raise UsageError(f"{out} cannot be written: {why}", "name another place") from error
    finally:
        with suppress(OSError):
            part.unlink()


def check_table_name(out: str) -> None:
    """Make sure that the name of a table to be written tells its format, and is that of a file.

    Raises
    ------
    UsageError
        Where it does not.
    """
    path = Path(out)
    if path.suffix not in (".parquet", ".csv"):
        raise UsageError(f"cannot tell the format of {out}", "name it .parquet or .csv")
    if path.exists() and not path.is_file():  # a device would be replaced by a file
        raise UsageError(
            f"{out} is not a file but a folder, a pipe or a device", "name another place"
        )
