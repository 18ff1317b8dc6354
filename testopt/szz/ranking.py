"""Ranks the candidates of a fix with a conditional logit over few, readable features.

The model
---------
P(candidate) is proportional to exp(sum of weight x feature) over the candidates of one fix
(McFadden 1974). R-SZZ (Davies et al. 2014), which takes the latest commit that wrote a changed
line, is nearly the special case in which only `age` counts among those with a `share`.

The weights
-----------
``WEIGHTS`` are learnt by ``scripts/train_szz.py`` from a folder of clones and a table of fixes
with the commits that developers named (Rosa et al., ICSE 2021), by maximum likelihood with a
ridge penalty, with no issue dates and without reading the messages of the fixes: there, messages
hold the answer. What the script prints is estimated with repositories held out whole.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from testopt.pluralize import pluralize
from testopt.szz.candidates import MIN_MERGE_PARENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testopt.szz.candidates import Candidate

NEAR_LINES: Final = 3  # lines from a hunk that are called near
WEIGHTS: Final[dict[str, float]] = {
    "share": 2.03,
    "near": 1.04,
    "distance": -0.49,
    "age": -0.30,
    "position": -0.82,
    "returned": 0.61,
    "restored": 1.25,
    "files": -0.33,
    "mechanical": -0.64,
    "root": -2.30,
}
STATED_WEIGHT: Final = 8.0  # added where a trailer or a revert names the commit: it decides
_MECHANICAL: Final = re.compile(
    r"\b(?:whitespaces?|(?:re)?indent\w*|(?:re)?format\w*|renam\w*|style|lint\w*|pep-?8|pylint|"
    r"flake8|clean(?:ed|ing)?[ -]?up|cleanups?|copyright|licen[cs]e\w*|typos?|merge[sd]?|"
    r"mov(?:e[sd]?|ing)|black|prettier|clang-format)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class RankedCandidate:
    """A ranked candidate: how likely it introduced the defect, and whether it is the answer."""

    candidate: Candidate
    confidence: float
    chosen: bool


def candidate_features(candidates: Sequence[Candidate]) -> list[dict[str, float]]:
    """Return the features of the candidates of one fix.

    Parameters
    ----------
    candidates : sequence of Candidate
        All candidates of the fix.

    Returns
    -------
    list of dict
        One dict per candidate with the keys of ``WEIGHTS``. Counts and distances are logs.
    """
    return [_features(c) for c in candidates]


def _features(c: Candidate) -> dict[str, float]:
    return {
        "share": math.sqrt(c.share),  # of the suspect lines
        "near": math.sqrt(c.near),  # of the weight of the lines around
        "distance": math.log1p(c.distance),
        "age": math.log1p(c.age_days),
        "position": math.log1p(c.position),
        "returned": math.log1p(c.returned),
        "restored": math.log1p(c.restored),
        "files": math.log1p(c.facts.files),
        "mechanical": float(bool(_MECHANICAL.search(c.facts.subject))),
        "root": float(not c.facts.parents),
    }


def rank_candidates(
    candidates: Sequence[Candidate], *, before: float | None = None
) -> list[RankedCandidate]:
    """Rank the candidates of a fix and choose one.

    Parameters
    ----------
    candidates : sequence of Candidate
        From ``testopt.szz.candidates.find_candidates``.
    before : float, optional
        When the defect was reported, in seconds since 1970: what was written later is innocent.

    Returns
    -------
    list of RankedCandidate
        The likeliest first, which alone is chosen; empty without candidates. Confidences add up
        to 1.
    """
    eligible = [c for c in candidates if before is None or c.facts.authored <= before]
    if not eligible:
        return []
    scores = [
        sum(WEIGHTS[name] * value for name, value in row.items()) + STATED_WEIGHT * candidate.stated
        for candidate, row in zip(eligible, candidate_features(eligible), strict=True)
    ]
    top = max(scores)
    odds = [math.exp(score - top) for score in scores]
    total = sum(odds)
    order = sorted(range(len(eligible)), key=lambda i: (-odds[i], i))
    return [
        RankedCandidate(eligible[i], round(odds[i] / total, 6), chosen=place == 0)
        for place, i in enumerate(order)
    ]


def candidate_reasons(candidate: Candidate) -> list[str]:
    """Say in words what speaks for and against a candidate, the weightiest first."""
    c = candidate
    statements = [
        (c.stated, "a trailer or revert in the message of the fix names it"),
        (c.written, f"wrote {c.written} of the changed lines ({c.share:.0%})"),
        (
            not c.written and c.distance <= NEAR_LINES,
            f"wrote code {c.distance} lines from the change",
        ),
        (c.restored, f"deleted {c.restored} lines that the fix brings back"),
        (c.returned, f"deleted {pluralize(c.returned, 'name')} that the fix adds"),
        (c.position == 0, "is the last commit of the file before the fix"),
        (True, f"{c.age_days:.1f} days before the fix"),
        (c.same_author, "by the author of the fix"),
        (c.facts.files > 1, f"changed {c.facts.files} files"),
        (not c.facts.parents, "is the first commit of the history"),
        (len(c.facts.parents) >= MIN_MERGE_PARENTS, "is a merge"),
        (_MECHANICAL.search(c.facts.subject), "calls itself mechanical"),
    ]
    return [text for holds, text in statements if holds]
