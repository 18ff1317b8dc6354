"""Whether a selection is trusted, on what evidence, and whether its misses can come to light."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from testopt.errors import UsageError
from testopt.reasons import Reason, ReasonKind
from testopt.selection.evidence import KEPT, KEPT_CASES, Evidence, Regression
from testopt.selection.plan_log import selection_record, stale_of
from testopt.selection.plan_log_file import PlanLog, load
from testopt.selection.policy import Policy
from testopt.selection.promotion import needs_evidence, promotion
from testopt.selection.standing import selection_rolled_back

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testopt.schema import Selection
    from testopt.selection.bundle import Bundle
    from testopt.selection.choice import Choice
    from testopt.selection.promotion import Rules, Trust
    from testopt.store import Store

RECENT_RUNS: Final = 100  # among which a full one is looked for


def apply_trust(
    selection: Selection, store: Store, rules: Rules, bundle: Bundle | None
) -> tuple[Selection, Reason | None]:
    """Return the selection, in shadow where it has not earned it that cases are left out.

    Parameters
    ----------
    selection : Selection
    store : Store
        Keeps what became of earlier plans.
    rules : Rules
    bundle : Bundle or None
        How old it is counts too.

    Returns
    -------
    tuple of Selection and Reason or None
        With it where the selection stands; None where ``shadow`` of the selection says so.
    """
    if selection.at_once and rules.promote == "gradual":
        rules = replace(rules, promote="auto")  # who does not wait for shadow waits for no step
    trust = trust_now(load(store), rules, bundle, selection_rolled_back(store))
    so_far = Reason(ReasonKind.TRUST_SO_FAR, (trust.why,))
    if selection.shadow:
        earned = Reason(ReasonKind.COULD_SELECT) if trust.selects else so_far
        return replace(selection, shadow=(*selection.shadow, earned)), None
    if trust.selects:
        return replace(selection, most_left_out=trust.most), so_far
    untried = trust.state == "shadow" and not trust.fallen and rules.promote != "never"
    if selection.at_once and untried:
        return selection, Reason(ReasonKind.SELECTS_AT_ONCE, (trust.why,))
    return replace(selection, shadow=(so_far,)), None


def trust_now(
    log: PlanLog, rules: Rules, bundle: Bundle | None, rolled_back: float | None = None
) -> Trust:
    """Say whether cases may be left out now.

    Parameters
    ----------
    log : PlanLog
    rules : Rules
    bundle : Bundle or None
        What it learnt from is evidence, too.
    rolled_back : float, optional
        When somebody rolled the selection back by hand, in seconds since 1970.
    """
    record = selection_record(log, rolled_back)
    trust = promotion(record, rules, stale=stale_of(log, _trained(bundle)))
    if trust.state != "gradual":
        return trust
    return needs_evidence(trust, len(_evidence(bundle, log).regressions))


def evidence_now(bundle: Bundle | None, store: Store | None) -> Evidence:
    """Return the past regressions: those that the bundle knows, and those judged since.

    Parameters
    ----------
    bundle : Bundle or None
    store : Store or None
        Keeps what became of the plans that were made since the bundle was trained.
    """
    return _evidence(bundle, load(store) if store is not None else PlanLog())


def _evidence(bundle: Bundle | None, log: PlanLog) -> Evidence:
    if bundle is None:
        return Evidence()
    trained = _trained(bundle)
    since = trained.timestamp() if trained is not None else 0.0
    outcomes = log.unbiased_outcomes
    new = (Regression(v.scores[:KEPT_CASES]) for v in outcomes if v.known > since and v.scores)
    return Evidence((*bundle.evidence.regressions, *new)[-KEPT:])


def check_learning(choice: Choice, selection: Selection, store: Store | None) -> None:
    """Refuse to leave cases out where nothing will ever show what that misses.

    Raises
    ------
    UsageError
        Where no change is drawn to run everything, and no full run has been recorded lately.
    """
    if selection.explore > 0.0 or choice.runs.all() or (store and _full_run_lately(store)):
        return
    raise UsageError(
        "cases would be left out, and nothing would show what that misses: explore is 0, and none "
        f"of the last {RECENT_RUNS} recorded runs was a full one",
        "set explore above 0 (0.05 is usual), or record a full run now and then, such as a "
        "nightly one",
    )


def _full_run_lately(store: Store) -> bool:
    rows = store.read(
        "runs", columns=["run_id", "time", "complete"], where=[("kind", "in", ["real", "clean"])]
    )
    recent = rows.sort_by([("time", "descending")]).slice(0, RECENT_RUNS).to_pylist()
    ids = {row["run_id"] for row in recent if row["complete"]}
    return bool(ids - _partial(store, sorted(ids)))


def _partial(store: Store, ids: Sequence[str]) -> set[str]:
    """Return the runs in which not every case was executed, as far as plans tell."""
    among, names = ("run_id", "in", ids), ["run_id", "policy", "executed"]
    some = store.read("predictions", columns=["run_id"], where=[among, ("executed", "==", False)])
    found = set(some["run_id"].unique().to_pylist())
    # a plan that was kept for another runner does not say what was executed
    left = store.read("predictions", columns=names, where=[among, ("selected", "==", False)])
    kinds = left.filter(left["executed"].is_null()).group_by(["run_id", "policy"]).aggregate([])
    for row in kinds.to_pylist():
        policy = Policy.parse(row["policy"])
        if policy.mode == "select" and not policy.explored:
            found.add(row["run_id"])
    return found


def _trained(bundle: Bundle | None) -> datetime | None:
    return None if bundle is None else datetime.fromisoformat(bundle.manifest["window"]["last"])
