"""What is wrong or doubtful about the data that models learn from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

Severity = Literal["error", "doubt", "note"]
EXAMPLES: Final = 5  # of a finding that are named


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about the data.

    Attributes
    ----------
    slug : str
        Stable name.
    severity : {"error", "doubt", "note"}
        An error refuses a training, a doubt warns, a note is for who asks.
    message : str
    count : int
        How many runs, cases or rows it is about.
    examples : tuple of str
        A few of them.
    fix : str
        What to do about it; empty where nothing need be done.
    """

    slug: str
    severity: Severity
    message: str
    count: int = 0
    examples: tuple[str, ...] = ()
    fix: str = ""


@dataclass(frozen=True, slots=True)
class QualityReport:
    """All findings, errors first, and how much was looked at."""

    findings: tuple[Finding, ...] = ()
    runs: int = 0
    results: int = 0
    first: str = ""
    last: str = ""

    @classmethod
    def of(cls, findings: Iterable[Finding], **looked_at: Any) -> QualityReport:
        """Return a report of findings in any order."""
        rank = {"error": 0, "doubt": 1, "note": 2}
        return cls(tuple(sorted(findings, key=lambda f: rank[f.severity])), **looked_at)

    def with_more(self, findings: Iterable[Finding]) -> QualityReport:
        """Return the report with further findings."""
        return QualityReport.of(
            (*self.findings, *findings), runs=self.runs, results=self.results, first=self.first,
            last=self.last,
        )  # fmt: skip

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What refuses a training."""
        return tuple(f for f in self.findings if f.severity == "error")

    @property
    def doubts(self) -> tuple[Finding, ...]:
        """What warns."""
        return tuple(f for f in self.findings if f.severity == "doubt")

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"ok": not self.errors, **asdict(self)}
