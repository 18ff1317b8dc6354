"""`testopt hotspots` on a real repository."""

import json

import pytest

from testopt.cli import main

pytestmark = pytest.mark.integration


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
            {name: "".join(f"{i} {n}\n" for n in range(40))},
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


def test_functions_share_what_their_file_expects(make_repo, capsys):
    repo = make_repo()
    day = 86400
    for i in range(60):
        body = "".join(f"def f{n}():\n    return {i if n == i % 2 else 0}\n\n\n" for n in range(9))
        date = f"{1704110400 + i * 10 * day} +0000"
        repo.commit(
            f"fix {i}",
            {f"pkg/bad{i % 4}.py": body},
            env={"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date},
        )
    assert call(repo, "mine") == 0
    capsys.readouterr()
    assert call(repo, "hotspots", "--json") == 0
    files = {h["path"]: h for h in json.loads(capsys.readouterr().out)["hotspots"]}
    assert call(repo, "hotspots", "--by", "function", "--json") == 0
    found = json.loads(capsys.readouterr().out)["hotspots"]
    for path, file in files.items():
        own = [h for h in found if h["path"] == path]
        assert {h["function"] for h in own} == {f"f{n}" for n in range(9)}
        assert sum(h["expected_fixes"] for h in own) == pytest.approx(file["expected_fixes"])
        chances = [h["chance_of_fix"] for h in own]
        assert max(chances) < file["chance_of_fix"] < sum(chances)
        first = max(own, key=lambda h: h["expected_fixes"])
        assert first["function"] == f"f{int(path[-4]) % 2}"  # the only one that was changed
    assert call(repo, "hotspots", "--by", "function") == 0
    assert "pkg/bad0.py:1 f0" in capsys.readouterr().out
