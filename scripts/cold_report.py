"""How the cold-start model did on projects held out whole: figures, a table, the model card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from testopt.code.effort import relative_seconds
from testopt.ranking.baselines import BASELINES
from testopt.ranking.cost_order import value_per_cost
from testopt.ranking.orderings import COST_EXPONENT, FLOOR
from testopt.similarity.affinity import NAMES, with_coverage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cold_examples import Example
    from numpy.typing import NDArray

    from testopt.similarity.closeness_model import ClosenessModel

TRUTHS = ("truth", "old", "strict")
OURS = ("model", "untrained", "words", "measured")  # the last: model, coverage and durations
METHODS = (*OURS, *BASELINES, "optimum")
DRAWS = 2000
TIES = 3  # draws of the order among equals


@dataclass(frozen=True)
class Judged:
    """APFDc of every method on the variants of one project, by what counts as a failure.

    Attributes
    ----------
    name : str
    commits : dict of str to list of bytes
        What each variant that counts is a variant of.
    values : dict of str to ndarray, shape (n_variants, len(METHODS))
    """

    name: str
    commits: dict[str, list[bytes]]
    values: dict[str, NDArray[np.float64]]

    def means(self) -> dict[str, dict[str, float]]:
        """Return the mean of each method by what counts, rounded; best simple order as `best`."""
        out: dict[str, dict[str, float]] = {}
        for truth, values in self.values.items():
            if not len(values):
                continue
            mean = dict(zip(METHODS, values.mean(axis=0).tolist(), strict=True))
            best = max(BASELINES, key=mean.__getitem__)
            row = {name: mean[name] for name in (*OURS, "optimum")} | {"best": mean[best]}
            out[truth] = {k: round(v, 4) for k, v in row.items()} | {"variants": len(values)}
            out[truth]["best_order"] = best  # type: ignore[assignment]
        return out

    def gains(self, truth: str) -> NDArray[np.float64]:
        """Return what the model gains over the untrained order, mean over variants by commit."""
        values = self.values[truth]
        gain = values[:, METHODS.index("model")] - values[:, METHODS.index("untrained")]
        _, at = np.unique(self.commits[truth], return_inverse=True)
        return np.bincount(at, gain) / np.bincount(at) if len(gain) else gain


def judge_project(
    name: str,
    examples: Sequence[Example],
    strict: Sequence[NDArray[np.bool_]],
    model: ClosenessModel,
) -> Judged:
    """Judge all orders on the variants of a project that the model has not seen."""
    commits: dict[str, list[bytes]] = {truth: [] for truth in TRUTHS}
    values: dict[str, list[list[float]]] = {truth: [] for truth in TRUTHS}
    for i, (example, only) in enumerate(zip(examples, strict, strict=True)):
        orders = _orders(example, model, i)
        failures = {"truth": example.failed, "old": example.failed & example.old, "strict": only}
        for truth, failed in failures.items():
            if not failed.any():
                continue
            commits[truth].append(example.base)
            row = [np.mean([example.quality(o, failed) for o in each]) for each in orders]
            values[truth].append([*row, example.quality(example.optimum(failed), failed)])
    tables = {t: np.array(v).reshape(-1, len(METHODS)) for t, v in values.items()}
    return Judged(name, commits, tables)


def _orders(example: Example, model: ClosenessModel, seed: int) -> list[list[NDArray[Any]]]:
    columns = {name: example.x[:, j] for j, name in enumerate(NAMES)}
    planned = (as_planned(close, columns) for close in (model.closeness(columns), columns["prior"]))
    scores = (*planned, np.nan_to_num(columns["words"]), _measured(example, model, columns))
    mine = [[example.by_score(s, TIES * seed + k) for k in range(TIES)] for s in scores]
    return [*mine, *([order] for order in example.simple)]


def _measured(
    example: Example, model: ClosenessModel, columns: Mapping[str, NDArray[Any]]
) -> NDArray[np.float64]:
    """Return what a plan orders by where the suite ran before, once with coverage."""
    close = np.nan_to_num(model.closeness(columns))
    if np.nan_to_num(example.ran).any():
        close = with_coverage(close, example.ran.astype(np.float64))
    return value_per_cost(close + FLOOR, example.expected, COST_EXPONENT)


def as_planned(close: NDArray[Any], columns: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    """Return what a plan without any history orders by: closeness, less where much work is seen."""
    cost = relative_seconds(columns["effort"]) ** COST_EXPONENT
    return np.asarray((np.nan_to_num(close) + FLOOR) / cost)


def interval(judged: Sequence[Judged], truth: str) -> tuple[float, float, float]:
    """Return the mean gain over the untrained order and its 95 % interval.

    Commits are drawn with replacement within each project; every project weighs the same.
    """
    gains = [j.gains(truth) for j in judged if len(j.values[truth])]
    random = np.random.default_rng(0)
    draws = [
        np.mean([random.choice(g, len(g)).mean() for g in gains])
        for _ in range(DRAWS if gains else 0)
    ]
    low, high = np.quantile(draws, [0.025, 0.975]).tolist() if draws else (0.0, 0.0)
    return float(np.mean([g.mean() for g in gains])), low, high


def closed(row: Mapping[str, Any], method: str = "model") -> float:
    """Return the share of the gap between the best simple order and the optimum that is closed."""
    return float((row[method] - row["best"]) / max(row["optimum"] - row["best"], 1e-9))


def mean_closed(judged: Sequence[Judged], truth: str, method: str = "model") -> float:
    """Return the mean over projects of the share that is closed."""
    return float(np.mean([closed(j.means()[truth], method) for j in judged if truth in j.means()]))


def table(judged: Sequence[Judged]) -> str:
    """Return the figures as text: a row for each project and truth, then the means."""
    columns = ("n", "model", "untr.", "words", "meas.", "best", "opt.")
    head = f"{'held out':24}{columns[0]:>5}" + "".join(f"{name:>8}" for name in columns[1:])
    lines = [f"{head}{'closed':>8}  best simple order"]
    for truth in TRUTHS:
        rows = [(j.name, j.means()[truth]) for j in judged if truth in j.means()]
        for name, row in rows:
            lines.append(f"{name + ' ' + truth:24}{_figures(row)}  {row['best_order']}")
        mean = {k: float(np.mean([r[k] for _, r in rows])) for k in (*OURS, "best", "optimum")}
        mean["variants"] = sum(int(r["variants"]) for _, r in rows)
        gain, low, high = interval(judged, truth)
        share = mean_closed(judged, truth)
        lines.append(
            f"{'mean ' + truth:24}{_figures(mean)}  model - untrained, by commit: "
            f"{gain:+.4f} [{low:+.4f}, {high:+.4f}]; mean share closed {share:.2f}, "
            f"measured {mean_closed(judged, truth, 'measured'):.2f}\n"
        )
    return "\n".join(lines)


def _figures(row: Mapping[str, Any]) -> str:
    values = "".join(f"{row[k]:8.4f}" for k in (*OURS, "best", "optimum"))
    return f"{int(row['variants']):5d}{values}{closed(row):8.2f}"


def card(facts: Mapping[str, Any], judged: Sequence[Judged], size: int) -> str:
    """Return the model card as Markdown."""
    lines = ["| project | newest commit | runs | failing variants |", "| --- | --- | --- | --- |"]
    for name, p in facts["projects"].items():
        lines.append(
            f"| {name} | `{p['newest_commit'][:12]}` | {p['runs']} | {p['failing_variants']} |"
        )
    results = [
        "| held out | counted | variants | model | untrained | words | best simple | optimum |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for j in judged:
        for truth, r in j.means().items():
            results.append(
                f"| {j.name} | {truth} | {r['variants']} | {r['model']:.3f} | {r['untrained']:.3f} "
                f"| {r['words']:.3f} | {r['best']:.3f} ({r['best_order']}) | {r['optimum']:.3f} |"
            )
    gains = [
        "- {}: {:+.4f} [{:+.4f}, {:+.4f}]; of the gap {:.2f} is closed".format(
            truth, *interval(judged, truth), mean_closed(judged, truth)
        )
        for truth in TRUTHS
    ]
    return CARD.format(
        projects="\n".join(lines), results="\n".join(results), gains="\n".join(gains), size=size,
        libraries=", ".join(f"{k} {v}" for k, v in facts["libraries"].items()), seed=facts["seed"],
    )  # fmt: skip


CARD = """# The cold-start model

