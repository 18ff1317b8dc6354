"""Ranks the candidates of a fix with a conditional logit over few, readable features.

The model
---------
P(candidate) is proportional to exp(sum of weight x feature) over the candidates of one fix and one
more answer, "none of these" (McFadden 1974). Fixes that delete or change lines and fixes that only
add have weights of their own: there, who wrote the lines speaks; here, the function around them.

The weights
-----------
``DELETING`` and ``ADDING`` are learnt by ``scripts/train_szz.py`` from the commits that authors
named themselves: trailers ``Fixes: <hash>`` and prose of the projects in ``TAUGHT_BY``, and the
developer-informed oracle of Rosa et al. (ICSE 2021, the half of 83 projects that is published
here), by maximum likelihood with a ridge penalty. Messages are read without those answers, and no
issue dates. What the script prints is estimated with whole projects held out.

A commit that the message names, by hash in a trailer or revert or by its quoted subject, is not
ranked: that is stated evidence.
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
# From which a reason says so: of 1,712 fixes 26 % of the culprits have it, 3 % of the others.
TOLD: Final = 0.15
TAUGHT_BY: Final = (
    "DPDK/dpdk", "FRRouting/frr", "NetworkManager/NetworkManager", "getpatchwork/patchwork",
    "haproxy/haproxy", "libcamera-org/libcamera", "linux-rdma/rdma-core", "opensvc/multipath-tools",
    "openvswitch/ovs", "ovn-org/ovn", "pmem/ndctl", "riscv-software-src/opensbi",
)  # fmt: skip
DELETING: Final[dict[str, float]] = {
    "share": 0.92,
    "near": 2.01,
    "unwritten": -0.32,
    "latest": -0.07,
    "most": -0.07,
    "distance": -0.57,
    "age": -0.25,
    "position": -0.25,
    "returned": 0.19,
    "restored": 0.31,
    "around": -0.12,
    "named": 1.19,
    "introduced": 0.16,
    "overlap": 0.37,
    "alike": -0.32,
    "told": 6.93,
    "copied": 1.47,
    "sibling": -1.05,
    "mechanical": -0.53,
    "root": -1.37,
}
ADDING: Final[dict[str, float]] = {
    "near": 1.81,
    "distance": -0.26,
    "age": -0.18,
    "position": -0.36,
    "returned": 0.06,
    "restored": 2.17,
    "around": 1.18,
    "named": 2.03,
    "overlap": 0.01,
    "alike": 0.43,
    "told": 6.67,
    "copied": 1.46,
    "sibling": -1.29,
    "files": -0.07,
    "mechanical": -0.57,
    "root": 0.41,
}
NOBODY: Final = (-0.01, 1.17)  # score of "none of these" for DELETING and ADDING
# Slopes of the two ends and shift of the highest confidence (beta calibration: Kull et al. 2017),
# fitted on 2,822 fixes of thirteen histories, each by weights that the others taught. Where the
# others taught the calibration, too, of 363 confidences from 0.9 on .91 are right [.88, .94].
CALIBRATION: Final = (0.73, 0.69, 0.24)
STATED: Final = 0.98  # confidence of a commit that the message names
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
        One dict per candidate with the keys of ``DELETING``. Counts and distances are logs.
    """
    return [_features(c) for c in candidates]


def _features(c: Candidate) -> dict[str, float]:
    return {
        "share": math.sqrt(c.share),  # of the suspect lines
        "near": math.sqrt(c.near),  # of the weight of the lines around
        "unwritten": float(not c.written),
        "latest": float(c.latest),
        "most": float(c.most),
        "distance": math.log1p(c.distance),
        "age": math.log1p(c.age_days),
        "position": math.log1p(c.position),
        "returned": math.log1p(c.returned),
        "restored": math.log1p(c.restored),
        "around": math.sqrt(c.around),
        "named": math.sqrt(c.named),
        "introduced": math.log1p(c.introduced),
        "overlap": c.overlap,
        "alike": c.alike,
        "told": c.told,
        "copied": float(c.copied),
        "sibling": float(c.sibling),
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
        The likeliest first, which alone is chosen; empty without candidates. Confidences and
        that of "none of these" add up to 1.
    """
    eligible = [c for c in candidates if before is None or c.facts.authored <= before]
    if not eligible:
        return []
    confidences = _with_stated(eligible, _confidences(eligible))
    order = sorted(range(len(eligible)), key=lambda i: (-confidences[i], i))
    return [
        RankedCandidate(eligible[i], round(confidences[i], 6), chosen=place == 0)
        for place, i in enumerate(order)
    ]


def _confidences(candidates: Sequence[Candidate]) -> list[float]:
    only_adds = candidates[0].only_adds
    weights, nobody = (ADDING, NOBODY[1]) if only_adds else (DELETING, NOBODY[0])
    scores = [
        sum(weight * row[name] for name, weight in weights.items())
        for row in candidate_features(candidates)
    ]
    top = max(*scores, nobody)
    odds = [math.exp(score - top) for score in scores]
    total = sum(odds) + math.exp(nobody - top)
    return _calibrated([o / total for o in odds])


def _calibrated(confidences: Sequence[float]) -> list[float]:
    """Let the highest be as often right as it says; the others share the rest as before."""
    best = min(max(*confidences, 1e-9), 1.0 - 1e-9)
    low, high, shift = CALIBRATION
    told = 1.0 / (1.0 + (1.0 - best) ** high / best**low * math.exp(-shift))
    rest = (1.0 - told) / (1.0 - best)
    place = max(range(len(confidences)), key=confidences.__getitem__)
    return [told if i == place else c * rest for i, c in enumerate(confidences)]


def _with_stated(candidates: Sequence[Candidate], confidences: Sequence[float]) -> list[float]:
    """Let what the message names be certain; the others share the rest."""
    named = [c.stated for c in candidates]
    if not any(named):
        return list(confidences)
    inside = sum(p for p, is_named in zip(confidences, named, strict=True) if is_named)
    outside = max(sum(confidences) - inside, 1e-9)
    return [
        p / inside * STATED if is_named else p / max(outside, 1.0) * (1.0 - STATED)
        for p, is_named in zip(confidences, named, strict=True)
    ]


def candidate_reasons(candidate: Candidate) -> list[str]:
    """Say in words what speaks for and against a candidate, the weightiest first."""
    c = candidate
    statements = [
        (c.stated, "the message of the fix names it"),
        (c.written, f"wrote {c.written} of the changed lines ({c.share:.0%})"),
        (
            not c.written and c.distance <= NEAR_LINES,
            f"wrote code {c.distance} lines from the change",
        ),
        (c.restored, f"deleted {c.restored} lines that the fix brings back"),
        (c.returned, f"deleted {pluralize(c.returned, 'name')} that the fix adds"),
        (c.around, f"wrote {c.around:.0%} of the function that the fix adds to"),
        (c.named, "wrote lines with names that the fix adds"),
        (c.copied, "the message of the fix copies its author"),
        (c.told >= TOLD, "the message of the fix speaks of the same"),
        (c.sibling, "is of the same series: same author, within a day"),
        (c.position == 0, "is the last commit of the file before the fix"),
        (True, f"{c.age_days:.1f} days before the fix"),
        (c.same_author, "by the author of the fix"),
        (c.facts.files > 1, f"changed {c.facts.files} files"),
        (not c.facts.parents, "is the first commit of the history"),
        (len(c.facts.parents) >= MIN_MERGE_PARENTS, "is a merge"),
        (_MECHANICAL.search(c.facts.subject), "calls itself mechanical"),
    ]
    return [text for holds, text in statements if holds]
