"""Why a change is risky, one sentence a subject: size, history, author, kind and content."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from testopt.risk.metric_words import contribution_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from testopt.risk.values import MetricContribution

_VERSIONS: Final = {
    "version_bump": "nothing but version numbers changes",
    "dependency_update": "nothing but versions of dependencies changes; read what is new in them, "
    "and run the tests that use them",
}
_SUBJECTS: Final = {
    "size": ("la", "ld", "nf", "nd", "ns", "entropy"),
    "history": ("nuc", "ndev", "age", "lt"),
    "author": ("exp", "rexp", "sexp"),
    "kind": ("fix", "date"),
    "versions": tuple(_VERSIONS),
}
_ADVICE: Final = {
    "size": "split it, or review it in parts",
    "history": "ask who changed these files before, and run their tests",
    "author": "ask somebody who knows these files to review it",
    "kind": "check that nothing beside what is fixed has changed",
}
_LEAST: Final = 0.05  # log-odds below which a subject is not told
_CLEAR: Final = 0.3  # log-odds from which it comes with advice: odds of a third more


@dataclass(frozen=True, slots=True)
class Explanation:
    """What one subject adds to the log-odds of a change, and its sentence."""

    subject: str
    log_odds: float
    text: str


def explain(parts: Sequence[MetricContribution]) -> list[Explanation]:
    """Return a sentence for each subject that matters, that of the largest contribution first.

    Parameters
    ----------
    parts : sequence of MetricContribution
        Of a `Risk`.

    Returns
    -------
    list of Explanation
        What raises the risk clearly ends with what to do about it.
    """
    subject_of = {metric: subject for subject, ms in _SUBJECTS.items() for metric in ms}
    groups: dict[str, list[MetricContribution]] = {}
    for part in parts:
        if part.metric != "base":
            groups.setdefault(subject_of.get(part.metric, "content"), []).append(part)
    by_metric = {part.metric: part for part in parts}
    out = []
    for subject, group in groups.items():
        log_odds = sum(part.log_odds for part in group)
        if abs(log_odds) >= _LEAST or subject == "versions":
            text = _TEXTS[subject](by_metric) if subject in _TEXTS else _content(group)
            advice = _ADVICE.get(subject, "") if log_odds >= _CLEAR else ""
            out.append(Explanation(subject, log_odds, f"{text}; {advice}" if advice else text))
    return sorted(out, key=lambda e: (-abs(e.log_odds), e.subject))


def _content(group: Sequence[MetricContribution]) -> str:
    told = [p for p in sorted(group, key=lambda p: -abs(p.log_odds)) if abs(p.log_odds) >= _LEAST]
    if any(part.metric == "turned" for part in told):
        told = [part for part in told if part.metric != "turned"]
        others = "".join(f", {contribution_text(part)}" for part in told)
        return f"a condition was turned, of which both ways need a test{others}"
    return ", ".join(contribution_text(part) for part in told or group[:1])


def _size(parts: Mapping[str, MetricContribution]) -> str:
    added = _count(parts, "la", "line", "adds {}")
    deleted = _count(parts, "ld", "line", "deletes {}")
    files = _count(parts, "nf", "file", "in {}")
    return f"it {' and '.join(filter(None, (added, deleted)))} {files}".rstrip()


def _history(parts: Mapping[str, MetricContribution]) -> str:
    if _value(parts, "nuc") == 0.0:
        return "nothing is known of the past of its files"
    changes = _count(parts, "nuc", "time", "its files changed {} before")
    people = _count(parts, "ndev", "person", "by {}", typical=False)
    age = _count(parts, "age", "day", "the last time {} ago", typical=False)
    return ", ".join(filter(None, (changes, people, age)))


def _author(parts: Mapping[str, MetricContribution]) -> str:
    made = _count(parts, "exp", "change", "the author made {} before")
    here = _count(parts, "sexp", "of them", "{} in these parts", typical=False, plural="of them")
    return ", ".join(filter(None, (made, here)))


def _kind(parts: Mapping[str, MetricContribution]) -> str:
    is_fix = _value(parts, "fix")
    return "" if is_fix is None else "it is a fix" if is_fix else "it is no fix"


def _versions(parts: Mapping[str, MetricContribution]) -> str:
    return next(text for metric, text in _VERSIONS.items() if metric in parts)


_TEXTS: Final[dict[str, Callable[[Mapping[str, MetricContribution]], str]]] = {
    "size": _size,
    "history": _history,
    "author": _author,
    "kind": _kind,
    "versions": _versions,
}


def _value(parts: Mapping[str, MetricContribution], metric: str) -> float | None:
    return parts[metric].value if metric in parts else None


def _count(
    parts: Mapping[str, MetricContribution],
    metric: str,
    noun: str,
    words: str,
    *,
    typical: bool = True,
    plural: str = "",
) -> str:
    """Return such as ``adds 420 lines (typical: 14)``; empty where the value is not known."""
    value = _value(parts, metric)
    if value is None:
        return ""
    plural = plural or {"person": "people"}.get(noun, f"{noun}s")
    told = words.format(f"{round(value):,} {noun if round(value) == 1 else plural}")
    usual = parts[metric].typical
    return f"{told} (typical: {round(usual):,})" if typical and usual is not None else told
