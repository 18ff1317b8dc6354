"""Makes another bundle the live one, takes that back, and removes bundles that nobody needs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from testopt.errors import BundleError, DataError, UsageError
from testopt.registry import find_model
from testopt.selection.bundle_registry import (
    bundle_names,
    delete_files,
    load_bundle,
    manifest_of,
)
from testopt.selection.decisions import Decider, Decision, read_decisions
from testopt.selection.policy import Policy
from testopt.selection.standing import changing, read_standing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testopt.selection.standing import Standing
    from testopt.store import Store

KEPT_DAYS: Final = 90.0  # for which plans can name the bundle that made them
_YOUNG: Final = timedelta(days=1)  # one that another process may just be writing


@dataclass(frozen=True, slots=True)
class Change:
    """What a promotion or a rollback did: the live bundle now and before, and the decision."""

    bundle: str
    before: str
    decision: Decision


def promote(store: Store, name: str, *, why: str = "", decider: Decider | None = None) -> Change:
    """Make a bundle the live one, in one write.

    Parameters
    ----------
    store : Store
    name : str
        Its id, or the beginning of it.
    why : str
        For the log of decisions.
    decider : Decider, optional
        Who, and by which settings.

    Raises
    ------
    UsageError
        When no bundle, or more than one, is meant, or it is live already.
    BundleError
        When it is damaged or of other features: nothing is changed then.
    """
    bundle, decider = find_model(store, name).bundle, decider or Decider()
    load_bundle(store, bundle)
    with changing(store) as step:
        before = step.now.bundle
        if before == bundle:
            raise UsageError(f"model {bundle} is live already", "see testopt models list")
        decision = Decision(
            kind="promoted", why=why or "asked for", author=decider.author, bundle=bundle,
            before=before, details={"settings": dict(decider.settings)},
        )  # fmt: skip
        step.write(step.now.with_live(bundle), decision)
    return Change(bundle, before, decision)


def rollback(
    store: Store,
    *,
    of_bundle: bool = True,
    of_selection: bool = False,
    why: str = "",
    decider: Decider | None = None,
) -> Change:
    """Go back to the bundle that was live before, or to a selection in shadow, in one write.

    Parameters
    ----------
    store : Store
    of_bundle : bool
        Take the bundle back.
    of_selection : bool
        Let everything run: the selection is in shadow again, and has to earn its trust anew.
    why : str
        For the log of decisions.
    decider : Decider, optional
        Who, and by which settings.

    Raises
    ------
    DataError
        When there is no bundle to go back to.
    """
    decider, now = decider or Decider(), datetime.now(UTC)
    target = _usable_before(store) if of_bundle else ""
    with changing(store) as step:
        before, new = step.now.bundle, step.now
        if of_bundle:
            new = replace(new.with_live(target), before=_rest(step.now, target), held=True)
        if of_selection:
            new = replace(new, selection_since=now.timestamp())
        decision = Decision(
            kind="rolled back" if of_bundle else "selection rolled back",
            why=why or "asked for", author=decider.author, bundle=new.bundle, before=before,
            time=now,
            details={"settings": dict(decider.settings), "selection": of_selection},
        )  # fmt: skip
        step.write(new, decision)
    return Change(new.bundle, before, decision)


def _usable_before(store: Store) -> str:
    """Return the newest bundle that was live before and can still be used."""
    standing = read_standing(store)
    why = "no other model was live before"
    for name in standing.before:
        try:
            load_bundle(store, name)
        except BundleError as error:
            why = error.message
            continue
        return name
    raise DataError(f"there is no model to go back to: {why}", "see testopt models list")


def _rest(standing: Standing, target: str) -> tuple[str, ...]:
    """Return what a further rollback can reach: not what was just taken back."""
    return standing.before[standing.before.index(target) + 1 :] if target in standing.before else ()


@dataclass(frozen=True, slots=True)
class Cleaning:
    """What `collect` keeps of the bundles, each with the reason, and what it removes."""

    kept: dict[str, str]
    removed: tuple[str, ...]
    bytes: int


def collect(
    store: Store,
    *,
    days: float = KEPT_DAYS,
    dry_run: bool = False,
    decider: Decider | None = None,
    now: datetime | None = None,
) -> Cleaning:
    """Remove the bundles that are not live, that no rollback reaches and no recent plan names.

    Parameters
    ----------
    store : Store
    days : float
        Plans of so many days count.
    dry_run : bool
        Only say what would go.
    decider : Decider, optional
        Who, and by which settings.
    now : datetime, optional
        The present.

    Raises
    ------
    BundleError
        When what says which bundle is live is damaged: nothing is removed then.
    """
    decider, moment = decider or Decider(), now or datetime.now(UTC)
    read_standing(store)  # else everything could go
    planned = _planned(store, moment - timedelta(days=days))
    with changing(store) as step:
        names = bundle_names(store)
        kept = _kept(store, names, step.now, moment) | dict.fromkeys(
            planned, "a recent plan names it"
        )
        kept |= _reachable(step.now)
        gone = [name for name in names if name not in kept]
        size = sum(_size(store, name) for name in gone)
        for name in gone if not dry_run else ():
            delete_files(store, name)
            why = f"nothing has needed it for {days:g} days"
            step.note(Decision(kind="removed", why=why, author=decider.author, bundle=name))
    return Cleaning({name: kept[name] for name in names if name in kept}, tuple(gone), size)


def _reachable(standing: Standing) -> dict[str, str]:
    found = dict.fromkeys(standing.before, "a rollback reaches it")
    found |= {standing.trial.bundle: "it is on trial", standing.bundle: "it is live"}
    return found


def _kept(store: Store, names: Sequence[str], standing: Standing, now: datetime) -> dict[str, str]:
    """Return the bundles that were just trained, or may be, and the parents of the live one."""
    decisions: Sequence[Decision] = read_decisions(store)
    trained = [d for d in decisions if d.kind == "trained"]
    found = {d.bundle: "it was trained within a day" for d in trained if now - d.time < _YOUNG}
    if "://" in store.url:  # without locks, and the log comes after the files
        logged = {d.bundle for d in trained}
        found |= {name: "it may just be written" for name in names if name not in logged}
    for decision in trained:
        if decision.bundle == standing.bundle:
            parents = map(str, decision.details.get("parents", ()))
            found |= dict.fromkeys(parents, "the live one was trained beside it")
    return found


def _planned(store: Store, since: datetime) -> set[str]:
    """Return the bundles that plans of recent runs name, and of runs that have not come yet."""
    recent = store.read("runs", columns=["run_id"], where=[("time", ">=", since)])
    old = store.read("runs", columns=["run_id"], where=[("time", "<", since)])
    if store.version("predictions") < 0:
        return set()
    ids = set(old["run_id"].to_pylist()) - set(recent["run_id"].to_pylist())
    rows = store.read("predictions", columns=["run_id", "policy"], unfinished=True,
                      dictionary=["run_id", "policy"])  # fmt: skip
    pairs = rows.group_by(["run_id", "policy"]).aggregate([]).to_pylist()
    found = {Policy.parse(row["policy"]).bundle for row in pairs if row["run_id"] not in ids}
    return found - {""}


def _size(store: Store, name: str) -> int:
    try:
        files = manifest_of(store, name)["files"].values()
    except BundleError:
        return 0
    return sum(int(file["bytes"]) for file in files)
