"""The order on repositories never seen: no history, no training, only the sources and git.

    TESTOPT_BENCH_DATA=... python scripts/bench/cold_start.py --replay FOLDER [SET ...]
    python scripts/bench/cold_start.py --time [--files 200] [--repeats 5]

The folder named by TESTOPT_BENCH_DATA holds ``score.py`` and ``replay/SET.{truth,strict}.parquet``;
FOLDER holds rebuilt replay projects as SET/repo and SET/results.parquet. Every run is planned as if
it were the first one, without a store. APFDc over the failing runs after the first tenth stands
beside what the similarity of words alone gives, the best simple order (which knows the history),
and the optimum. ``--time`` measures such a plan in a cold process on a made-up repository.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from measuring import measure
from ranking import Set, find_sets, score

from testopt.context import Here
from testopt.features.affinity import NAMES, TextAffinity
from testopt.features.frames import Query
from testopt.plan import plan
from testopt.schema import Change, Run
from testopt.snapshot import Sources

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = (
    f"{'set':20}{'runs':>6}{'testopt':>9}{'words':>8}{'best':>8}  "
    f"{'best simple order':28}{'optimum':>8}"
)
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


def predict(one: Set, repo: Path, work: Path) -> dict[str, Path]:
    """Plan every run without a store; return predictions of the plan and of words alone."""
    sources = Sources(repo)
    made: dict[str, list[dict[str, Any]]] = {"testopt": [], "words": []}
    for name, run, cases in runs_of(one.results):
        change = Change(base=run.base, head=run.commit)
        planned = plan(cases=cases, here=Here(change), store=None, sources=sources)
        rank = {case.case_id: case.rank for case in planned.cases}
        x = TextAffinity().read(sources.add(Query(run, cases)))[:, NAMES.index("words")]
        by_words = np.argsort(np.argsort(-np.nan_to_num(x), kind="stable")) + 1
        for case, place in zip(cases, by_words.tolist(), strict=True):
            whole = {"run_id": name, "case_id": case, "probability": 0.0, "selected": True}
            made["testopt"].append({**whole, "rank": rank[case]})
            made["words"].append({**whole, "rank": place})
    paths = {}
    for method, rows in made.items():
        paths[method] = work / f"{one.name}.{method}.parquet"
        pq.write_table(pa.Table.from_pylist(rows), paths[method])
    return paths


def judge(data: Path, one: Set, repo: Path, work: Path) -> None:
    paths = predict(one, repo, work)
    for truth in one.truths:
        args = ("--truth", str(truth), "--from-fraction", "0.1")
        mine: Any = score(data, one, paths["testopt"], *args)
        words: Any = score(data, one, paths["words"], *args)
        best = mine["against_best_baseline"]["baseline"]
        low, high = mine["against_best_baseline"]["interval"]
        got = {name: q["apfdc"] for name, q in mine["ranking"].items()}
        print(
            f"{one.name + ' ' + truth.stem.rpartition('.')[2]:20}{mine['failing_runs']:6d}"
            f"{got['testopt']:9.4f}{words['ranking']['testopt']['apfdc']:8.4f}{got[best]:8.4f}  "
            f"{best:28}{got['optimal']:8.4f}  gain [{low:+.4f}, {high:+.4f}]",
            flush=True,
        )


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
        command = [
            sys.executable, "-m", "testopt", "-q", "--repo", str(work / "repo"),
            "rank", "--cases", str(work / "cases.txt"), "--format", "pytest",
        ]  # fmt: skip
        tries = [measure(command) for _ in range(repeats)]
        wall, cpu, memory = (min(values) for values in zip(*tries, strict=True))
        print(f"nproc {os.cpu_count()}, {len(cases)} cases in {files} files, best of {repeats}:")
        print(f"wall {wall:.3f} s, cpu {cpu:.3f} s, {memory:.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", metavar="SET", help="parts of names; default: all")
    parser.add_argument("--replay", type=Path, help="folder of rebuilt replay projects")
    parser.add_argument("--time", action="store_true", help="measure the time of a plan instead")
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    if options.time:
        time_plans(options.files, options.repeats)
        return
    if not os.environ.get("TESTOPT_BENCH_DATA") or options.replay is None:
        raise SystemExit("name the folder of data in TESTOPT_BENCH_DATA, and --replay or --time")
    data = Path(os.environ["TESTOPT_BENCH_DATA"])
    print(HEAD)
    with tempfile.TemporaryDirectory() as name:
        for one in find_sets(data, options.replay, options.sets):
            if one.repo is not None:
                judge(data, one, one.repo, Path(name))


if __name__ == "__main__":
    main()
