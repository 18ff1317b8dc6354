"""The selection options of a run of pytest, parsed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from testopt.durations import parse_duration
from testopt.errors import UsageError
from testopt.parts import parse_part
from testopt.reasons import Reason, ReasonKind
from testopt.shares import parse_share

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from testopt.engine.session import PytestSession
    from testopt.schema import Selection

_ASKED_SHADOW: Final = Reason(ReasonKind.ASKED_SHADOW)


@dataclass(frozen=True, slots=True)
class SelectionRequest:
    """The options of one run, parsed.

    Attributes
    ----------
    selects : bool
        Whether a plan says what could be left out.
    shadow : bool
        Whether all cases run all the same.
    recall, case_recall, budget_s, fraction : float or None
    part : tuple of int or None
        Which part of how many this run is.
    """

    selects: bool = False
    shadow: bool = False
    recall: float | None = None
    case_recall: float | None = None
    budget_s: float | None = None
    fraction: float | None = None
    part: tuple[int, int] | None = None

    @classmethod
    def parse(cls, mode: str, words: Mapping[str, Any]) -> SelectionRequest:
        """Read what the plugin sent.

        Raises
        ------
        UsageError
            For a value that is no share, no time or no part.
        """
        return cls(
            selects=mode in {"select", "shadow"},
            shadow=mode == "shadow",
            recall=_share(words, "recall"),
            case_recall=_share(words, "case_recall"),
            budget_s=_seconds(words.get("budget")),
            fraction=_share(words, "fraction"),
            part=_part(words.get("shard")),
        )

    def selection(
        self, session: PytestSession, *, run_id: str, required: Iterable[str] = ()
    ) -> Selection | None:
        """Return what is asked of the plan, with what the settings and the change add to it.

        Parameters
        ----------
        session : PytestSession
        run_id : str
            What the draws follow from; not those of parts, which all draw the same.
        required : iterable of str
            Cases that are marked as never left out.
        """
        if not self.selects:
            return None
        from testopt.schema import Selection
        from testopt.selection.request import complete_selection

        selection = Selection(
            recall=self.recall,
            case_recall=self.case_recall,
            budget_s=self.budget_s,
            fraction=self.fraction,
            required=dict.fromkeys(required, Reason(ReasonKind.MARKED)),
            shadow=(_ASKED_SHADOW,) if self.shadow else (),
        )
        return complete_selection(
            selection,
            settings=session.settings,
            run=session.run,
            run_id="" if self.part else run_id,
            part=self.part,
            store=session.store,
        )


def _share(words: Mapping[str, Any], name: str) -> float | None:
    text = str(words.get(name) or "")
    try:
        return parse_share(text) if text else None
    except ValueError as error:
        raise UsageError(f"testopt_{name}: {error}") from None


def _seconds(text: Any) -> float | None:
    try:
        return parse_duration(str(text)) if text else None
    except ValueError as error:
        raise UsageError(f"testopt_budget: {error}") from None


def _part(text: Any) -> tuple[int, int] | None:
    try:
        return parse_part(str(text)) if text else None
    except ValueError as error:
        raise UsageError(f"testopt_shard: {error}") from None
