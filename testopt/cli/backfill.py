"""`testopt backfill`: replay past commits to make history."""

from __future__ import annotations

import shlex
import signal
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from testopt.cli.common import Context, print_json, printable, with_options
from testopt.cli.values import Number
from testopt.pluralize import pluralize

if TYPE_CHECKING:
    from collections.abc import Callable

    from testopt.backfill import BackfillOptions, BackfillReport

_NOTE_EVERY_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillCommandOptions:
    """Options of ``testopt backfill``, as the user wrote them."""

    command_line: tuple[str, ...]
    commits: int
    mutants: int
    reverse: bool
    repeat: int
    merges: bool
    revision: str | None
    jobs: int
    timeout: float
    setup: str
    job: str
    seed: int | None
    retry: bool
    coverage: bool
    as_json: bool

    def parsed(self, *, seed: int) -> BackfillOptions:
        """Return what is to be replayed; `seed` counts where the user names none."""
        from testopt.backfill import BackfillOptions

        return BackfillOptions(
            commits=self.commits,
            mutants=self.mutants,
            reverse=self.reverse,
            repeat=self.repeat,
            revision=self.revision,
            merges=self.merges,
            command=self.command_line,
            setup=tuple(_split(self.setup)),
            jobs=self.jobs,
            timeout=self.timeout,
            job=self.job,
            seed=seed if self.seed is None else self.seed,
            retry=self.retry,
            coverage=self.coverage,
        )


@click.command(
    "backfill",
    short_help="Replay past commits in worktrees to make history.",
)
@click.option(
    "--commits",
    metavar="N",
    type=click.IntRange(1, 1_000_000),
    default=50,
    show_default=True,
    help="Number of past commits to replay: the last ones that change source files.",
)
@click.option(
    "--mutants",
    metavar="N",
    type=click.IntRange(0, 1_000),
    default=2,
    show_default=True,
    help="Number of small faults for each commit, on or near its lines.",
)
@click.option("--reverse/--no-reverse", default=True, show_default=True,
              help="Run each commit with its source change undone and its tests kept.")  # fmt: skip
@click.option(
    "--repeat",
    metavar="N",
    type=click.IntRange(1, 1_000),
    default=1,
    show_default=True,
    help="How often each commit runs as it was; cases with different outcomes are flaky.",
)
@click.option(
    "--merges",
    is_flag=True,
    help="Replay merge commits too, each as the change it brought to the branch.",
)
@click.option("--range", "revision", metavar="REV_RANGE", default=None,
              help="Branch, revision or range A..B (default: HEAD).")  # fmt: skip
@click.option("--jobs", metavar="J", type=click.IntRange(1, 256), default=1, show_default=True,
              help="Number of worktrees that run at the same time.")  # fmt: skip
@click.option(
    "--timeout",
    metavar="S",
    type=Number(min=0, min_open=True),
    default=600.0,
    show_default=True,
    help="Time limit in seconds for one run, or for the setup command.",
)
@click.option(
    "--setup",
    metavar="COMMAND",
    default="",
    help="Command that prepares a fresh worktree; the files it makes are kept.",
)
@click.option("--job", metavar="NAME", default="", help="Job that the runs are recorded for.")
@click.option("--seed", metavar="N", type=int, default=None, help="Seed for the choice of faults.")
@click.option("--retry", is_flag=True, help="Run commits again that gave no results before.")
@click.option("--coverage/--no-coverage", default=True, show_default=True,
              help="Measure which lines each test runs, at the newest commit and every eighth "
                   "before it. Needs pytest, and the package coverage in its Python.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.argument("command_line", metavar="[-- COMMAND…]", nargs=-1, type=click.UNPROCESSED)
@with_options(BackfillCommandOptions)
def command(ctx: Context, options: BackfillCommandOptions) -> None:
    """Replay past commits in worktrees to make history where there is none yet.

    Each commit runs as it was, with its source change undone, and with small faults in it. The
    worktrees lie in a temporary folder; your working tree, index, branches and stash are not
    touched. You can interrupt it at any time; the next call continues. At some commits the suite
    runs once more, slower, to measure which lines each test runs: later changes are ordered by it.

    COMMAND is what runs the tests (default: python -m pytest of the active environment). It must
    write JUnit XML, or another report that testopt ingest reads, to the file that {junit} stands
    for, or into the folder {junit_dir}, or to $TESTOPT_JUNIT; for pytest, testopt does so itself.
    Faults are seeded in Python, Ruby, PHP, JavaScript, TypeScript, Go, Rust, Java, Kotlin, Scala,
    Swift, C, C++ and C#. The command runs without a shell (for one, write sh -c '…'). The worktree
    is first on PYTHONPATH; the backfill stops if the package under test is imported from
    elsewhere. Faulty code runs with your rights and may loop, fill memory or delete files: use a
    container for suites that could do harm.

    \b
    Examples:
      testopt backfill --commits 100 --jobs 2
      testopt backfill --range main -- pytest -q tests/unit
      testopt backfill -- npx vitest run --reporter=junit --outputFile={junit}
      testopt backfill -- sh -c 'go test -json ./... > {junit}'
    """
    from testopt.backfill import backfill

    parsed = options.parsed(seed=ctx.settings.seed)
    repo = ctx.root
    store = ctx.open_store(create=True)
    previous_handler = signal.signal(signal.SIGTERM, _terminate)
    try:
        report = backfill(repo=repo, store=store, options=parsed, progress=_progress(ctx))
    finally:
        signal.signal(signal.SIGTERM, previous_handler)
    if options.as_json:
        print_json(asdict(report))
    else:
        _print(report)
    if report.shallow:
        ctx.warn("the clone is shallow: commits before its boundary cannot be replayed "
                 "(git fetch --unshallow)")  # fmt: skip


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: {error}", param_hint="--setup") from None


def _terminate(signum: int, _frame: object) -> None:
    """Leave by way of every `finally`, so that worktrees and processes go."""
    sys.exit(128 + signum)


def _progress(ctx: Context) -> Callable[[int, int], None]:
    """Return a progress bar on a terminal, else a line from time to time."""
    if ctx.quiet or sys.stderr.isatty():
        return ctx.progress("Replaying")
    begun = last_note = time.monotonic()

    def note(done: int, total: int) -> None:
        nonlocal last_note
        now = time.monotonic()
        if now - last_note >= _NOTE_EVERY_S:
            last_note = now
            left = (now - begun) / done * (total - done) / 60
            ctx.note(f"{done} of {total} runs, about {left:.1f} min left")

    return note


def _print(report: BackfillReport) -> None:
    kinds = ", ".join(f"{count} {kind}" for kind, count in report.runs.items()) or "none"
    click.echo(f"commits      {report.commits}")
    click.echo(f"new runs     {kinds}" + (f"; {report.known} were there" if report.known else ""))
    click.echo(f"regressions  {report.regressions}")
    if report.measured:
        click.echo(f"coverage     of {pluralize(report.measured, 'commit')}")
    if report.flaky:
        click.echo(f"flaky cases  {report.flaky}")
    if report.unusable or report.unusable_before:
        before = f", {report.unusable_before} before" if report.unusable_before else ""
        click.echo(f"unusable     {len(report.unusable)}{before}")
        reasons = Counter((u.kind, u.why) for u in report.unusable)
        for (kind, why), count in reasons.most_common():
            commit = next(u.commit for u in report.unusable if (u.kind, u.why) == (kind, why))
            click.echo(printable(f"  {count} {kind}: {why} ({commit[:12]})"))
    click.echo(f"time         {report.seconds / 60:.1f} min")
