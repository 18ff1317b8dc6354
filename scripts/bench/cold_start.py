"""The order on repositories never seen: no history, only the sources and git.

    TESTOPT_BENCH_DATA=... python scripts/bench/cold_start.py --replay FOLDER [SET ...]
    TESTOPT_BENCH_DATA=... python scripts/bench/cold_start.py --mirrors FOLDER [SET ...]
    python scripts/bench/cold_start.py --held-out CLONES [--work FOLDER]
    python scripts/bench/cold_start.py --time [--files 200] [--repeats 5]

The folder named by TESTOPT_BENCH_DATA holds ``score.py``, ``replay/SET.{truth,strict}.parquet`` and
``ranking/*.parquet``. With ``--replay`` FOLDER holds rebuilt replay projects as SET/repo and
SET/results.parquet. Every run is planned as if it were the first one, without a store. APFDc over
the failing runs after the first tenth stands beside that of the hand-set weights, of the similarity
of words alone, of the best simple order (which knows the history), and of the optimum.
``--mirrors`` does the same for the failing runs of the tables whose commits a mirror holds, as
FOLDER/SET or FOLDER/apache+SET/repo, beside names alone: how much carries over to other languages.
``--held-out`` judges models of the projects in CLONES, each by one of the others, on what
``scripts/train_cold_start.py`` has replayed before. ``--time`` measures a plan in a cold process on
a made-up repository: without any store, and with one that holds the index of the sources.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from measuring import measure
from ranking import Set, find_sets, score

from testopt.git.change import find_change
from testopt.git.pending_run import PendingRun
from testopt.learning.metrics import apfdc
from testopt.plan import plan
from testopt.plan.inputs import PlanInputs
from testopt.schema import FAILING, Change, FileChange, Run
from testopt.similarity.affinity import NAMES, affinity_matrix
from testopt.similarity.case_sources import Sources
from testopt.similarity.pretrained import PretrainedModel, load_pretrained
from testopt.similarity.query import Query
from testopt.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = (
    f"{'set':20}{'runs':>6}{'testopt':>9}{'by hand':>9}{'words':>8}{'best':>8}  "
    f"{'best simple order':28}{'optimum':>8}"
)
GOALS = {
    "sqlparse truth": 0.94, "sqlparse strict": 0.89, "boltons truth": 0.991,
    "boltons strict": 0.985,
}  # fmt: skip
CASES_PER_FILE = 10


def runs_of(results: Path) -> Iterator[tuple[str, Run, list[str]]]:
    """Yield id, commits and cases of each run."""
    table = pq.read_table(results, columns=["run_id", "case_id", "time", "commit", "base"])
    found: dict[str, tuple[Run, dict[str, None]]] = {}
    for row in table.to_pylist():
        run = Run(row["run_id"], row["time"], commit=row["commit"], base=row["base"])
        found.setdefault(row["run_id"], (run, {}))[1][row["case_id"]] = None
    for name, (run, cases) in found.items():
        yield name, run, list(cases)


def columns_of(sources: Sources, run: Run, cases: list[str]) -> dict[str, Any]:
    x = affinity_matrix(sources.add(Query(run, cases)))
    return {name: np.nan_to_num(x[:, NAMES.index(name)]) for name in ("words", "prior")}


def places(score: Any) -> list[int]:
    """Return the rank of each case by falling score, from 1."""
    found: list[int] = (np.argsort(np.argsort(-score, kind="stable")) + 1).tolist()
    return found


def predict(one: Set, repo: Path, work: Path) -> dict[str, Path]:
    """Plan every run without a store; return predictions of the plan and of simpler scores."""
    sources, by_hand = Sources(repo), Sources(repo, pretrained=PretrainedModel())
    made: dict[str, list[dict[str, Any]]] = {"testopt": [], "by hand": [], "words": []}
    for name, run, cases in runs_of(one.results):
        change = Change(base=run.base, head=run.commit)
        planned = plan(PlanInputs(PendingRun(change), cases, sources=sources))
        rank = {case.case_id: case.rank for case in planned.cases}
        columns = columns_of(by_hand, run, cases)
        ranks = {
            "testopt": [rank[case] for case in cases],
            "by hand": places(columns["prior"]),
            "words": places(columns["words"]),
        }
        for method, found in ranks.items():
            for case, place in zip(cases, found, strict=True):
                whole = {"run_id": name, "case_id": case, "probability": 0.0, "selected": True}
                made[method].append({**whole, "rank": place})
    paths = {}
    for method, rows in made.items():
        paths[method] = work / f"{one.name}.{method}.parquet"
        pq.write_table(pa.Table.from_pylist(rows), paths[method])
    return paths


def judge(data: Path, one: Set, repo: Path, work: Path) -> None:
    paths = predict(one, repo, work)
    for truth in one.truths:
        args = ("--truth", str(truth), "--from-fraction", "0.1")
        scored: dict[str, Any] = {m: score(data, one, p, *args) for m, p in paths.items()}
        mine = scored["testopt"]
        best = mine["against_best_baseline"]["baseline"]
        low, high = mine["against_best_baseline"]["interval"]
        got = {name: q["apfdc"] for name, q in mine["ranking"].items()}
        hand, words = (scored[m]["ranking"]["testopt"]["apfdc"] for m in ("by hand", "words"))
        name = f"{one.name} {truth.stem.rpartition('.')[2]}"
        goal = f"  goal {GOALS[name]:.3f}" if name in GOALS else ""
        gain = f"gain [{low:+.4f}, {high:+.4f}]"
        print(
            f"{name:20}{mine['failing_runs']:6d}{got['testopt']:9.4f}{hand:9.4f}{words:8.4f}"
            f"{got[best]:8.4f}  {best:28}{got['optimal']:8.4f}  {gain}{goal}",
            flush=True,
        )


def mirror_of(folder: Path, name: str) -> Path | None:
    tries = (folder / name, folder / f"apache+{name}" / "repo")
    return next((path for path in tries if path.is_dir()), None)


def failing_runs(one: Set) -> Iterator[tuple[Run, list[dict[str, Any]]]]:
    """Yield the failing runs of a table that have a commit, with the rows of their cases."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in pq.read_table(one.results).to_pylist():
        if row["outcome"] != "skipped":
            found.setdefault(row["run_id"], []).append(row)
    for name, rows in found.items():
        if 0 < sum(row["outcome"] in FAILING for row in rows) < len(rows):
            yield Run(name, rows[0]["time"], commit=rows[0].get("commit")), rows


