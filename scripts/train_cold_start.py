"""Make the model that comes with testopt, from clones of public projects.

    python scripts/train_cold_start.py CLONES [--python ENV/bin/python] [--work FOLDER] [NAME ...]

CLONES   folder with a clone of each project, named as below
--python an environment that can run their tests
--work   where replayed runs and what is read of them are kept (default: CLONES/.cold_start);
         interrupted at any time, the next call goes on where this one stopped
--commits, --mutants  how much to replay; 0 commits: use what was replayed before

Replays past commits of each project, learns what leads from a change to the cases that it
breaks, judges that on projects held out whole, and writes ``models/cold_start`` and
``models/MODEL_CARD.md``. Nothing of the projects gets into the model but thresholds of shares,
ranks and distances.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from cold_examples import Example, read_examples, strict_failures
from cold_report import Judged, card, judge_project, table

from testopt.backfill import BackfillOptions, backfill
from testopt.errors import TestoptError
from testopt.similarity.affinity import NAMES
from testopt.similarity.closeness_model import LEFT_OUT, ClosenessModel, fit_closeness
from testopt.similarity.pretrained import pack_pretrained
from testopt.store import Store

ROOT = Path(__file__).resolve().parent.parent
SEED = 0
LEAST = 5  # failing variants of a project, below which it neither teaches nor judges
TIMEOUT_S = 150.0
WITHOUT_PLUGINS = "PYTEST_DISABLE_PLUGIN_AUTOLOAD"

_SLOW_ATTRS = (
    "TestAsDict", "TestAsTuple", "TestAssoc", "TestEvolve", "TestFields", "TestMetadata",
    "Cloudpickle", "TestAttributes",
)  # fmt: skip

# What pytest is told in each project: slow files and what needs more than the suite left out.
RECIPES = {
    "attrs": [
        "tests", "-k",
        " and ".join(f"not {slow}" for slow in _SLOW_ATTRS),
    ],
    "jsonschema": [
        "jsonschema/tests", "--ignore", "jsonschema/tests/test_jsonschema_test_suite.py",
    ],
    "lark": ["tests", "--ignore", "tests/test_typing.py"],
    "markdown-it-py": ["tests"],
    "more-itertools": ["tests", "-k", "not prime and not Prime and not Fourier and not concurrent"],
    "pluggy": ["-c", os.devnull, "testing"],  # its settings ask for a newer pytest than its past
    "starlette": ["-p", "anyio.pytest_plugin", "-W", "ignore", "-k", "not trio", "tests"],
    "structlog": ["-p", "pytest_asyncio.plugin", "tests", "--ignore", "tests/test_packaging.py"],
    "tomlkit": ["tests", "--ignore", "tests/test_toml_tests.py"],
    "toolz": ["toolz"],
}  # fmt: skip


@dataclass(frozen=True)
class Project:
    """A project, and its failing variants in the order of time."""

    name: str
    head: str
    runs: int
    examples: list[Example]


def replay(name: str, clone: Path, store: Store, options: argparse.Namespace) -> None:
    """Backfill a project as far as it has not been done."""
    command = (str(options.python), "-m", "pytest", "-q", *RECIPES[name])
    wanted = BackfillOptions(
        commits=options.commits, mutants=options.mutants, command=command, timeout=TIMEOUT_S
    )
    report = backfill(repo=clone, store=store, options=wanted, progress=_Counter(name, "runs"))
    print(f"{name}: {sum(report.runs.values())} new runs, {report.regressions} regressions")


class _Counter:
    """Says on one line how far it is, where somebody watches."""

    def __init__(self, name: str, what: str) -> None:
        self._name, self._what = name, what

    def __call__(self, done: int, total: int | None = None) -> None:
        if sys.stderr.isatty():
            of = f" of {total}" if total else ""
            print(f"\r{self._name}: {done}{of} {self._what}", end="", file=sys.stderr)


def read(name: str, clone: Path, store: Store, work: Path) -> Project:
    examples = read_examples(store, clone, work / "examples" / name, _Counter(name, "examples"))
    runs = store.read("runs", columns=["run_id"]).num_rows
    head = (store.read("runs", columns=["commit", "time", "kind"])).to_pylist()
    clean = [row for row in head if row["kind"] == "clean"]
    newest = max(clean, key=lambda row: row["time"])["commit"] if clean else ""
    print(f"{name}: {runs} runs, {len(examples)} failing variants", flush=True)
    return Project(name, newest, runs, examples)


def rows(projects: list[Project]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features, labels and weights: every project weighs the same, and in it every commit.

    The failing cases of a variant weigh together as much as the passing ones.
    """
    x, y, weight = [], [], []
    for project in projects:
        bases = [example.base for example in project.examples]
        share = {base: 1.0 / len(set(bases)) / bases.count(base) for base in bases}
        for example, base in zip(project.examples, bases, strict=True):
            failed = example.failed
            each = np.where(failed, 1.0 / failed.sum(), 1.0 / (~failed).sum())
            x.append(example.x)
            y.append(failed)
            weight.append(each * share[base])
    return np.concatenate(x), np.concatenate(y), np.concatenate(weight)


