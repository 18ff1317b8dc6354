"""Who introduced the defect, on real repositories, odd ones included."""

import json
import shutil
import subprocess
from datetime import UTC, datetime

import pyarrow.parquet as pq
import pytest

from testopt.errors import SettingsError
from testopt.git import file_histories
from testopt.git.process import GitStream
from testopt.ingest.merged_stores import merge_store
from testopt.mine import mine
from testopt.results.junit_values import parse_timestamp
from testopt.store import Store
from testopt.store.examined import read_examined
from testopt.szz import found_fixes, many_fixes
from testopt.szz.blame import MAX_FILES
from testopt.szz.fix_lists import Issue, read_fixes, read_issues
from testopt.szz.trace import szz, trace_fix

pytestmark = pytest.mark.integration

BODY = [f"def step_{i}(value):\n    return value + {i}\n" for i in range(8)]


def at(day):
    when = f"{1704110400 + day * 86400} +0000"
    return {"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when}


def program(*changes, sep="\n"):
    text = "\n".join(BODY)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text.replace("\n", sep)


GOOD, BAD = ("value + 3", "value + 3"), ("value + 3", "value - 3")


@pytest.fixture
def story(make_repo):
    """Start, a defect, something else, the fix of the defect."""
    repo = make_repo()
    shas = {
        "start": repo.commit("Start", {"src/a.py": program()}, env=at(0)),
        "bug": repo.commit("Speed up", {"src/a.py": program(BAD)}, env=at(5)),
        "other": repo.commit(
            "Rename", {"src/a.py": program(BAD, ("step_6(value)", "step_six(value)"))}, env=at(7)
        ),
        "fix": repo.commit(
            "Fix wrong sign", {"src/a.py": program(("step_6(value)", "step_six(value)"))}, env=at(9)
        ),
    }
    return repo, shas


def chosen(answer):
    return next((label.bug_commit for label in answer.labels if label.chosen), None)


def test_the_commit_that_wrote_the_line(story):
    repo, shas = story
    answer = trace_fix(repo.path, shas["fix"][:10])
    assert chosen(answer) == shas["bug"]
    assert answer.fix_commit == shas["fix"]
    assert any("wrote 1 of the changed lines" in reason for reason in answer.labels[0].reasons)
    assert any("src/a.py:" in reason for reason in answer.labels[0].reasons)


def test_reformatting_between_bug_and_fix_is_passed_over(make_repo):
    repo = make_repo()
    wrong = "int area(int a, int b) {\n    return a + b;\n}\n"
    repo.commit("Start", {"a.c": "int one;\n" * 30}, env=at(0))
    bug = repo.commit("Area", {"a.c": "int one;\n" * 30 + wrong}, env=at(3))
    loose = wrong.replace("return a + b;", "return a +\n\t\tb;")
    repo.commit("Wrap", {"a.c": "int one;\n" * 30 + loose}, env=at(5))
    right = loose.replace("return a +", "return a *")
    fix = repo.commit("Fix area", {"a.c": "int one;\n" * 30 + right}, env=at(6))
    assert chosen(trace_fix(repo.path, fix)) == bug


def test_commits_that_the_project_ignores_are_passed_over(story):
    repo, _ = story
    again = repo.commit(
        "Spaces", {"src/a.py": program(("value + 3", "value -  3 # x"))}, env=at(20)
    )
    repo.commit(
        "List", {".git-blame-ignore-revs": f"# formatting\n{again}\nnonsense\n"}, env=at(21)
    )
    fix = repo.commit("Fix", {"src/a.py": program()}, env=at(22))
    answer = trace_fix(repo.path, fix)
    assert again not in [label.bug_commit for label in answer.labels if "wrote" in label.reasons[0]]


def test_a_fix_that_only_adds_lines_blames_its_surroundings(story):
    repo, _ = story
    text = program(("step_6(value)", "step_six(value)"))
    new = "def twice(value):\n    return 2 * value\n\n"
    bug = repo.commit("Twice", {"src/a.py": text + new}, env=at(12))
    guard = new.replace("    return", "    if value is None:\n        return 0\n    return")
    fix = repo.commit("Fix None", {"src/a.py": text + guard}, env=at(15))
    assert chosen(trace_fix(repo.path, fix)) == bug


def test_renamed_folders_are_followed(story):
    repo, shas = story
    repo.git("mv", "src", "lib")
    repo.commit("Move", env=at(10))
    fix = repo.commit(
        "Fix name", {"lib/a.py": program(("step_6(value)", "step_seven(value)"))}, env=at(11)
    )
    assert chosen(trace_fix(repo.path, fix)) == shas["other"]


def test_mixed_line_endings_are_no_change(make_repo):
    repo = make_repo()
    repo.commit("Start", {"a.py": program()}, env=at(0))
    bug = repo.commit("Speed", {"a.py": program(BAD)}, env=at(1))
    repo.commit("Windows", {"a.py": program(BAD, sep="\r\n")}, env=at(2))
    fix = repo.commit("Fix sign", {"a.py": program(sep="\r\n")}, env=at(3))
    assert chosen(trace_fix(repo.path, fix)) == bug


def test_indentation_alone_can_be_a_fix_in_python(make_repo):
    repo = make_repo()
    wrong = "def f(xs):\n    for x in xs:\n        g(x)\n        return x\n"
    bug = repo.commit("Loop", {"a.py": wrong}, env=at(0))
    fix = repo.commit(
        "Fix loop", {"a.py": wrong.replace("        return", "    return")}, env=at(1)
    )
    assert chosen(trace_fix(repo.path, fix)) == bug


def test_root_merge_and_unknown_commits(story):
    repo, shas = story
    assert "nothing before it" in trace_fix(repo.path, shas["start"]).notes[0]
    assert "no such commit" in trace_fix(repo.path, "f" * 40).notes[0]
    assert "no such commit" in trace_fix(repo.path, "--output=x").notes[0]
    repo.git("checkout", "-q", "-b", "side", shas["other"])
    repo.commit("Fix sign", {"src/a.py": program(("step_6(value)", "step_six(value)"))}, env=at(8))
    repo.git("checkout", "-q", shas["other"])
    repo.git("merge", "-q", "--no-ff", "-m", "Merge side", "side", env=at(9))
    answer = trace_fix(repo.path, "HEAD")
    assert chosen(answer) == shas["bug"]
    assert "merge" in answer.notes[0]


def test_binary_files_submodules_and_new_files_say_why(make_repo):
    repo, part = make_repo(), make_repo("part")
    part.commit("One", {"a.py": "x = 1\n"})
    repo.git("submodule", "add", "-q", str(part.path), "part")
    repo.commit("Start", {"a.bin": "\0one"}, env=at(0))
    part.commit("Two", {"a.py": "x = 2\n"})
    repo.git("-C", "part", "pull", "-q")
    fix = repo.commit("Fix", {"a.bin": "\0two", "new.py": "y = 1\n"}, env=at(1))
    answer = trace_fix(repo.path, fix)
    assert answer.labels == ()
    assert "submodules" in " ".join(answer.notes)
    assert "no line of an existing text file" in " ".join(answer.notes)


def test_a_shallow_clone_blames_nobody_at_its_edge(story, tmp_path):
    repo, shas = story
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--depth=2", repo.path.as_uri(), str(clone)], check=True)
    answer = trace_fix(clone, shas["fix"])
    assert answer.labels == ()
    assert "shallow" in " ".join(answer.notes)
    assert "shallow" in " ".join(trace_fix(clone, shas["other"]).notes)


def test_a_graft_cuts_history(story):
    repo, shas = story
    repo.git("replace", "--graft", shas["other"])
    answer = trace_fix(repo.path, shas["fix"])
    assert chosen(answer) in {shas["other"], None}


def test_a_vendored_drop_is_not_looked_through(make_repo):
    repo = make_repo()
    lines = "".join(f"call({i});\n" for i in range(100_000))
    repo.commit("Start", {"a.c": "int x = 1;\n"}, env=at(0))
    bug = repo.commit("Set", {"a.c": "int x = 2;\n"}, env=at(1))
    repo.commit("Vendor", {"vendor/big.c": lines}, env=at(2))
    drop = lines.replace("call", "invoke")
    files = {f"vendor/f{i}.c": "y();\n" for i in range(MAX_FILES + 5)}
    fix = repo.commit("Fix", {"a.c": "int x = 3;\n", "vendor/big.c": drop}, env=at(3))
    answer = trace_fix(repo.path, fix)
    assert bug in [label.bug_commit for label in answer.labels]
    repo.commit("Many", files, env=at(4))
    fix = repo.commit("Fix all", dict.fromkeys(files, "z();\n"), env=at(5))
    assert f"the first {MAX_FILES}" in trace_fix(repo.path, fix).notes[0]


def test_a_damaged_repository_says_so(story):
    repo, shas = story
    blob = repo.git("rev-parse", f"{shas['other']}:src/a.py")
    (repo.path / ".git/objects" / blob[:2] / blob[2:]).unlink()
    (answer,) = szz(repo=repo.path, fixes=[shas["fix"]]).traced
    assert answer.labels == ()
    assert any("git" in note for note in answer.notes)


@pytest.mark.parametrize("fewest", [1, 50])  # one pass over the history, or each fix alone
@pytest.mark.parametrize("part", ["src/a.py", ""])
def test_what_git_cannot_read_is_nobody_found_for_nobody(
    story, part, fewest, tmp_path, monkeypatch
):
    """Neither a missing file nor a missing tree becomes an answer that is kept."""
    repo, shas = story
    monkeypatch.setattr(file_histories, "MIN_FIXES", fewest)
    gone = repo.git("rev-parse", f"{shas['bug']}:{part}")
    (repo.path / ".git/objects" / gone[:2] / gone[2:]).unlink()
    store = Store.open(str(tmp_path / "store"), create=True)
    (answer,) = szz(repo=repo.path, fixes=[shas["fix"]], store=store).traced
    assert answer.git_failed
    assert store.read("labels").num_rows == 0
    assert read_examined(store).unread == 1


def test_a_pass_that_is_killed_costs_no_answer(story, monkeypatch):
    repo, shas = story
    fixes = list(shas.values())
    expected = szz(repo=repo.path, fixes=fixes).traced
    read, killed = GitStream.lines, []

    def lines(stream):
        for number, line in enumerate(read(stream)):
            if number == 12 and not killed:
                stream._git.kill()
                killed.append(stream)
            yield line

    monkeypatch.setattr(file_histories, "MIN_FIXES", 1)
    monkeypatch.setattr(GitStream, "lines", lines)
    assert szz(repo=repo.path, fixes=fixes).traced == expected
    assert killed


def test_how_far_fixes_were_traced_is_recorded(story, tmp_path, monkeypatch):
    repo, shas = story
    store = Store.open(str(tmp_path / "store"), create=True)
    assert read_examined(store) is None
    with monkeypatch.context() as patch:
        patch.setattr(many_fixes, "trace_task", raising(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            szz(repo=repo.path, store=store)
    assert read_examined(store) is None  # an interrupted run has not looked
    later = repo.commit("Docs", {"README": "text\n"}, env=at(30))
    szz(repo=repo.path, store=store)
    szz(repo=repo.path, fixes=[shas["fix"]], store=store)  # never back
    examined = read_examined(Store.open(store.url))
    assert (examined.head, examined.fixes) == (later, 1)
    assert examined.until == datetime.fromtimestamp(1704110400 + 30 * 86400, UTC)
    into = Store.open(str(tmp_path / "other"), create=True)
    merge_store(into, store)
    assert read_examined(into) == examined
    store.write_blob("state/szz.json", b"{")
    assert read_examined(store) is None


def raising(error):
    def work(*_):
        raise error

    return work


def test_paths_that_look_like_patterns(make_repo):
    repo = make_repo()
    name = "src/[a]* é.py"
    repo.commit("Start", {name: program()}, env=at(0))
    bug = repo.commit("Speed", {name: program(BAD)}, env=at(1))
    fix = repo.commit("Fix sign", {name: program()}, env=at(2))
    assert chosen(trace_fix(repo.path, fix)) == bug


def test_issue_dates_make_later_commits_innocent(story):
    repo, shas = story
    early = parse_timestamp("2024-01-04T00:00:00")  # before the defect was written
    (answer,) = szz(
        repo=repo.path, fixes=[shas["fix"]], issues={shas["fix"][:9]: Issue(early, "")}
    ).traced
    assert chosen(answer) == shas["start"]


def test_what_the_message_says_is_believed_on_request(story):
    repo, shas = story
    text = program(("step_6(value)", "step_six(value)"), ("value + 1", "value + 10"))
    fix = repo.commit(f"Fix one, broken by {shas['other']}", {"src/a.py": text}, env=at(12))
    assert chosen(trace_fix(repo.path, fix)) != shas["other"]
    assert chosen(trace_fix(repo.path, fix, stated=True)) == shas["other"]
    trailer = repo.commit(
        f'Fix two\n\nFixes: {shas["other"][:12]} ("Rename")', {"src/a.py": program()}, env=at(13)
    )
    assert chosen(trace_fix(repo.path, trailer)) == shas["other"]


def test_a_quoted_subject_is_stated_evidence(story):
    repo, shas = story
    text = program(("step_6(value)", "step_six(value)"), ("value + 1", "value + 10"))
    bug = repo.commit("Count the steps from ten", {"src/a.py": text}, env=at(12))
    text = text.replace("value + 10", "value + 2").replace("step_six", "step_sixth")
    fix = repo.commit(
        'Fix steps\n\nBroken in "Count the steps from ten".', {"src/a.py": text}, env=at(13)
    )
    answer = trace_fix(repo.path, fix)
    assert (chosen(answer), answer.labels[0].confidence > 0.9) == (bug, True)
    assert answer.labels[1].bug_commit in shas.values()


def test_a_pattern_of_the_user_finds_fixes(story):
    repo, shas = story
    report = szz(repo=repo.path, fix_pattern="^rename$")
    assert [a.fix_commit for a in report.traced] == [shas["other"]]


def test_what_mine_told_to_be_no_fix_is_not_read_again(story, tmp_path, monkeypatch):
    repo, shas = story
    store = Store.open(str(tmp_path / "store"), create=True)
    mine(repo=repo.path, store=store)
    read, history = [], found_fixes.read_history
    monkeypatch.setattr(
        found_fixes, "read_history", lambda repo, names: read.append(names) or history(repo, names)
    )
    found = [
        [a.fix_commit for a in szz(repo=repo.path, store=store, fix_pattern=pattern).traced]
        for pattern in ("", "^rename$")
    ]
    assert found == [[shas["fix"]], [shas["other"]]]
    assert [len(names) for names in read] == [1, 4]  # by other rules nothing is known


def test_a_pattern_that_takes_too_long_is_stopped(story, monkeypatch):
    repo, _ = story
    repo.commit("a" * 40, {"x.py": "x = 1\n"}, env=at(20))
    monkeypatch.setattr("testopt.git.subjects.PATTERN_S", 0.2)
    with pytest.raises(SettingsError, match="takes longer"):
        szz(repo=repo.path, fix_pattern="(a+)+$b")


def test_the_store_keeps_answers_and_a_repeat_only_reads(story, tmp_path, monkeypatch):
    repo, _ = story
    store = Store.open(str(tmp_path / "store"), create=True)
    steps = []
    first = szz(repo=repo.path, store=store, progress=lambda *step: steps.append(step))
    assert steps == [(1, 1)]
    assert store.read("labels").num_rows == len(first.traced[0].labels)
    monkeypatch.setattr(many_fixes.Tracer, "trace", None)  # would fail if it were called
    second = szz(repo=repo.path, store=Store.open(str(tmp_path / "store")))
    assert second.known == 1
    assert [(x.bug_commit, x.chosen) for x in second.traced[0].labels] == [
        (x.bug_commit, x.chosen) for x in first.traced[0].labels
    ]
    assert second.traced[0].labels[0].confidence == pytest.approx(
        first.traced[0].labels[0].confidence, abs=1e-5
    )


def test_an_interrupted_run_is_continued(make_repo, tmp_path, monkeypatch):
    repo = make_repo()
    values = [repo.commit(f"Fix crash {i}", {"a.py": f"x = {i}\n"}, env=at(i)) for i in range(9)]
    store = Store.open(str(tmp_path / "store"), create=True)
    monkeypatch.setattr(many_fixes, "FLUSH", 2)

    def stop(done, _total):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        szz(repo=repo.path, store=store, progress=stop)
    kept = set(store.read("labels")["fix_commit"].to_pylist())
    assert len(kept) == 4
    report = szz(repo=repo.path, store=store)
    assert report.known == 4
    assert {a.fix_commit for a in report.traced} == set(values)
    done = store.read("labels").to_pylist()
    assert len({(r["fix_commit"], r["bug_commit"]) for r in done}) == len(done)


def test_command_writes_rows_and_says_what_is_missing(story, tmp_path, testopt):
    repo, shas = story
    bare = tmp_path / "bare.git"
    subprocess.run(["git", "clone", "-q", "--bare", str(repo.path), str(bare)], check=True)
    fixes, out = tmp_path / "fixes.txt", tmp_path / "out.parquet"
    fixes.write_text(f"# ours\n{shas['fix'][:10]}  # note\n\n{'0' * 40}\n{shas['fix'][:10]}\n")
    done = testopt(
        "--repo", bare, "--store", tmp_path / "store", "szz", "--fixes", fixes, "--output", out
    )
    assert done.code == 0, done.err
    assert "1 fixes are not in this repository" in done.err
    rows = pq.read_table(out).to_pylist()
    assert [(r["fix_commit"], r["bug_commit"]) for r in rows if r["chosen"]] == [
        (shas["fix"], shas["bug"])
    ]
    assert list(rows[0]) == ["fix_commit", "bug_commit", "confidence", "chosen"]
    again = testopt("--repo", bare, "--store", tmp_path / "store", "szz", "--json")
    assert (again.document["fixes"], again.document["known"]) == (1, 1)


def test_command_explains(story, testopt):
    repo, shas = story
    done = testopt("--repo", repo.path, "szz", "--explain", shas["fix"])
    assert done.code == 0
    assert f"introduced by {shas['bug']}" in done.out
    assert 'subject says "wrong"' in done.out
    told = testopt("--repo", repo.path, "szz", "--explain", shas["fix"], "--json").document
    assert told["labels"][0]["bug_commit"] == shas["bug"]
    assert testopt("--repo", repo.path, "szz", "--explain", "nothing").code == 2
    assert not (repo.path / ".testopt").exists()


def test_command_reads_issues_and_refuses_bad_files(story, tmp_path, testopt):
    repo, shas = story
    table = tmp_path / "issues.csv"
    table.write_text(f"fix_commit,issue_date,issue_type\n{shas['fix']},soon,feature\n")
    done = testopt("--repo", repo.path, "szz", "--issues", table, "--no-store", "--json")
    assert done.document["fixes"] == 0
    assert "1 date cannot be read" in done.err
    table.write_text("commit\nx\n")
    assert testopt("--repo", repo.path, "szz", "--issues", table, "--no-store").code == 3
    missing = testopt("--repo", repo.path, "szz", "--fixes", tmp_path / "absent", "--no-store")
    assert missing.code == 3
    shutil.rmtree(repo.path / ".git")
    assert testopt("--repo", repo.path, "szz").code == 3


def test_lists_and_tables_are_read(tmp_path):
    fixes = tmp_path / "fixes.txt"
    fixes.write_bytes(b"\xef\xbb\xbfabc def\r\n\r\n# no\r\nabc\r\n")
    assert read_fixes(fixes) == ["abc"]
    table = tmp_path / "issues.csv"
    table.write_text("fix_commit,issue_date\nAB,2024-02-01\nab,2024-01-01T10:00:00Z\n,\n")
    issues, bad = read_issues(table)
    assert bad == 0
    assert issues == {"ab": Issue(parse_timestamp("2024-01-01T10:00:00Z"), "")}


def test_evidence_is_json(story, tmp_path):
    repo, shas = story
    store = Store.open(str(tmp_path / "store"), create=True)
    szz(repo=repo.path, fixes=[shas["fix"], shas["start"]], store=store)
    rows = store.read("labels").to_pylist()
    assert {json.loads(r["evidence"])["why"] for r in rows} == {"given"}
    (nobody,) = [r for r in rows if r["fix_commit"] == shas["start"]]
    assert (nobody["bug_commit"], nobody["chosen"]) == (None, False)


def test_what_git_cannot_read_is_traced_again_once_it_can(tmp_path, testopt):
    """A clone without file contents, which are fetched later."""
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org"]

    def run(*args, cwd=origin):
        subprocess.run([*git, *args], cwd=cwd, check=True, capture_output=True)

    origin.mkdir()
    run("-c", "init.defaultBranch=main", "init", "-q")
    run("config", "uploadpack.allowFilter", "true")
    for number in (1, 2):
        (origin / "a.py").write_text(f"x = {number}\n")
        run("add", ".")
        run("commit", "-qm", f"Fix bug {number}")
    run(
        "clone", "-q", "--filter=blob:none", "--no-checkout", f"file://{origin}", str(clone),
        cwd=tmp_path,
    )  # fmt: skip
    first = testopt("--repo", clone, "szz", "--output", tmp_path / "out.csv")
    assert first.code == 3
    assert "git could not read all that 1 of 2 fixes need" in first.err
    assert (tmp_path / "out.csv").is_file()
    assert testopt("--repo", clone, "szz", "--explain", "HEAD").code == 3
    run("fetch", "-q", "--refetch", "--no-filter", cwd=clone)
    again = testopt("--repo", clone, "szz", "--json")
    assert json.loads(again.out)["found"] == 1