def changed_paths(one: Set) -> dict[str, tuple[FileChange, ...]]:
    found: dict[str, list[FileChange]] = {}
    rows = pq.read_table(one.changes).to_pylist() if one.changes else []
    for row in rows:
        found.setdefault(row["run_id"], []).append(FileChange(row["path"], "M"))
    return {run: tuple(files) for run, files in found.items()}


def elsewhere(one: Set, repo: Path) -> list[list[float]]:
    """Return APFDc by names alone, hand-set weights, the model and at best, by failing run."""
    files = changed_paths(one)
    reader, model = Sources(repo, pretrained=PretrainedModel()), load_pretrained().model
    out = []
    for run, rows in failing_runs(one):
        cases = list(dict.fromkeys(row["case_id"] for row in rows))
        last = {row["case_id"]: row for row in rows}
        failed = np.array([last[case]["outcome"] in FAILING for case in cases])
        seconds = np.array([last[case]["duration_s"] or 0.0 for case in cases]) + 1e-3
        named = Query(run, cases, files.get(run.run_id, ()))
        read = reader.add(named)
        if read.text is None:
            continue
        queries = [named, read, replace(read, text=replace(read.text, weigher=model))]
        scores = [np.nan_to_num(affinity_matrix(q)[:, NAMES.index("prior")]) for q in queries]
        ties = np.random.default_rng(0).random(len(cases))
        orders = [*(np.lexsort((ties, -s)) for s in scores), np.lexsort((seconds, ~failed))]
        out.append([apfdc(failed[o], seconds[o]) for o in orders])
    return out


def judge_mirrors(data: Path, mirrors: Path, wanted: list[str]) -> None:
    print(f"{'set':20}{'runs':>6}{'names':>9}{'by hand':>9}{'model':>9}{'optimum':>9}")
    everything: list[list[float]] = []
    for one in find_sets(data, None, wanted):
        repo = mirror_of(mirrors, one.name)
        rows = elsewhere(one, repo) if repo is not None else []
        everything += rows
        if rows:
            figures = "".join(f"{v:9.4f}" for v in np.mean(rows, axis=0))
            print(f"{one.name:20}{len(rows):6d}{figures}", flush=True)
    if everything:
        figures = "".join(f"{v:9.4f}" for v in np.mean(everything, axis=0))
        print(f"{'all':20}{len(everything):6d}{figures}")