`cold_start/` orders the tests of a repository that testopt has never seen: how near a change is to
each case, from 0 to 1. It is a small forest that corrects a blend of similarities with hand-set
weights; no tree may turn a similarity round. It hands over by itself: what it
says is one feature of the model of a project that has failures of its own, and half of what
orders before that.

- Files: `forest.npz` (arrays, no pickle, no code), `forest.txt` (the same trees as LightGBM's own
  text), `manifest.json` (sizes, SHA-256, names of the features); {size} bytes.
- Made with {libraries}, seed {seed}.
- Rebuild: `python scripts/train_cold_start.py CLONES --python ENV/bin/python`. From the same
  replayed runs come the same bytes; replaying anew takes hours, measures other durations, and goes
  as far back as `--commits` says.

## Data

Replayed by `testopt backfill`: past commits as they were, with their source change undone, with one
small fault in the changed lines. Only variants in which something fails, and less than 60 % of
all cases, teach. Features are similarities, shares, ranks and distances within one run; no name,
path or word of a project is in the model, and no size of cases, files or projects.

{projects}

## How it was judged

Each project by a model trained on the others, so that variants of one commit never stand on both
sides. APFDc, mean over failing variants; ties fall at random. *truth*: all that fails in the
variant and not in its commit; *old*: only cases older than the commit; *strict*: of these, only
the first variant of each commit. The *best simple* order knows the history and the
durations of the project, which the model does not.

{results}

Gain of the model over the untrained blend, mean over projects of means over commits, with the 95 %
interval of a bootstrap over commits; and the mean share that the model closes of the gap between
the best simple order and the optimum:

{gains}

## Not for

- Leaving cases out: it orders. A promise needs regressions of the project itself.
- Probabilities: its figures rank the cases of one run and mean nothing across runs.
- Sources that git does not hold, and names alone: there the hand-set weights stay.
- Languages other than Python: they were not among the data, and where most test files are in one
  the hand-set weights stay (`scripts/bench/cold_start.py --mirrors` measures what carries over).
- Faults here are seeded or undone changes. Failures from configuration, data, timing or other
  machines are not like them.
"""
