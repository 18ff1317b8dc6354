"""Whether a selection is trusted, on what evidence, and whether its misses can come to light."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from testopt.errors import UsageError
from testopt.estimators.threshold import KEPT, KEPT_CASES, Evidence, Regression
from testopt.track import standing
from testopt.track.kept import load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testopt.bundle import Bundle
    from testopt.estimators.promotion import Rules, Verdict
    from testopt.plan.selection import Choice
    from testopt.schema import Selection
    from testopt.store import Store
    from testopt.track.kept import Track

RECENT_RUNS: Final = 100  # among which a full one is looked for


def trusted(
    selection: Selection, store: Store, rules: Rules, bundle: Bundle | None
) -> tuple[Selection, str]:
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
    tuple of Selection and str
        With it where the selection stands, for the line of the plan; empty where ``shadow`` of
        the selection says so.
    """
    trust, _ = standing(store, rules, trained=_trained(bundle))
    if selection.shadow:
        earned = "cases could be left out by now" if trust.selects else trust.why
        return replace(selection, shadow=f"{selection.shadow}; {earned}"), ""
    if trust.selects:
        return selection, trust.why
    untried = trust.state == "shadow" and not trust.fallen and rules.promote != "never"
    if selection.at_once and untried:
        return selection, f"selecting at once, as asked ({trust.why})"
    return replace(selection, shadow=trust.why), ""


def evidence_now(bundle: Bundle | None, store: Store | None) -> Evidence:
    """Return the past regressions: those that the bundle knows, and those judged since.

    Parameters
    ----------
    bundle : Bundle or None
    store : Store or None
        Keeps what became of the plans that were made since the bundle was trained.
    """
    if bundle is None:
        return Evidence()
    trained = _trained(bundle)
    since = trained.timestamp() if trained is not None else 0.0
    judged = _settled(load(store)) if store is not None else ()
    new = (Regression(v.scores[:KEPT_CASES]) for v in judged if v.known > since and v.scores)
    return Evidence((*bundle.evidence.regressions, *new)[-KEPT:])


def _settled(track: Track) -> Iterator[Verdict]:
    """Yield the verdicts that are evidence.

    What a selection finds at once are regressions that were easy to foresee: until everything
    has run again, and shown the others, they would make the threshold too lax.
    """
    whole = max(
        (p.time for p in track.plans if p.policy.explored or p.policy.mode != "select"),
        default=-math.inf,
    )
    return (v for v in track.verdicts if v.source != "selected" or v.known <= whole)


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
    ids = [row["run_id"] for row in recent if row["complete"]]
    where = [("run_id", "in", ids), ("executed", "==", False)]
    left_out = store.read("predictions", columns=["run_id"], where=where)["run_id"].to_pylist()
    return bool(set(ids) - set(left_out))


def _trained(bundle: Bundle | None) -> datetime | None:
    return None if bundle is None else datetime.fromisoformat(bundle.manifest["window"]["last"])
