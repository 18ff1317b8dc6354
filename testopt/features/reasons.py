"""Why a case stands where it stands, by rule from its features, in words."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final

import numpy as np

from testopt.counted import counted
from testopt.features.calls import FAR

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from testopt.features.run_features import RunFeatures

# Signals of closeness from 0 to 1, most as a share of the run's largest, and what each says.
_FAR: Final = "nothing it names changed"
_CLOSENESS: Final = {
    "ran_change": "ran the changed lines when its coverage was measured",
    "calls_share": "calls what was changed",
    "owners_together_share": "was edited together with the changed functions before",
    "lines_together_share": "was edited together with the changed lines before",
    "words_share": "shares words with the change",
    "owners_said_share": "shares words with the messages of those who wrote the changed code",
    "imports": "imports a changed file",
}
_CLOSE: Final = 0.5  # of the run's largest: what counts as close
_RATE: Final = re.compile(r"failed in \d+ of")
_DETAILS: Final = re.compile(
    r"^failed in \d+ of \d+ (?P<what>changes|runs).*|^(?P<never>never failed).*"
    r"|^(?P<imports>imports|may read) .*|^(?P<ran>ran) `.*",
    re.DOTALL,
)


def reasons(features: RunFeatures, *, told: Mapping[int, str] | None = None) -> list[str]:
    """Return one short sentence for each case: the strongest evidence, then its past.

    Parameters
    ----------
    features : RunFeatures
        Features of the cases of a run.
    told : mapping of int to str, optional
        Row -> what the changed files did to the case before, from `CoFailure.told`.
    """
    past, close = _past(features), _closeness(features)
    changed = (features.in_change > 0).tolist()
    for i, words in (told or {}).items():
        past[i] = words if _RATE.match(past[i]) else f"{words}; {past[i]}"
    for i in range(len(features)):
        if changed[i]:
            close[i] = "the test itself was changed"
    far = _names_nothing(features).tolist()
    return [
        "; ".join(filter(None, [close[i], past[i], _FAR if far[i] and not close[i] else ""]))
        for i in range(len(features))
    ]


def summed_up(said: Iterable[str], *, most: int = 6) -> list[tuple[str, int]]:
    """Return how many cases have each kind of reason, the most frequent ones first.

    Parameters
    ----------
    said : iterable of str
        Reasons of cases.
    most : int
        How many kinds to tell; what is left is "other reasons".
    """
    kinds = Counter(_kind(words) for words in said)
    ranked = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(count for _, count in ranked[most:])
    return ranked[:most] + ([("other reasons", rest)] if rest else [])


def _kind(words: str) -> str:
    """Return a reason without what differs from case to case."""
    first = words.partition("; ")[0]
    found = _DETAILS.match(first)
    if found is None:
        return first
    if found["what"] == "changes":
        return "failed when the same was changed"
    told = {"never": "never failed", "imports": "imports or reads what changed"}
    kinds = [text for name, text in told.items() if found[name]]
    return kinds[0] if kinds else "ran what changed" if found["ran"] else "failed before"


def _names_nothing(features: RunFeatures) -> NDArray[np.bool_]:
    """Tell which cases are known to lead to nothing that changed by any name or import."""
    column = features.column
    near = np.nan_to_num(column("words_share")) >= _CLOSE
    far: NDArray[np.bool_] = (column("hops") >= FAR) & (column("import_hops") > 1.0) & ~near
    return far


def _past(features: RunFeatures) -> list[str]:
    executions, fails = features.executions, features.failures
    since = features.runs_since_failure
    stranger, fresh = features.is_new, features.failing_in_parent
    words = []
    for i, runs in enumerate(executions.tolist()):
        if stranger[i]:
            words.append("new case")
        elif fresh[i]:
            words.append("failed in the previous run")
        elif np.isnan(since[i]):
            words.append(f"never failed in {counted(int(runs), 'run')}")
        else:
            words.append(f"failed in {fails[i]:.0f} of {runs:.0f} runs, last {_ago(since[i])}")
    return words


def _closeness(features: RunFeatures) -> list[str]:
    """Say what brings a case close to the change, for those that are close."""
    column = {name: features.column(name) for name in _CLOSENESS if name != "imports"}
    column["imports"] = (features.column("import_hops") == 1.0).astype(np.float32)
    signals = np.nan_to_num(np.column_stack([column[name] for name in _CLOSENESS]))
    if not len(signals):
        return []
    texts = np.array([*_CLOSENESS.values(), ""], object)
    best = np.where(signals.max(axis=1) >= _CLOSE, signals.argmax(axis=1), len(_CLOSENESS))
    said: list[str] = texts[best].tolist()
    return said


def _ago(runs: float) -> str:
    return "time it ran" if runs < 1 else f"{runs + 1:.0f} runs ago"
