"""Who decides at this command line, and by which settings."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from testopt.errors import SettingsError

if TYPE_CHECKING:
    from testopt.cli.common import Context
    from testopt.selection.decisions import Decider
    from testopt.store import Store


def decider_of(context: Context) -> Decider:
    """Return who decides: the user by their pseudonym, or the CI."""
    from testopt.git.decider import who_decides
    from testopt.selection.decisions import Decider

    return Decider(who_decides(context.root_or_none), context.settings.changed())


def note_selection(context: Context, store: Store) -> None:
    """Log that the selection has begun or stopped to leave cases out, where it has."""
    from testopt.selection import PLAN_LOG

    if store.read_blob(PLAN_LOG) is None:
        return
    from testopt.selection.plan_log import rules_of
    from testopt.selection.selection_log import log_selection

    with suppress(SettingsError):  # who asks for a selection is told
        decider, rules = decider_of(context), rules_of(context.settings)
        log_selection(store, rules, author=decider.author, settings=decider.settings)
