"""Quality of the order on real histories, by rolling predictions, beside the best simple order.

    TESTOPT_BENCH_DATA=... python scripts/bench/ranking.py [--replay FOLDER] [SET ...]

The folder named by TESTOPT_BENCH_DATA holds ``score.py`` and ``ranking/*.parquet``; FOLDER holds
rebuilt replay projects as PROJECT/repo and PROJECT/results.parquet. Each set goes into its own
store, `testopt backtest` predicts every run from what came before it, and ``score.py`` judges:
APFDc as the mean over failing runs after the first tenth, and over the first 30 runs alone.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

POOLED = "failed recently per second"
HEAD = f"{'set':24}{'runs':>6}{'testopt':>9}{'best':>7}  {'best simple order':28}{'optimum':>8}"


@dataclass(frozen=True)
class Set:
    """One history: its table, its changes, its repository, and the failures to find."""

    name: str
    results: Path
    changes: Path | None = None
    repo: Path | None = None
    truths: tuple[Path, ...] = ()


def find_sets(data: Path, replay: Path | None, wanted: list[str]) -> list[Set]:
    tables = sorted(p for p in (data / "ranking").glob("*.parquet") if ".changes" not in p.name)
    found = []
    for path in tables:
        changes = path.with_suffix("").with_suffix(".changes.parquet")
        found.append(Set(path.stem, path, changes if changes.exists() else None))
    for folder in sorted(replay.iterdir()) if replay else ():
        truths = tuple(sorted((data / "replay").glob(f"{folder.name}.[ts]*t*.parquet")))
        if (folder / "results.parquet").exists():
            found.append(
                Set(folder.name, folder / "results.parquet", None, folder / "repo", truths)
            )
    return [s for s in found if not wanted or any(w in s.name for w in wanted)]


def asked(description: str) -> tuple[Path, list[Set]]:
    """Read the command line; return the folder of data and the sets that are asked for."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("sets", nargs="*", metavar="SET", help="parts of names; default: all")
    parser.add_argument("--replay", type=Path, help="folder of rebuilt replay projects")
    options = parser.parse_args()
    if not os.environ.get("TESTOPT_BENCH_DATA"):
        raise SystemExit("name the folder of data in TESTOPT_BENCH_DATA")
    data = Path(os.environ["TESTOPT_BENCH_DATA"])
    return data, find_sets(data, options.replay, options.sets)


def testopt(*args: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "testopt", "-q", *args], check=True, stdout=subprocess.DEVNULL
    )


def predict(one: Set, work: Path, *options: str) -> Path:
    out = work / f"{one.name}.predictions.parquet"
    before = ("--repo", str(one.repo or work), "--store", str(work / one.name))
    more = ("--changes", str(one.changes)) if one.changes else ()
    testopt(*before, "ingest", "--format", "table", str(one.results), *more)
    testopt(*before, "backtest", "--predictions", str(out), *options)
    return out


def score(data: Path, one: Set, predictions: Path, *args: str) -> dict[str, object]:
    command = [sys.executable, str(data / "score.py"), str(one.results), str(predictions)]
    done = subprocess.run([*command, "--json", *args], check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


def row(name: str, scored: dict[str, object]) -> str:
    ranking, against = scored.get("ranking"), scored.get("against_best_baseline")
    if not isinstance(ranking, dict) or not isinstance(against, dict):
        return f"{name:24}{0:6d}"
    best = against["baseline"]
    low, high = against["interval"]
    first = scored.get("ranking_first_time") or {}
    new = ""
    if isinstance(first, dict) and first:
        others = max(v["apfdc"] for k, v in first.items() if k not in ("testopt", "optimal"))
        count = scored["first_time_runs"]
        new = f"  first-time ({count}): {first['testopt']['apfdc']:.3f} beside {others:.3f}"
    return (
        f"{name:24}{scored['failing_runs']:6d}{ranking['testopt']['apfdc']:9.4f}"
        f"{ranking[best]['apfdc']:7.3f}  {best:28}{ranking['optimal']['apfdc']:8.3f}"
        f"  gain {against['apfdc_gain']:+.4f} [{low:+.4f}, {high:+.4f}]{new}"
    )


def pooled(scores: list[dict[str, object]]) -> str:
    """Return the means over the failing runs of all sets, of testopt and of one simple order."""
    found = []
    for scored in scores:
        ranking, runs = scored.get("ranking"), int(str(scored.get("failing_runs", 0)))
        if isinstance(ranking, dict) and ranking and runs:
            found.append((runs, *(ranking[name]["apfdc"] for name in ("testopt", POOLED))))
    total = sum(runs for runs, *_ in found)
    ours, theirs = (sum(row[0] * row[i] for row in found) / total for i in (1, 2))
    return f"{'commons, pooled':24}{total:6d}{ours:9.4f}{theirs:7.3f}  {POOLED}"


def main() -> None:
    data, sets = asked(__doc__)
    print(HEAD)
    few: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as name:
        for one in sets:
            start = time.perf_counter()
            made = predict(one, Path(name))
            seconds = time.perf_counter() - start
            judged = (
                [("", ())]
                if not one.truths
                else [(f" {t.stem.rpartition('.')[2]}", ("--truth", str(t))) for t in one.truths]
            )
            for suffix, args in judged:
                scored = score(data, one, made, *args, "--from-fraction", "0.1")
                print(row(one.name + suffix, scored), f" {seconds:.0f} s", flush=True)
                few += [scored] if one.name.startswith("commons-") else []
                early = score(data, one, made, *args, "--first", "30")
                print(row("  its first 30 runs", early), flush=True)
    if few:
        print(pooled(few))


if __name__ == "__main__":
    main()
