"""Logs that the selection begins to leave cases out, goes a step, or stops, as a decision."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from testopt.errors import BundleError, StoreError
from testopt.selection.bundle_registry import current_bundle
from testopt.selection.decisions import Decision
from testopt.selection.plan_log_file import load
from testopt.selection.standing import changing, read_standing
from testopt.selection.trust import trust_now

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testopt.selection.promotion import Rules
    from testopt.store import Store


def log_selection(store: Store, rules: Rules, *, author: str, settings: Mapping[str, Any]) -> bool:
    """Log what share of the cases may be left out, where that is another one than the last time.

    Nothing is lost where that cannot be done now: it is looked at after each recorded run.

    Parameters
    ----------
    store : Store
    rules : Rules
        Of promotion.
    author : str
        Who recorded the run.
    settings : mapping of str to Any
        Those that are not as by default.

    Returns
    -------
    bool
        Whether something was logged.
    """
    with suppress(StoreError, BundleError):
        standing, log = read_standing(store), load(store)
        if log.first is None:
            return False
        trust = trust_now(log, rules, current_bundle(store), standing.selection_since)
        share = (trust.most or 1.0) if trust.selects else 0.0
        if share == standing.selects:
            return False
        decision = Decision(
            kind="selection acts" if share else "selection stopped",
            why=trust.why, author=author, bundle=standing.bundle, before=standing.bundle,
            details={"rules": asdict(rules), "settings": dict(settings),
                     "most": share, "regressions": trust.regressions, "misses": trust.misses},
        )  # fmt: skip
        with changing(store) as step:
            if step.now.selects == share:
                return False  # another process was faster
            step.write(replace(step.now, selects=share), decision)
        return True
    return False
