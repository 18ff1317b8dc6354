"""`testopt ingest`: test results into the store."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from testopt.cli.common import Context, print_json, printable, with_options
from testopt.errors import UsageError
from testopt.pluralize import pluralize

if TYPE_CHECKING:
    from datetime import datetime

    from testopt.git.run_identity import RunIdentity
    from testopt.ingest.coverage_links import CoverageReport
    from testopt.ingest.junit_runs import IngestReport


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestOptions:
    """Options of ``testopt ingest``."""

    paths: tuple[str, ...]
    kind: str
    run_id: str | None
    commit: str | None
    base: str | None
    branch: str | None
    job: str | None
    job_from: str | None
    time: str | None
    run_per: str
    changes: Path | None
    is_coverage: bool
    as_json: bool


@click.command("ingest")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["junit", "auto", "table"]),
    default="junit",
    show_default=True,
    help="JUnit XML; auto: the native formats of other runners too; or a table (CSV, Parquet).",
)
@click.option(
    "--run-id",
    help="Name of the run that all files belong to. A run may come in several calls; each job is "
    "a run of its own, named ID/JOB.",
)
@click.option("--commit", help="Commit that was tested (default: from CI, else HEAD).")
@click.option("--base", help="Commit that it is compared with (default: from CI and git).")
@click.option("--branch", help="Branch (default: from CI and git).")
@click.option("--job", help="Job, such as the name of a CI job with its matrix (default: from CI).")
@click.option(
    "--job-from",
    type=click.Choice(["folder"]),
    help="Name the job of each report after its folder below PATH (PATH/JOB/junit.xml).",
)
@click.option(
    "--time", help="Start of the run (default: from the files); UTC unless a zone is given."
)
@click.option(
    "--run-per",
    type=click.Choice(["auto", "call", "folder", "file"]),
    default="auto",
    help="Which files form one run (default: all files of a call, unless they repeat cases).",
)
@click.option(
    "--changes",
    type=click.Path(path_type=Path),
    help="Table of changed files: run_id,path[,added,deleted].",
)
@click.option(
    "--coverage",
    "is_coverage",
    is_flag=True,
    help="Read coverage data with contexts, which say which case ran which lines.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a report per file as JSON.")
@with_options(IngestOptions)
def command(obj: Context, options: IngestOptions) -> None:
    """Read test results into the store.

    Reports are JUnit XML; with --format auto also TRX, NUnit 3, xUnit.net, CTest's Test.xml,
    Robot's output.xml, go test -json, pytest-reportlog, CTRF, and the JSON of RSpec and of
    Mocha, told apart by their content. PATH is a file, a folder, a glob, an archive (zip, tar,
    tar.gz) or - for standard input. The same input twice leaves one copy.

    \b
    Examples:
      testopt ingest results/
      testopt ingest --run-id 4711 --job "unit (3.12)" build/reports.zip
      testopt ingest --run-id 4711 --job-from folder results/
      cat junit.xml | testopt ingest -
      testopt ingest --format table results.parquet --changes changes.csv
      pytest --cov --cov-context=test && testopt ingest --coverage .coverage

    A table has the columns run_id, time, case_id, outcome (passed, failed, error or skipped) and
    duration_s, and optionally file, attempt, commit, base, branch and job.

    A file that cannot be read is reported, the others are stored, and the exit code is 3. The exit
    code is also 3 when a plan was kept for the run (select --run-id) and some of its cases have no
    result; the results that came are stored. Parts of the run from which nothing has come are only
    waited for. XML that is not a test report gives a warning, and so does a run that seems to have
    failed because of its environment.
    """
    if options.is_coverage:
        _read_coverage(obj, options)
        return
    report = _read_results(obj, options)
    if report.new_runs:
        from testopt.cli.decider import note_selection

        note_selection(obj, obj.open_store())
    if options.as_json:
        print_json(_document(report))
    else:
        _print(obj, report)
    is_rejected = any(file.rejected and not file.ignored for file in report.files)
    if is_rejected or any(check.cause for check in report.checks):
        sys.exit(3)


def _read_results(obj: Context, options: IngestOptions) -> IngestReport:
    from testopt.store.process_tuning import skip_pandas

    skip_pandas()
    from testopt.ingest.junit_runs import ingest_junit
    from testopt.ingest.table_runs import ingest_table, read_run_changes

    is_table = options.kind == "table"
    if is_table and (options.run_id or options.time):
        raise UsageError(
            "--run-id and --time cannot be used with tables", "a table has columns for both"
        )
    if options.job_from and (is_table or options.job):
        raise UsageError(
            "--job-from cannot be combined with --job, or with a table",
            "a table has a column for the job",
        )
    identity = _identity(obj, options, in_ci=not is_table)
    if options.changes is not None:
        identity.changes, left_out = read_run_changes(options.changes)
        if left_out:
            identity.warnings.append(left_out)
    store = obj.open_store(create=True)
    if is_table:
        return ingest_table(
            store=store, paths=options.paths, identity=identity, progress=obj.progress("changes")
        )
    return ingest_junit(
        store=store,
        paths=options.paths,
        identity=identity,
        run_per=options.run_per,
        job_from=options.job_from,
        native=options.kind == "auto",
        progress=obj.progress("files"),
    )


def _read_coverage(obj: Context, options: IngestOptions) -> None:
    from testopt.store.process_tuning import skip_pandas

    skip_pandas()
    from testopt.ingest.coverage_links import ingest_coverage

    identity = _identity(obj, options, in_ci=True)
    report = ingest_coverage(
        store=obj.open_store(create=True),
        paths=options.paths,
        identity=identity,
        progress=obj.progress("files"),
    )
    if options.as_json:
        print_json(asdict(report))
    else:
        _print_coverage(obj, report)
    if any(file.rejected for file in report.files):
        sys.exit(3)


def _print_coverage(obj: Context, report: CoverageReport) -> None:
    for warning in report.warnings:
        obj.warn(printable(warning))
    for file in report.files:
        if file.rejected:
            click.secho(f"error: {printable(file.rejected)}", fg="red", err=True)
        if file.unknown_contexts:
            obj.note(f"{printable(file.path)}: {file.unknown_contexts} contexts name no case")
    read = [file for file in report.files if not file.rejected]
    known = sum(not file.new for file in read)
    there = f", {known} known already" if known else ""
    at = f" at {report.commit[:12]}" if report.commit else ""
    cases = sum(file.cases for file in read)
    click.echo(
        f"{pluralize(len(read), 'file')}{at}: {pluralize(cases, 'case')} "
        f"ran lines of the repository, "
        f"{sum(file.links for file in read):,} pairs of case and file{there}"
    )


def _identity(obj: Context, options: IngestOptions, *, in_ci: bool) -> RunIdentity:
    """Return what is known of the runs; those of a table were not made by this job of CI."""
    from testopt.git.ci_job import ci_job
    from testopt.git.run_identity import RunIdentity

    return RunIdentity(
        repo=obj.root_or_none,
        no_repository=obj.no_repository,
        run_id=options.run_id,
        commit=options.commit,
        base=options.base,
        branch=options.branch,
        job=options.job,
        time=_time(options.time),
        ci=ci_job() if in_ci else None,
    )


def _time(text: str | None) -> datetime | None:
    from testopt.results.junit_values import far_from_now, parse_moment

    if text is None:
        return None
    moment = parse_moment(text)
    why = "is not a time" if moment is None else far_from_now(moment)
    if why:
        raise UsageError(f"--time {text!r} {why}", "such as 2026-03-01T12:00:00Z")
    return moment


def _document(report: IngestReport) -> dict[str, Any]:
    from testopt.cli.plan_checks import check_document

    files = [{k: v for k, v in asdict(file).items() if k != "ignored"} for file in report.files]
    return {
        "files": files,
        "runs": list(report.run_ids),
        "new_runs": report.new_runs,
        "added": dict(report.added),
        "unresolved": report.unresolved,
        "warnings": list(report.warnings),
        "plans": [check_document(check) for check in report.checks],
        "waiting": [asdict(plan) for plan in report.waiting],
    }


def _print(obj: Context, report: IngestReport) -> None:
    for file in report.files:
        if file.rejected:
            text = f"{printable(file.path)}: {printable(file.rejected)}"
            obj.warn(text) if file.ignored else click.secho(f"error: {text}", fg="red", err=True)
    for warning in report.warnings:
        obj.warn(printable(warning))
    read = [file for file in report.files if file.cases or not file.rejected]
    cases = sum(file.cases for file in read)
    click.echo(
        f"{pluralize(len(read), 'file')}, {pluralize(cases, 'case')}, "
        f"{pluralize(len(report.run_ids), 'run')}: {printable(_what_is_new(report))}"
    )
    _print_checks(obj, report)
    if report.unresolved:
        obj.note(
            f"{report.unresolved} class names fit no file, or several, and were kept as they are"
        )


def _what_is_new(report: IngestReport) -> str:
    """Return which runs are new, which have more results now, and how many were known."""
    more = {run_id: count for run_id, count in report.added.items() if count}
    known = len(report.run_ids) - report.new_runs - len(more)
    parts = [f"{report.new_runs} new"] if report.new_runs or not more else []
    parts += [f"{pluralize(count, 'result')} added to {run_id}" for run_id, count in more.items()]
    return ", ".join([*parts, *([f"{known} known already"] if known else [])])


def _print_checks(obj: Context, report: IngestReport) -> None:
    """Say what is missing of the plans that were kept, what has still to come, and with -v more."""
    from testopt.selection.kept_plans import sentence, to_come, waiting_line

    for check in report.checks:
        if check.cause is not None:
            click.secho(f"error: {printable(sentence(check))}", fg="red", err=True)
        if obj.verbose:
            for case in check.missing:
                obj.note(f"  no result: {printable(case)}")
            for case in check.gone:
                obj.note(f"  gone from the tested files: {printable(case)}")
        if obj.verbose and check.unplanned:
            cases = pluralize(check.unplanned, "case")
            obj.note(f"run {printable(check.run_id)}: {cases} ran beyond the plan")
    lines = [*map(to_come, report.checks), waiting_line(report.waiting)]
    for line in filter(None, lines):
        click.echo(printable(line))
