"""Learns the risk models of a store, and keeps them beside its tables.

A commit is judged by the model of its month, which knows what was known when the month began:
commits of before, and defects that had been fixed by then. So a commit has one score, whatever
else is asked for, and nothing that comes later changes it.

It learns from the 14 metrics of Kamei et al. and the words that explain a change. Judged by
culprits that authors named, beside these nothing earned a place: lines that are in no test (tests
have defects, too), earlier fixes and ownership of the files, and what the changed lines say
(conditions, loops, returns, error paths, null checks, calls, imports, depth; none raised the AUC of
five repositories by more than .0023).
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.errors import BundleError, StoreError
from testopt.risk.change_metrics import AUTHOR_METRICS, NAMES
from testopt.risk.measured_history import DefectLabels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from testopt.risk.change_metrics import ChangeFacts
    from testopt.risk.classifier import ChangeRiskClassifier
    from testopt.risk.measured_history import MeasuredHistory
    from testopt.store import Store

_VERSION: Final = 8  # changes with whatever changes the model
_MONTH_S: Final = 30.4375 * 86_400.0
_N_RECENT: Final = 500  # changes that a percentile compares with
_MIN_RECENT: Final = 20
_KEPT: Final = 60  # models; each takes about 15 kB
_FACTS: Final = (
    "changes", "defects", "latency_days", "checked", "auc", "auc_lines", "by_lines",
)  # fmt: skip
_MODEL_BLOB: Final = "state/risk-model.json"


@dataclass(frozen=True)
class TrainedRiskModel:
    """A model with what the report says of it; plain data, so that it can be kept.

    Attributes
    ----------
    model : ChangeRiskClassifier
    facts : dict
        Fields of a `RiskReport`.
    recent_probabilities : list of float
        Of the last changes before the month, ascending: by a model that had not seen them, or by
        lines added.
    medians : dict of str to float
        Median of each metric.
    """

    model: ChangeRiskClassifier
    facts: dict[str, Any]
    recent_probabilities: list[float]
    medians: dict[str, float]


def metrics_frame(
    facts: Sequence[ChangeFacts], rows: Sequence[Sequence[float]], *, author_features: bool = True
) -> pd.DataFrame:
    """Return metrics as the estimator takes them, with ``date``."""
    import pandas as pd

    frame = pd.DataFrame(np.asarray(rows, np.float64).reshape(-1, len(NAMES)), columns=list(NAMES))
    if not author_features:
        frame = frame.drop(columns=sorted(AUTHOR_METRICS))
    frame["date"] = pd.to_datetime([f.time for f in facts], unit="s", utc=True)
    return frame


def month_of(time: float) -> int:
    """Return the number of the month in which a commit is judged; `time` in seconds since 1970."""
    return int(time // _MONTH_S)


class MonthlyModels:
    """The models of a store by month, each learnt when it is first asked for.

    Parameters
    ----------
    store : Store
        With traced labels.
    history : MeasuredHistory
    author_features : bool
        Let metrics of the author count.
    seed : int
        Of training.

    Raises
    ------
    EmptyStoreError
        When no defects were traced, or no commit changes a file.
    """

    def __init__(
        self,
        store: Store,
        history: MeasuredHistory,
        *,
        author_features: bool = True,
        seed: int = 0,
    ) -> None:
        self._store, self._seed = store, seed
        self._labels = DefectLabels(store, history)
        self._frame = metrics_frame(history.facts, history.rows, author_features=author_features)
        self._times, self._teaches = history.times, history.teaches
        self._key = {"version": _VERSION, "seed": seed, "authors": author_features}
        self._saved = _read(store.read_blob(_MODEL_BLOB), self._key)
        self._used: dict[int, TrainedRiskModel] = {}
        self._changed = False

    def at(self, month: int) -> TrainedRiskModel:
        """Return the model that knows what was known when a month began."""
        if month not in self._used:
            self._used[month] = self._find(month)
        return self._used[month]

    def _find(self, month: int) -> TrainedRiskModel:
        start = month * _MONTH_S
        teaches = self._teaches & (self._times < start)
        y = self._labels.known(start)[teaches]
        share, latency = self._labels.found_shares(start)
        frame = self._frame[teaches].reset_index(drop=True)
        digest = _digest(frame, y, share[teaches])
        saved = self._saved.get(str(month))
        if saved is not None and (kept := _load(saved, digest)) is not None:
            return kept
        trained = _train(frame, y, share[teaches], latency, self._seed)
        self._saved[str(month)] = _dump(trained, digest)
        self._changed = True
        return trained

    def save(self) -> None:
        """Keep the models that were asked for last; a store that cannot be written serves too."""
        if not self._changed:
            return
        months = sorted(self._saved, key=lambda m: (int(m) in self._used, int(m)))[-_KEPT:]
        document = {"key": self._key, "months": {m: self._saved[m] for m in sorted(months)}}
        with suppress(StoreError):
            self._store.write_blob(_MODEL_BLOB, json.dumps(document, sort_keys=True).encode())


def _digest(frame: pd.DataFrame, y: NDArray[np.bool_], share: NDArray[np.float64]) -> str:
    content = hashlib.sha256(str(list(frame.columns)).encode())
    content.update(frame.drop(columns="date").to_numpy(np.float64).tobytes())
    content.update(frame["date"].astype("int64").to_numpy().tobytes())
    content.update(y.tobytes())
    content.update(share.tobytes())
    return content.hexdigest()


def _train(
    frame: pd.DataFrame,
    y: NDArray[np.bool_],
    share: NDArray[np.float64],
    latency: float,
    seed: int,
) -> TrainedRiskModel:
    from testopt.risk.classifier import ChangeRiskClassifier

    # all weigh alike: culprits that authors named are too few to forget (rdma-core: AUC .799 with a
    # half-life of the last 1,000 changes, .814 without)
    model = ChangeRiskClassifier(half_life=None, random_state=seed).fit_examined(frame, y, share)
    at, p = model.held_out_
    recent = p[-_N_RECENT:]
    if not len(recent) and len(frame) >= _MIN_RECENT:
        recent = model.predict_proba(frame.iloc[-_N_RECENT:])[:, -1]
    aucs = model.aucs_ or (None, None)
    facts = {
        "changes": int((share > 0.0).sum()),
        "defects": int((y & (share > 0.0)).sum()),
        "latency_days": latency,
        "checked": len(at),
        "auc": aucs[0],
        "auc_lines": aucs[1],
        "by_lines": model.by_lines_,
    }
    typical: dict[str, float] = {}
    if len(frame):
        medians = frame.drop(columns="date").median().dropna()
        typical = {str(k): float(v) for k, v in medians.items()}
    return TrainedRiskModel(model, facts, sorted(map(float, recent)), typical)


def _dump(trained: TrainedRiskModel, digest: str) -> dict[str, str]:
    body = {
        "model": trained.model.to_dict(),
        "facts": trained.facts,
        "recent": trained.recent_probabilities,
        "typical": trained.medians,
    }
    text = json.dumps(body, sort_keys=True)
    return {"of": digest, "sha256": hashlib.sha256(text.encode()).hexdigest(), "body": text}


def _read(data: bytes | None, key: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return the kept models by month; none where they are damaged: they are a cache."""
    try:
        document = json.loads(data or b"null")
        months = document["months"] if document["key"] == key else {}
        return {str(int(month)): dict(saved) for month, saved in months.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _load(saved: Mapping[str, str], digest: str) -> TrainedRiskModel | None:
    """Return a kept model, or None when it is damaged or of other data."""
    from testopt.risk.classifier import ChangeRiskClassifier

    try:
        if saved["of"] != digest:
            return None
        if hashlib.sha256(saved["body"].encode()).hexdigest() != saved["sha256"]:
            return None
        body = json.loads(saved["body"])
        model = ChangeRiskClassifier.from_dict(body["model"])
        return TrainedRiskModel(model, *_checked_facts(body))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, BundleError):
        return None


def _checked_facts(
    body: Mapping[str, Any],
) -> tuple[dict[str, Any], list[float], dict[str, float]]:
    """Return what is said of a kept model: numbers, some of which may be unknown."""
    facts, recent, medians = body["facts"], body["recent"], body["typical"]
    numbers = [*(v for v in facts.values() if v is not None), *recent, *medians.values()]
    if not all(type(number) in {int, float, bool} for number in numbers):
        raise ValueError("a number is none")
    if set(facts) != set(_FACTS) or len(recent) > _N_RECENT or not set(medians) <= set(NAMES):
        raise ValueError("they are facts of another model")
    return dict(facts), list(recent), dict(medians)