def fit(projects: list[Project]) -> tuple[ClosenessModel, str]:
    x, y, weight = rows(projects)
    kept = [j for j, name in enumerate(NAMES) if name not in LEFT_OUT]
    return fit_closeness(x[:, kept], y, weight, [NAMES[j] for j in kept], seed=SEED)


def judge(projects: list[Project]) -> list[Judged]:
    """Judge each project by a model of the others."""
    judged = []
    for one in projects:
        model, _ = fit([other for other in projects if other is not one])
        judged.append(judge_project(one.name, one.examples, strict_failures(one.examples), model))
    return judged


def write(projects: list[Project], judged: list[Judged]) -> None:
    model, text = fit(projects)
    facts = {
        "projects": {
            p.name: {"newest_commit": p.head, "runs": p.runs, "failing_variants": len(p.examples)}
            for p in projects
        },
        "held_out": {j.name: j.means() for j in judged},
        "libraries": {name: version(name) for name in ("lightgbm", "numpy")},
        "seed": SEED,
    }
    folder = ROOT / "models" / "cold_start"
    folder.mkdir(parents=True, exist_ok=True)
    files = pack_pretrained(model, text, facts)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    size = sum(map(len, files.values()))
    (ROOT / "models" / "MODEL_CARD.md").write_text(card(facts, judged, size), "utf-8")
    print(f"wrote {folder}: {size} bytes")


def gather(options: argparse.Namespace) -> list[Project]:
    work = options.work or options.clones / ".cold_start"
    projects = []
    for name in options.projects or sorted(RECIPES):
        clone = options.clones / name
        if not clone.is_dir():
            print(f"{name}: no clone in {options.clones}")
            continue
        store = Store.open(str(work / "stores" / name), create=True)
        try:
            if options.commits:
                replay(name, clone, store, options)
            projects.append(read(name, clone, store, work))
        except TestoptError as error:
            print(f"{name}: {error}")
    return [p for p in projects if len(p.examples) >= LEAST]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clones", type=Path)
    parser.add_argument("projects", nargs="*", metavar="NAME", help="default: all of the list")
    parser.add_argument("--python", type=Path, default=Path(sys.executable))
    parser.add_argument("--work", type=Path)
    parser.add_argument("--commits", type=int, default=40)
    parser.add_argument("--mutants", type=int, default=2)
    parser.add_argument("--dry-run", action="store_true", help="judge, but write no model")
    options = parser.parse_args()
    os.environ[WITHOUT_PLUGINS] = "1"
    projects = gather(options)
    if len(projects) < 2:
        raise SystemExit("at least two projects with failing variants are needed")
    judged = judge(projects)
    print(table(judged))
    if not options.dry_run:
        write(projects, judged)


if __name__ == "__main__":
    main()
