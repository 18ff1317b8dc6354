"""`testopt models`: which models there are, which one plans use, and how to change that."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from testopt.cli.common import Context, JsonOptions, print_json, printable, with_options
from testopt.cli.values import Number
from testopt.pluralize import pluralize

if TYPE_CHECKING:
    from testopt.registry import Model
    from testopt.registry.changes import Change
    from testopt.registry.comparison import Comparison

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_reason = click.option(
    "--why", metavar="TEXT", default="", help="Reason, for the log of decisions."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowOptions:
    """Options of ``testopt models show``."""

    model: str
    as_json: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffOptions:
    """Options of ``testopt models diff``."""

    old: str
    new: str
    as_json: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoteOptions:
    """Options of ``testopt models promote``."""

    model: str
    why: str
    as_json: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackOptions:
    """Options of ``testopt models rollback``."""

    of_model: bool
    of_selection: bool
    why: str
    as_json: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectOptions:
    """Options of ``testopt models gc``."""

    days: float
    dry_run: bool
    as_json: bool


@click.group()
def command() -> None:
    """List and compare models, choose the live one, remove old ones.

    Plans use the live model. Each change of the live model is logged with time, reason and author:
    testopt store export decisions decisions.csv

    \b
    Examples:
      testopt models list
      testopt models show --json
      testopt models rollback --why "plans put slow tests first"
    """


@command.command("list")
@_as_json
@with_options(JsonOptions)
def list_command(context: Context, options: JsonOptions) -> None:
    """List the models, those trained last at the end.

    \b
    Example:
      testopt models list
    """
    from testopt.registry import list_models

    models = list_models(context.open_store())
    if options.as_json:
        print_json({"models": [_brief(model) for model in models]})
        return
    if not models:
        click.echo("there is no model yet (testopt train)")
        return
    click.echo(f"{'model':14}{'':12}{'trained':18}{'runs':>7}{'failing':>9}{'APFDc':>8}")
    for model in models:
        click.echo(_line(model))


def _brief(model: Model) -> dict[str, Any]:
    whole = model.as_dict()
    names = ("bundle", "place", "trouble", "trained", "parents", "data", "metrics", "bytes")
    return {name: whole[name] for name in names}


def _line(model: Model) -> str:
    trained = f"{model.trained:%Y-%m-%d %H:%M}" if model.trained else ""
    runs = (model.manifest.get("window") or {}).get("runs", "")
    failing, apfdc = model.manifest.get("failing_runs", ""), model.quality.get("apfdc")
    figure = "" if apfdc is None else f"{apfdc:.3f}"
    trouble = f"  {printable(model.trouble)}" if model.trouble else ""
    name = printable(model.bundle)
    return (
        f"{name:14}{model.place:12}{trained:18}{runs:>7}{failing:>9}{figure:>8}{trouble}".rstrip()
    )


@command.command()
@click.argument("model", default="")
@_as_json
@with_options(ShowOptions)
def show(context: Context, options: ShowOptions) -> None:
    """Show what a model was made of, and what was decided on it.

    MODEL is an id or its beginning (default: the live one). --json holds the version of the data
    and of the code, parameters, settings, metrics, files and decisions.

    \b
    Examples:
      testopt models show
      testopt models show 3fa92b --json
    """
    from testopt.registry import find_model

    model = find_model(context.open_store(), options.model)
    if options.as_json:
        print_json(model.as_dict())
    else:
        _show(model)


def _show(model: Model) -> None:
    whole = model.as_dict()
    click.echo(f"model {printable(model.bundle)}: {model.place}")
    if model.trouble:
        click.echo(f"it cannot be used: {printable(model.trouble)}")
    window = model.manifest.get("window")
    if window:
        click.echo(
            f"{pluralize(window['runs'], 'run')} ({model.manifest.get('failing_runs', '?')} "
            f"failing), {window['first'][:10]} to {window['last'][:10]}"
        )
    code = whole["code"]
    facts = {
        "data": whole["data"]["digest"],
        "code": " ".join(str(code[k]) for k in ("testopt", "sources") if k in code),
        "seed": whole["parameters"]["seed"],
        "settings": ", ".join(f"{k} = {v}" for k, v in whole["settings"].items()),
        "parents": ", ".join(model.parents),
    }
    for name, value in facts.items():
        if value not in (None, ""):
            click.echo(f"{name:10}{printable(str(value))}")
    for name in ("apfdc", "apfd", "first", "napfd"):
        if name in model.quality:
            click.echo(f"{name:10}{model.quality[name]:.3f}")
    for decision in model.decisions:
        line = f"{decision.time:%Y-%m-%d %H:%M} {decision.kind} by {decision.author}"
        click.echo(printable(f"{line}: {decision.why}"))


@command.command()
@click.argument("old")
@click.argument("new", default="")
@_as_json
@with_options(DiffOptions)
def diff(context: Context, options: DiffOptions) -> None:
    """Say in what two models differ (NEW: default the live one).

    With -v before the command also in the figures of the simple orders beside them.

    \b
    Example:
      testopt models diff 3fa92b 81c0de
    """
    from testopt.registry import find_model
    from testopt.registry.comparison import compare

    store = context.open_store()
    found = compare(find_model(store, options.old), find_model(store, options.new))
    if options.as_json:
        print_json(asdict(found))
    else:
        _show_differences(found, whole=bool(context.verbose))


def _show_differences(found: Comparison, *, whole: bool) -> None:
    click.echo(f"{printable(found.old)} -> {printable(found.new)}")
    for one in found.differences:
        if not whole and _is_of_a_simple_order(one.name):
            continue
        click.echo(printable(f"{one.name}: {_value(one.old)} -> {_value(one.new)}"))
    if not found.differences:
        click.echo("they do not differ")
    elif not found.same_runs:
        click.echo("their metrics are of different runs, so they cannot be compared")


def _is_of_a_simple_order(name: str) -> bool:
    """Tell whether a metric is that of an order which the model is compared with."""
    return name.startswith("metrics.") and name.count(".") > 1 and ".testopt." not in name


def _value(value: Any) -> str:
    return "none" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


@command.command()
@click.argument("model")
@_reason
@_as_json
@with_options(PromoteOptions)
def promote(context: Context, options: PromoteOptions) -> None:
    """Make a model the live one.

    It is checked first; a damaged or outdated one is refused (exit code 3).

    \b
    Example:
      testopt models promote 3fa92b --why "the order of last month was better"
    """
    from testopt.cli.decider import decider_of
    from testopt.registry.changes import promote as promote_model

    done = promote_model(
        context.open_store(), options.model, why=options.why, decider=decider_of(context)
    )
    _tell(done, as_json=options.as_json)


@command.command()
@click.option(
    "--model", "of_model", is_flag=True, help="Go back to the model before (the default)."
)
@click.option(
    "--selection",
    "of_selection",
    is_flag=True,
    help="Run every test: the selection goes back into shadow. With --model, do both.",
)
@_reason
@_as_json
@with_options(RollbackOptions)
def rollback(context: Context, options: RollbackOptions) -> None:
    """Go back to the model before, or stop leaving tests out.

    A selection that was rolled back runs every test until it has earned trust anew by the rules
    of promotion (shadow_days, shadow_regressions).

    \b
    Examples:
      testopt models rollback
      testopt models rollback --selection --why "a release week"
      testopt models rollback --model --selection
    """
    from testopt.cli.decider import decider_of
    from testopt.registry.changes import rollback as roll_back

    done = roll_back(
        context.open_store(),
        of_bundle=options.of_model or not options.of_selection,
        of_selection=options.of_selection,
        why=options.why,
        decider=decider_of(context),
    )
    _tell(done, as_json=options.as_json)


def _tell(done: Change, *, as_json: bool) -> None:
    if as_json:
        print_json({"bundle": done.bundle or None, "before": done.before or None,
                    "decision": done.decision.as_dict()})  # fmt: skip
        return
    if done.bundle != done.before:
        instead = f" in place of {printable(done.before)}" if done.before else ""
        click.echo(f"model {printable(done.bundle)} is live{instead}")
    if done.decision.details.get("selection"):
        click.echo("the selection is in shadow again: every test runs")


@command.command("gc")
@click.option(
    "--days",
    metavar="DAYS",
    type=Number(0.0),
    default=90.0,
    show_default=True,
    help="Keep models that plans of the last DAYS days name.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be removed; remove nothing.")
@_as_json
@with_options(CollectOptions)
def collect_command(context: Context, options: CollectOptions) -> None:
    """Remove models that nothing needs.

    These stay: the live model, models that a rollback can return to, models on trial, models
    trained within a day, and models that recent plans name.

    \b
    Examples:
      testopt models gc --dry-run
      testopt models gc --days 30
    """
    from testopt.cli.decider import decider_of
    from testopt.registry.changes import collect

    store = context.open_store()
    done = collect(store, days=options.days, dry_run=options.dry_run, decider=decider_of(context))
    if options.as_json:
        print_json({"dry_run": options.dry_run, **asdict(done)})
        return
    for name in done.removed:
        click.echo(f"{printable(name)}: {'would go' if options.dry_run else 'removed'}")
    if context.verbose:
        for name, why in done.kept.items():
            click.echo(f"{printable(name)}: kept, {why}")
    would = "would go" if options.dry_run else "removed"
    click.echo(
        f"{pluralize(len(done.removed), 'model')} {would} ({done.bytes / 1e6:.1f} MB), "
        f"{len(done.kept)} kept"
    )
