"""`testopt risk` on a real repository."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from builders import append_rows, label_row, new_store

from testopt.cli import main
from testopt.store.examined import read_examined

pytestmark = pytest.mark.integration


@pytest.fixture
def project(make_repo, monkeypatch):
    """Forty commits, mined; every large one is known to have introduced a defect."""
    for name in ("CI", "GITHUB_ACTIONS", "GITLAB_CI"):
        monkeypatch.delenv(name, raising=False)
    repo = make_repo()
    guilty = []
    for i in range(40):
        large = i % 4 == 0
        date = f"{1704110400 + i * 86400} +0000"
        text = "".join(f"line {i} {n}\n" for n in range(60 if large else 2))
        sha = repo.commit(f"step {i}", {f"pkg/m{i % 5}.py": text}, env={
            "GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date,
        })  # fmt: skip
        fixed = datetime.fromtimestamp(1704110400 + i * 86400 + 3600, UTC)
        guilty += [(sha, fixed)] if large else []
    call(repo, "mine")
    rows = [label_row(f"{i:040x}", sha, fixed) for i, (sha, fixed) in enumerate(guilty)]
    append_rows(new_store(repo.path, ".testopt"), "labels", rows)
    return repo


def call(repo, *args):
    with pytest.raises(SystemExit) as end:
        main(["--repo", str(repo.path), *args])
    return end.value.code


def test_risk_of_all_kinds_of_changes(project, capsys):
    capsys.readouterr()
    head = project.git("rev-parse", "HEAD")
    assert call(project, "risk") == 0
    out = capsys.readouterr().out
    assert f"{head[:12]}  step 39" in out
    assert "Learnt from 31 changes, 8 of which introduced a defect" in out

    assert call(project, "risk", "HEAD~5..HEAD", "--json") == 0
    risks = json.loads(capsys.readouterr().out)["risks"]
    assert {r["name"] for r in risks} == set(project.git("rev-list", "HEAD~5..HEAD").split())

    assert call(project, "risk", "--base", "HEAD~5", "--json") == 0
    (risk,) = json.loads(capsys.readouterr().out)["risks"]
    assert risk["n_files"] == 5

    project.write("pkg/m1.py", "changed\n")
    project.git("add", "-A")
    project.write("pkg/m2.py", "changed\n")
    assert call(project, "risk", "--json") == 0
    (risk,) = json.loads(capsys.readouterr().out)["risks"]
    assert risk["name"] == "the uncommitted changes"
    assert {f["path"] for f in risk["files"]} == {"pkg/m1.py", "pkg/m2.py"}


def test_the_root_commit_and_a_merge_have_an_answer(project, capsys):
    project.git("checkout", "-q", "-b", "side", "HEAD~3")
    project.commit("aside", {"pkg/new.py": "x\n"})
    project.git("checkout", "-q", "main")
    project.git("merge", "-q", "--no-ff", "-m", "merge", "side")
    root = project.git("rev-list", "--max-parents=0", "HEAD")
    for revision in (root, "HEAD"):
        capsys.readouterr()
        assert call(project, "risk", revision, "--json") == 0
        assert 0 < json.loads(capsys.readouterr().out)["risks"][0]["probability"] < 1


def test_the_gate(project, capsys):
    assert call(project, "risk", "--fail-over", "1") == 0
    assert call(project, "risk", "--fail-over", "0.01") == 1
    assert "above 1.0%" in capsys.readouterr().err
    assert call(project, "risk", "HEAD~8..HEAD", "--fail-over-percentile", "1") == 0
    assert call(project, "risk", "HEAD~8..HEAD", "--fail-over-percentile", "0.5") == 1
    assert "of the changes before it" in capsys.readouterr().err
    root = project.git("rev-list", "--max-parents=0", "HEAD")
    assert call(project, "risk", root, "--fail-over-percentile", "0.5") == 3
    assert "too few earlier changes" in capsys.readouterr().err


def test_what_came_of_past_alarms(project, capsys):
    capsys.readouterr()
    assert call(project, "risk", "--history", "--fail-over", "0.3", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    changes = {c["sha"]: c for c in document["changes"]}
    young = [c for c in changes.values() if c["outcome"] == "open"]
    assert [c["sha"] for c in young] == list(changes)[-3:]  # behind the last fix that was seen
    assert document["all"]["defects"] == 10
    assert document["all"]["too_young"] == 0
    months = document["months"].values()
    for key in ("changes", "alarms", "right", "defects", "missed"):
        assert document["all"][key] == sum(month[key] for month in months)
    assert call(project, "risk", list(changes)[-5], "--json") == 0
    (risk,) = json.loads(capsys.readouterr().out)["risks"]
    assert risk["probability"] == changes[risk["name"]]["probability"]  # as it was made then
    right = sum(c["alarm"] and c["outcome"] == "defect" for c in changes.values())
    assert call(project, "risk", "--history", "--fail-over", "0.3") == 0
    assert f"whose outcome is known {right} were right" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["HEAD..HEAD"], 3, "no commit"),
        (["nowhere"], 2, "nowhere"),
        (["--output=x"], 2, "--output"),
        (["HEAD", "--base", "HEAD~1"], 2, "cannot be combined with REV_RANGE"),
        (["--fail-over", "7"], 2, "7"),
        (["--fairness", "HEAD"], 2, "it judges the model"),
        (["--fairness", "--format", "sarif"], 2, "text or as JSON"),
        (["--fairness"], 3, "too few changes"),
        (["--history", "HEAD"], 2, "the last year"),
        (["--history", "--format", "sarif"], 2, "text or as JSON"),
    ],
)
def test_bad_input_is_explained(project, capsys, args, code, words):
    assert call(project, "risk", *args) == code
    assert words in capsys.readouterr().err


def test_earlier_changes_like_it_and_the_lines_to_look_at(project, capsys):
    text = (
        "def total(a, b):\n    # the sum\n    if a is None or b < len(a):\n        return a + b\n"
    )
    date = f"{1704110400 + 50 * 86400} +0000"
    project.commit(
        "step again",
        {"pkg/m4.py": text},
        env={"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date},
    )
    capsys.readouterr()
    assert call(project, "risk", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    (risk,) = document["risks"]
    steps = project.git("log", "--reverse", "--format=%H").split()
    assert {s["sha"] for s in risk["similar"]} == {steps[4], steps[24]}  # defects in the same file
    assert {tuple(s["paths"]) for s in risk["similar"]} == {("pkg/m4.py",)}
    assert document["subjects"] == {risk["name"]: "step again"}
    assert sorted(x["line"] for x in risk["lines"]) == [1, 3, 4]
    assert risk["lines"][0]["name"] == "total"
    assert call(project, "risk") == 0
    out = capsys.readouterr().out
    assert "  pkg/m4.py:3  in total\n      if a is None or b < len(a):" in out
    assert f"{steps[24][:12]} step 24, in pkg/m4.py; fixed by" in out
    assert call(project, "risk", steps[10], "--json") == 0
    (risk,) = json.loads(capsys.readouterr().out)["risks"]
    assert {s["sha"] for s in risk["similar"]} <= {steps[0]}  # what was known then


def test_a_shallow_clone_says_how_little_it_knows(project, tmp_path, capsys):
    project.git("clone", "-q", "--depth", "6", f"file://{project.path}", str(tmp_path / "clone"))
    clone = SimpleNamespace(path=tmp_path / "clone")
    call(clone, "mine")
    head = project.git("rev-parse", "HEAD")
    append_rows(new_store(clone.path, ".testopt"), "labels", [label_row("f" * 40, head)])
    capsys.readouterr()
    assert call(clone, "risk") == 0
    out = capsys.readouterr().out
    assert "only 5 commits since 2024-02-05 are known (the clone is shallow)" in out
    assert "the past of pkg/m4.py is not known" in out


def test_the_formats(project, capsys):
    capsys.readouterr()
    assert call(project, "risk", "--format", "sarif") == 0
    assert json.loads(capsys.readouterr().out)["version"] == "2.1.0"
    assert call(project, "risk", "--format", "markdown") == 0
    assert capsys.readouterr().out.startswith("## Change risk")


def test_the_first_use_says_what_to_do_and_bootstrap_does_it(make_repo, capsys, monkeypatch):
    repo = make_repo("fresh")
    repo.commit("Add the sum", {"a.py": "def total(a, b):\n    return a - b\n"})
    assert call(repo, "risk") == 3
    assert "testopt mine && testopt szz" in capsys.readouterr().err
    assert call(repo, "mine") == 0
    assert call(repo, "risk") == 3
    assert "of 1 commit none is recognised as a fix" in capsys.readouterr().err
    repo.commit(
        "Fix crash: the sum was a difference", {"a.py": "def total(a, b):\n    return a + b\n"}
    )
    repo.commit(
        "Fix crash of the sum of None", {"a.py": "def total(a, b):\n    return (a or 0) + b\n"}
    )
    assert call(repo, "mine") == 0
    assert call(repo, "risk") == 3
    assert "no fix has been traced" in capsys.readouterr().err

    monkeypatch.setattr("testopt.cli.bootstrap._TOTAL_S", 0.0)
    monkeypatch.setattr("testopt.cli.bootstrap._LEAST_S", 0.0)
    assert call(repo, "risk", "--bootstrap") == 0
    assert "the newest 1 of 2 fixes traced" in capsys.readouterr().err
    store = new_store(repo.path, ".testopt")
    examined = read_examined(store)
    assert examined.since is not None
    assert call(repo, "risk", "--bootstrap") == 0
    assert "fixes traced: 2" in capsys.readouterr().err
    assert read_examined(store).since is None
