"""History made with a real runner of another language: its own report, faults in its sources."""

from __future__ import annotations

import shlex

import pytest
from real_runners import GO, IN_CI, REAL

from testopt.store import Store

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("no_ci")]

SOURCE = """package shape

func Area(a, b int) int {{
	return a * b
}}

func Edge(a, b int) int {{
	return {edge}
}}
"""
TESTS = """package shape

import "testing"

func TestArea(t *testing.T) {
	if Area(2, 3) != 6 {
		t.Fatal()
	}
}

func TestEdge(t *testing.T) {
	t.Run("of a field", func(t *testing.T) {
		if Edge(2, 3) != 10 {
			t.Fatal()
		}
	})
}
"""


def test_faults_in_go_make_regressions(tmp_path, git_here, testopt, monkeypatch):
    if not GO.exists():
        (pytest.fail if IN_CI else pytest.skip)("Go is not installed: sh scripts/install_runners")
    for name, value in next(real for real in REAL if real.form == "go").environment.items():
        monkeypatch.setenv(name, value)
    repo = tmp_path / "repo"
    repo.mkdir()
    (repo / "go.mod").write_text("module example.com/shape\n\ngo 1.21\n")
    (repo / "shape_test.go").write_text(TESTS)
    for edge in ("a + b + a + b", "2 * (a + b)"):
        (repo / "shape.go").write_text(SOURCE.format(edge=edge))
        git_here(repo)
    command = f"{shlex.quote(str(GO))} test -json ./... > {{junit}}"
    done = testopt(
        "--repo", repo, "backfill", "--commits", "1", "--mutants", "1", "--", "sh", "-c", command
    )
    assert done.code == 0, done.err
    store = Store.open(str(repo / ".testopt"))
    runs = {run["kind"]: run["run_id"] for run in store.read("runs").to_pylist()}
    assert sorted(runs) == ["clean", "mutant", "reverse"]
    failed = {
        row["case_id"]
        for row in store.read("results").to_pylist()
        if row["run_id"] == runs["mutant"] and row["outcome"] == "failed"
    }
    assert "example.com/shape::TestEdge/of_a_field" in failed
