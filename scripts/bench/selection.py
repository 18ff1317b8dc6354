"""What a promised recall keeps and saves on real histories, by rolling predictions.

    TESTOPT_BENCH_DATA=... python scripts/bench/selection.py [--replay FOLDER] [SET ...]

The folder named by TESTOPT_BENCH_DATA holds ``score.py``, ``ranking/*.parquet`` and the failures
to find in ``replay/*.parquet``; FOLDER holds rebuilt replay projects as PROJECT/repo and
PROJECT/results.parquet. Each set goes into its own store, `testopt backtest --recall` decides
every run from what came before it, and ``score.py`` judges: regressions of which a failing case
was selected, with the 95 % interval, and the time left out, over all runs and over those after
the first 30 regressions. Tables count failures that are new (``--new-only``). The backtest sees
a regression where a case fails that passed in the nearest ancestor run: on tables, a failure of
a case that never ran before is none to it, though the judge counts it.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
from ranking import asked, predict, score

if TYPE_CHECKING:
    from ranking import Set

RECALLS = (0.9, 0.95, 0.99)
WARM_UP = 30  # regressions
TABLES = ("dune-common_total", "ABB-IOFROL")
HEAD = (
    f"{'set':28}{'recall':>7}{'caught':>12}{'95 % interval':>17}{'cases':>7}"
    f"{'saved: all':>11}{'failing':>8}{'passing':>8}"
)


def after(one: Set, truths: tuple[str, ...]) -> float:
    """Return the share of the runs after which 30 regressions have been seen."""
    results = pq.read_table(one.results, columns=["run_id", "time", "case_id", "outcome"])
    rows = sorted(results.to_pylist(), key=lambda r: (r["time"], r["run_id"]))
    listed = [set(pq.read_table(t, columns=["run_id"])["run_id"].to_pylist()) for t in truths]
    found = max(listed, key=len) if listed else None
    last: dict[str, bool] = {}
    runs: dict[str, bool] = {}
    for row in rows:
        failed = row["outcome"] in ("failed", "error")
        new = failed and not last.get(row["case_id"], True)
        runs[row["run_id"]] = runs.get(row["run_id"], False) or new
        if row["outcome"] != "skipped":
            last[row["case_id"]] = failed
    seen = 0
    for i, (run, regressed) in enumerate(runs.items()):
        seen += regressed if found is None else run in found
        if seen >= WARM_UP:
            return (i + 1.5) / len(runs)
    return 1.0


def row(name: str, recall: float, scored: dict[str, object]) -> str:
    found = scored.get("selection")
    if not isinstance(found, dict) or not found["failing_runs"]:
        return f"{name:28}{recall:7g}  no regression"
    low, high = found["change_recall_95"]
    count = found["failing_runs"]
    caught = f"{round(found['change_recall'] * count)} of {count}"
    interval = f"{low:.3f} to {high:.3f}"
    saved = (found.get(f"saved_{k}", 0.0) for k in ("all", "failing_run", "passing_run"))
    verdict = "  BELOW THE PROMISE" if high < recall else ""
    return (
        f"{name:28}{recall:7g}{caught:>12}{interval:>17}{found['case_recall']:7.3f}"
        + "".join(f"{s:{w}.1%}" for s, w in zip(saved, (11, 8, 8), strict=True))
        + verdict
    )


def selected_of(predictions: Path, recall: float) -> Path:
    """Write the rows of one promise, and return where."""
    table = pq.read_table(predictions, filters=[("recall", "=", recall)])
    out = predictions.with_suffix(f".{recall:g}.parquet")
    pq.write_table(table.drop_columns(["recall"]), out)
    return out


def judge(data: Path, one: Set, predictions: Path) -> None:
    truths = tuple(str(t) for t in one.truths)
    start = after(one, truths)
    ways = [(t.rpartition(".")[0].rpartition(".")[2], ("--truth", t)) for t in truths]
    for recall in RECALLS:
        part = selected_of(predictions, recall)
        for suffix, args in ways or [("new", ("--new-only",))]:
            name = f"{one.name} {suffix}"
            print(row(name, recall, score(data, one, part, *args)))
            if start < 1.0:
                later = score(data, one, part, *args, "--from-fraction", str(start))
                print(row(f"  after {WARM_UP} regressions", recall, later), flush=True)


def main() -> None:
    data, sets = asked(__doc__)
    recalls = [a for r in RECALLS for a in ("--recall", str(r))]
    print(HEAD)
    with tempfile.TemporaryDirectory() as name:
        for one in sets:
            if not one.truths and one.name not in TABLES:
                continue
            begin = time.perf_counter()
            made = predict(one, Path(name), *recalls)
            print(f"{one.name}: {time.perf_counter() - begin:.0f} s")
            judge(data, one, made)


if __name__ == "__main__":
    main()
