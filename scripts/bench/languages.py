"""Where the first failing case stands without history, in projects of several languages.

    python scripts/bench/languages.py CLONES [PROJECT ...] [--commits 12] [--work FOLDER]

CLONES holds clones of the projects below, each as its name, or as OWNER+NAME/repo. The regressions
are those of `testopt backfill`: past commits with their source change undone, or with small faults,
run by the real runner; they are kept in the work folder. Each is then planned as if it were the
first run. ``place`` is that of the first failing case, as a share of the cases: on average, in the
order of the runner, in a random one (expected), and by testopt. Runs in which more than half of
the cases fail say nothing of an order and are left out.

"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from testopt.schema import FAILING
from testopt.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

_GO = "go test -json ./... > {junit}"
# some of its tests need Rails
_DOTENV = (
    "rspec -f json -o {junit} $(ls spec/*_spec.rb spec/dotenv/*_spec.rb | grep -v 'rails\\|log_')"
)
_VITEST = "npx vitest run --no-coverage --reporter=junit --outputFile={junit}"


@dataclass(frozen=True, slots=True)
class Project:
    """A project, its language, the shell line that tests it, and what prepares a worktree."""

    language: str
    line: str
    setup: str = ""


# chosen before the first measurement: small, without dependencies that cannot be had
PROJECTS = {
    "gorilla/mux": Project("Go", _GO),
    "BurntSushi/toml": Project("Go", _GO),
    "bkeepers/dotenv": Project("Ruby", _DOTENV),
    "unjs/pathe": Project("TypeScript", _VITEST, "npm install --no-audit --no-fund"),
}
MOST_FAILING = 0.5


@dataclass(frozen=True, slots=True)
class Regression:
    """A run with new failures: its cases in the runner's order, and which of them fail."""

    base: str
    commit: str
    cases: list[str]
    failing: frozenset[str]


def testopt(repo: Path, store: Path | str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line on a repository."""
    command = [sys.executable, "-m", "testopt", "--repo", str(repo), "--store", str(store)]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)


def find_regressions(store: Store) -> Iterator[Regression]:
    """Yield the runs of variants whose new failures are few enough for an order to matter."""
    runs = {run["run_id"]: run for run in store.read("runs").to_pylist()}
    outcomes: dict[str, dict[str, bool]] = {}
    for row in store.read("results").to_pylist():
        ran = outcomes.setdefault(row["run_id"], {})
        ran[row["case_id"]] = row["outcome"] in FAILING
    for run_id, run in runs.items():
        ran, before = outcomes.get(run_id, {}), outcomes.get(run["parent_run"] or "", {})
        new = frozenset(case for case, failed in ran.items() if failed and not before.get(case))
        if run["kind"] != "clean" and 0 < len(new) <= MOST_FAILING * len(ran):
            yield Regression(run["base"], run["commit"], list(ran), new)


def places(repo: Path, regression: Regression) -> tuple[float, float, float]:
    """Return the place of the first failing case by the runner, at random and by testopt."""
    cases, failing = regression.cases, regression.failing
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder, "cases.txt")
        listed.write_text("\n".join([*cases, ""]), "utf-8")
        arguments = ("--base", regression.base, "--head", regression.commit, "--cases", str(listed))
        done = testopt(repo, Path(folder, "store"), "rank", *arguments, "--json")
        order = [case["case_id"] for case in json.loads(done.stdout)["cases"]]
    own, ours = (1 + min(map(each.index, failing)) for each in (cases, order))
    size = len(cases)
    return own / size, (size + 1) / (len(failing) + 1) / size, ours / size


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("clones", type=Path)
    parser.add_argument("projects", nargs="*", default=list(PROJECTS))
    parser.add_argument("--commits", type=int, default=12)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir(), "languages"))
    options = parser.parse_args()
    print(f"{'project':20} {'language':12} {'runs':>5} {'runner':>8} {'random':>8} {'testopt':>8}")
    for name in options.projects:
        project, (owner, _, short) = PROJECTS[name], name.partition("/")
        mirror = options.clones / f"{owner}+{short}" / "repo"
        repo = mirror if mirror.is_dir() else options.clones / short
        store = options.work / short
        setup = ("--setup", project.setup) if project.setup else ()
        more = ("--commits", str(options.commits), "--mutants", "3", *setup)
        done = testopt(repo, store, "backfill", *more, "--", "sh", "-c", project.line)
        if done.returncode:
            print(f"{name}: {done.stderr.strip()[-300:]}")
            continue
        found = list(find_regressions(Store.open(str(store))))
        shares = np.array([places(repo, one) for one in found]).reshape(-1, 3)
        row = "".join(f" {share:8.1%}" for share in shares.mean(axis=0)) if found else ""
        print(f"{name:20} {project.language:12} {len(found):>5}{row}", flush=True)


if __name__ == "__main__":
    main()