def make_repository(folder: Path, files: int) -> list[str]:
    """Write a project with as many modules as test files; return the ids of its cases."""
    cases = []
    for i in range(files):
        source, test = folder / f"src/area_{i}.py", folder / f"tests/test_area_{i}.py"
        functions = [
            f"def compute_{i}_{k}(value, limit=10):\n    # {'word ' * 10}\n"
            f"    total = value * {k}\n    return min(total, limit)\n\n\n"
            for k in range(CASES_PER_FILE)
        ]
        bodies = [
            f"def test_compute_{i}_{k}():\n    found = compute_{i}_{k}({k}, limit=20)\n"
            f"    assert found <= 20\n    assert found >= 0, 'negative total'\n\n\n"
            for k in range(CASES_PER_FILE)
        ]
        source.parent.mkdir(parents=True, exist_ok=True)
        test.parent.mkdir(parents=True, exist_ok=True)
        source.write_text("".join(functions))
        test.write_text(f"from src.area_{i} import *\n\n\n{''.join(bodies)}")
        cases += [f"tests/test_area_{i}.py::test_compute_{i}_{k}" for k in range(CASES_PER_FILE)]
    git = ["git", "-C", str(folder), "-c", "user.name=A", "-c", "user.email=a@example.org"]
    for args in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *args], check=True)
    (folder / "src/area_3.py").write_text(
        (folder / "src/area_3.py").read_text().replace("value * 3", "value + 3")
    )
    return cases


def time_plans(files: int, repeats: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "repo").mkdir()
        cases = make_repository(work / "repo", files)
        (work / "cases.txt").write_text("\n".join(cases))
        before = [sys.executable, "-m", "testopt", "-q", "--repo", str(work / "repo")]
        rank = ["rank", "--cases", str(work / "cases.txt"), "--format", "pytest"]
        print(f"nproc {os.cpu_count()}, {len(cases)} cases in {files} files, best of {repeats}:")
        timed("without a store", [*before, *rank], repeats)
        store = work / "store"
        sources = Sources(work / "repo", Store.open(str(store), create=True))
        sources.of_change(cases, find_change(work / "repo"))
        sources.keep()
        timed("index cached", [*before, "--store", str(store), *rank], repeats)


def timed(what: str, command: list[str], repeats: int) -> None:
    tries = [measure(command) for _ in range(repeats)]
    wall, cpu, memory = (min(values) for values in zip(*tries, strict=True))
    print(f"{what:16} wall {wall:.3f} s, cpu {cpu:.3f} s, {memory:.0f} MiB", flush=True)


def judge_held_out(clones: Path, work: Path | None) -> None:
    script = Path(__file__).resolve().parents[1] / "train_cold_start.py"
    more = ["--work", str(work)] if work else []
    command = [sys.executable, str(script), str(clones), "--commits", "0", "--dry-run", *more]
    subprocess.run(command, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", metavar="SET", help="parts of names; default: all")
    parser.add_argument("--replay", type=Path, help="folder of rebuilt replay projects")
    parser.add_argument("--mirrors", type=Path, help="folder of git mirrors of the tables")
    parser.add_argument("--held-out", type=Path, metavar="CLONES")
    parser.add_argument("--work", type=Path, help="as of scripts/train_cold_start.py")
    parser.add_argument("--time", action="store_true", help="measure the time of a plan instead")
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    if options.time:
        time_plans(options.files, options.repeats)
        return
    if options.held_out is not None:
        judge_held_out(options.held_out, options.work)
        return
    if not os.environ.get("TESTOPT_BENCH_DATA") or not (options.replay or options.mirrors):
        raise SystemExit("name the data in TESTOPT_BENCH_DATA, and --replay or --mirrors")
    data = Path(os.environ["TESTOPT_BENCH_DATA"])
    if options.mirrors is not None:
        judge_mirrors(data, options.mirrors, options.sets)
        return
    print(HEAD)
    with tempfile.TemporaryDirectory() as name:
        for one in find_sets(data, options.replay, options.sets):
            if one.repo is not None:
                judge(data, one, one.repo, Path(name))


if __name__ == "__main__":
    main()
