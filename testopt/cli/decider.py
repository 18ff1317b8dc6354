"""Who decides at this command line, and by which settings."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from testopt.cli.common import Context
    from testopt.selection.decisions import Decider
    from testopt.settings import Settings

_PLACES: Final = frozenset({"store", "project", "command", "origin"})  # may name hosts or people


def decider_of(context: Context) -> Decider:
    """Return who decides: the user by their pseudonym, or the CI."""
    from testopt.git.decider import who_decides
    from testopt.selection.decisions import Decider

    return Decider(who_decides(context.root_or_none), changed_settings(context.settings))


def changed_settings(settings: Settings) -> dict[str, Any]:
    """Return the settings that are not as by default, but for places and commands."""
    return {
        field.name: getattr(settings, field.name)
        for field in fields(settings)
        if field.name not in _PLACES and getattr(settings, field.name) != field.default
    }
