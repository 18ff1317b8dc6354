"""`testopt hotspots` on a real repository."""

import json

import pytest

from testopt.cli import main


def call(repo, *args):
    with pytest.raises(SystemExit) as end:
        main(["--repo", str(repo.path), *args])
    return end.value.code


def test_hotspots_of_a_repository(make_repo, capsys):
    repo = make_repo()
    start = 1704110400
    for i in range(60):
        date = f"{start + i * 10 * 86400} +0000"
        name = f"pkg/bad{i % 4}.py" if i % 2 else f"lib/ok{i % 6}.py"
        repo.commit(
            f"fix {i}" if i % 2 else f"more {i}",
            {name: "".join(f"{i} {n}\n" for n in range(20))},
            env={"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date},
        )
    assert call(repo, "mine") == 0
    capsys.readouterr()
    assert call(repo, "hotspots") == 0
    out = capsys.readouterr().out.splitlines()
    assert "pkg/bad" in out[2]
    assert call(repo, "hotspots", "--by", "folder", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert [h["path"] for h in document["hotspots"]] == ["pkg", "lib"]
    assert document["hotspots"][0]["expected_fixes"] > 1


def test_a_repository_without_fixes(make_repo, capsys):
    repo = make_repo()
    repo.commit("first", {"a.py": "1\n"})
    assert call(repo, "hotspots") == 3
    assert "testopt mine" in capsys.readouterr().err
    call(repo, "mine")
    assert call(repo, "hotspots") == 3
    assert "too few fixes" in capsys.readouterr().err
