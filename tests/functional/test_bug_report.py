"""`testopt doctor --export` tells much, and no name of anything that is the user's."""

from __future__ import annotations

import base64
import json
import platform
import zipfile
from pathlib import Path
from urllib.parse import quote

import pytest
from builders import START, arrow_rows, make_record, new_store, prediction_row

from testopt.schema import TABLES

pytestmark = pytest.mark.integration

CANARY = "Kanarienvogel/7é"
WORD = "kanarienvogel"
VALUES = {"bool": True, "int16": 1, "int32": 1, "float": 0.5, "double": 0.5, "string": CANARY}


def forms(text):
    """Return a text as it might hide: as it is, quoted, in hexadecimal and in Base64."""
    content = text.encode()
    yield from (text, quote(text, safe=""), content.hex(), text[::-1])
    for before in range(3):
        encoded = base64.b64encode(b"." * before + content).decode()
        yield encoded[4:-4].lower()


def row(table, **values):
    """Return a row with the canary in each text."""
    made = {}
    for name, (kind, _) in TABLES[table].items():
        made[name] = START if kind.startswith("timestamp") else VALUES.get(kind, [CANARY])
    return made | values


@pytest.fixture
def project(make_repo, no_ci, monkeypatch):
    """Return a repository with the canary wherever a user can put a name."""
    repo = make_repo(f"repo-{WORD}")
    person = {"GIT_AUTHOR_NAME": CANARY, "GIT_AUTHOR_EMAIL": f"{CANARY}@example.org"}
    test = f"tests/test_{WORD}.py"
    repo.commit(CANARY, {f"{WORD}.py": f"{WORD} = 1\n", test: f"def test_{WORD}(): pass\n"}, person)
    repo.git("checkout", "-q", "-b", f"feature/{WORD}")
    repo.git("remote", "add", "origin", f"https://{WORD}:{WORD}@{WORD}.example/{WORD}.git")
    settings = "\n".join(
        f'{name} = "{CANARY}"' for name in ("command", "fix_pattern", "shard_durations")
    )
    settings += f'\nstore = "{WORD}"\nmust_run = ["*{CANARY}*"]\nrun_all_on = ["!{CANARY}"]\n'
    repo.write("testopt.toml", settings)
    for name in ("USER", "LOGNAME", "HOSTNAME", "TESTOPT_KEY", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, f"{WORD} {WORD}")
    monkeypatch.setattr(platform, "node", lambda: WORD)
    store = new_store(repo.path, WORD)
    case = f"{test}::test_{WORD}"
    head = repo.git("rev-parse", "HEAD")
    plan = [prediction_row(case, policy=CANARY, reason=CANARY)]
    store.append_runs(
        make_record(f"{CANARY}{n}", [case], [case] if n == 2 else (), hours=n, job=CANARY,
                    branch=CANARY, change=[f"{WORD}.py"], predictions=plan, commit=head)
        for n in range(3)
    )  # fmt: skip
    for table in TABLES:
        store.append(table, {CANARY: arrow_rows(table, [row(table)])})
    for name in ("state/features-x.npz", f"state/{WORD}", f"models/{WORD}/{WORD}"):
        store.write_blob(name, CANARY.encode())
    return repo.path


def exported(testopt, project, *args):
    out = project.parent / "report.zip"
    done = testopt("--repo", project, *args, "doctor", "--export", str(out))
    assert done.code == 0, done.err
    with zipfile.ZipFile(out) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def check_clean(files):
    everything = json.dumps(files).casefold()
    for form in forms(WORD):
        assert form not in everything
    assert "example.org" not in everything


def test_nothing_that_is_the_users_is_in_it(testopt, project):
    files = exported(testopt, project)
    check_clean(files)
    store = json.loads(files["store.json"])
    assert store["runs"] == 4
    assert store["by_kind"] == {"real": 3, "other": 1}
    settings = json.loads(files["settings.json"])
    assert settings["must_run"] == {"value": {"patterns": 1}, "from": "testopt.toml"}
    assert settings["fix_pattern"]["value"] == "<path>"
    assert {f["kind"] for f in json.loads(files["files.json"])} >= {"features", "other"}
    assert json.loads(files["versions.json"])["packages"]["deltalake"]
    assert any(f["function"].startswith("plan/") for f in json.loads(files["plan.json"]))


def test_what_fails_is_told_without_its_words(testopt, project):
    store = project / WORD
    for path in (store / "results").glob("*.parquet"):
        path.write_bytes(CANARY.encode())
    files = exported(testopt, project)
    check_clean(files)
    assert {"kind": "damaged", "table": "results", "count": 2} in json.loads(files["check.json"])
    errors = [step["error"] for step in json.loads(files["steps.json"]) if "error" in step]
    assert {"StoreError"} >= {e["type"] for e in errors}
    (store / "format.json").write_text(f'{{"schema_version": "{CANARY}"}}')
    files = exported(testopt, project)
    check_clean(files)
    errors = {s["step"]: s["error"] for s in json.loads(files["steps.json"]) if "error" in s}
    assert errors["open the store"]["type"] == "StoreError"
    assert any("store/format.py" in place for place in errors["open the store"]["places"])
    Path(project / "testopt.toml").write_text(f'{WORD} = "{WORD}"\n')
    files = exported(testopt, project)
    check_clean(files)
    assert json.loads(files["steps.json"])[0]["error"]["slug"] == "settings"
    for out in ("report.txt", str(project / "no" / "folder.zip")):
        assert testopt("--repo", project, "doctor", "--export", out).code == 2
