"""`testopt retrain`: train anew when that is needed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from testopt.cli.common import Context, print_json, printable, scheduler_option, with_options
from testopt.cli.train import report_document, run_training, show_report

if TYPE_CHECKING:
    from testopt.selection.decisions import Decider
    from testopt.store import Store
    from testopt.train import TrainReport


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainOptions:
    """Options of ``testopt retrain``."""

    dry_run: bool
    scheduler: str | None
    as_json: bool


@click.command("retrain")
@click.option("--dry-run", is_flag=True, help="Only say whether a training is needed.")
@scheduler_option
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@with_options(RetrainOptions)
def command(ctx: Context, options: RetrainOptions) -> None:
    """Train when it is needed, and say why; else say why not.

    It is needed where no model can be used, plans drift or miss too much, 250 runs have come since
    the last training, or half as many failing runs as it knew (at least 10). Exit code 0 in either
    case, also while another process trains; 3 where the training fails. A model on trial that has
    planned its share of the changes becomes live, or is dropped.

    \b
    Examples:
      testopt retrain
      testopt retrain --dry-run --json
    """
    from testopt.cli.decider import decider_of
    from testopt.retrain import need_to_train, settle_canary

    store, decider = ctx.open_store(), decider_of(ctx)
    settled = None if options.dry_run else settle_canary(store, decider)
    if settled is not None and not options.as_json:
        click.echo(f"model {printable(settled.bundle)}: {settled.step}, {printable(settled.why)}")
    need = need_to_train(store)
    report, busy = None, False
    if need.is_there and not options.dry_run:
        report, busy = _train(ctx, store, decider, need.reasons, options.scheduler)
    if options.as_json:
        print_json(
            {
                "needed": need.is_there,
                "reasons": list(need.reasons),
                "why_not": need.why_not or None,
                "runs": need.runs,
                "busy": busy,
                "settled": None if settled is None else asdict(settled),
                "trained": None if report is None else report_document(report),
            }
        )
        return
    if busy:
        click.echo("another process trains at this moment")
    elif need.is_there:
        click.echo(f"a training is needed: {printable('; '.join(need.reasons))}")
    else:
        click.echo(f"no training is needed: {printable(need.why_not)}")
    if report is not None:
        show_report(report)


def _train(
    ctx: Context, store: Store, decider: Decider, reasons: tuple[str, ...], scheduler: str | None
) -> tuple[TrainReport | None, bool]:
    """Train, unless another process does: that is the second value."""
    from testopt.train import Takeover

    takeover = Takeover(decider=decider, reason="; ".join(reasons), share=ctx.settings.canary)
    with store.training() as free:
        if not free:
            return None, True
        return run_training(ctx, takeover, scheduler=scheduler), False
