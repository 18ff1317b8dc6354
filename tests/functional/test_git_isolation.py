"""Git says the same whatever surrounds it, and runs no program of a repository."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from testopt.cli.common import Context
from testopt.errors import RepositoryError
from testopt.git.blame import run_blame
from testopt.git.blobs import read_blobs, read_tree
from testopt.git.change import find_change
from testopt.git.changed_lines import diff_of_files
from testopt.git.isolation import git_environment
from testopt.git.log import list_commits, read_commits, read_history
from testopt.git.messages import find_commit_by_message
from testopt.git.objects import Objects
from testopt.git.process import find_root, run_git
from testopt.git.untracked import untracked_files
from testopt.risk.reviewers import file_experts
from testopt.szz.blame import Tracer

BODY = "def first():\n" + "".join(f"    step_{i} = {i}\n" for i in range(40))

# Every setting of git 2.39 to 2.52 that changes what the commands used here print.
SETTINGS = {
    "blame.blankBoundary": "true", "blame.coloring": "repeatedLines", "blame.date": "relative",
    "blame.ignoreRevsFile": "{folder}/revs", "blame.markIgnoredLines": "true",
    "blame.markUnblamableLines": "true", "blame.showEmail": "true", "blame.showRoot": "true",
    "color.blame.repeatedLines": "red", "color.branch": "always", "color.diff": "always",
    "color.status": "always", "color.ui": "always", "column.ui": "always", "core.abbrev": "40",
    "core.attributesFile": "{folder}/attributes", "core.bigFileThreshold": "1",
    "core.pager": "{program}", "core.quotePath": "true", "core.safecrlf": "warn",
    "core.warnAmbiguousRefs": "true", "core.whitespace": "-trailing-space",
    "diff.algorithm": "patience", "diff.autoRefreshIndex": "false", "diff.colorMoved": "zebra",
    "diff.colorMovedWS": "no", "diff.context": "7", "diff.dirstat": "lines,0",
    "diff.dstPrefix": "y/", "diff.external": "{program}", "diff.ignoreSubmodules": "all",
    "diff.indentHeuristic": "false", "diff.interHunkContext": "20", "diff.mnemonicPrefix": "true",
    "diff.noprefix": "true", "diff.orderFile": "{folder}/order", "diff.relative": "true",
    "diff.renameLimit": "1", "diff.renames": "false", "diff.srcPrefix": "x/",
    "diff.statGraphWidth": "5", "diff.submodule": "log", "diff.suppressBlankEmpty": "true",
    "diff.wordRegex": ".", "diff.wsErrorHighlight": "all", "format.notes": "*",
    "format.pretty": "%H nonsense", "i18n.commitEncoding": "ISO-8859-1",
    "i18n.logOutputEncoding": "UTF-16", "log.abbrevCommit": "true", "log.date": "relative",
    "log.decorate": "full", "log.diffMerges": "combined", "log.excludeDecoration": "refs/*",
    "log.follow": "true", "log.graphColors": "red", "log.initialDecorationSet": "all",
    "log.mailmap": "false", "log.showRoot": "false", "log.showSignature": "true",
    "mailmap.blob": "HEAD:people", "mailmap.file": "{folder}/people", "notes.displayRef": "*",
    "pager.blame": "{program}", "pager.diff": "{program}", "pager.log": "{program}",
    "pretty.medium": "%s", "status.relativePaths": "false", "status.renames": "false",
    "status.showUntrackedFiles": "no", "status.submoduleSummary": "true",
    "submodule.recurse": "true",
}  # fmt: skip
# What names a program that git would run.
PROGRAMS = {
    "alias.log": "!{program}", "alias.diff": "!{program}", "core.alternateRefsCommand": "{program}",
    "core.askPass": "{program}", "core.editor": "{program}", "core.fsmonitor": "{program}",
    "core.gitProxy": "{program}", "core.hooksPath": "{folder}/hooks", "core.pager": "{program}",
    "core.sshCommand": "{program}", "credential.helper": "!{program}",
    "diff.evil.command": "{program}", "diff.evil.textconv": "{program}",
    "diff.external": "{program}", "filter.evil.clean": "{program}", "filter.a=b.clean": "{program}",
    "filter.evil.process": "{program}", "filter.evil.required": "true", "gpg.program": "{program}",
    "filter.evil.smudge": "{program}", "gpg.ssh.program": "{program}",
    "interactive.diffFilter": "{program}", "log.showSignature": "true", "pager.diff": "{program}",
    "protocol.allow": "always", "protocol.ext.allow": "always", "sequence.editor": "{program}",
    "remote.origin.promisor": "true", "remote.origin.partialclonefilter": "blob:none",
    "remote.origin.url": "ext::{program}", "remote.origin.uploadpack": "{program}",
    "submodule.sub.update": "!{program}", "trailer.x.cmd": "{program}",
    "uploadpack.packObjectsHook": "{program}",
}  # fmt: skip
HOOKS = (
    "post-checkout", "post-index-change", "pre-auto-gc", "reference-transaction", "fsmonitor",
    "fsmonitor-watchman", "post-commit", "pre-commit",
)  # fmt: skip


@pytest.fixture
def repo(make_repo):
    """Files of all kinds, a merge, a rename, signs of several people."""
    made = make_repo()
    text = "words\n" * 30
    made.commit("Start", {"a.py": BODY, "sub/b.py": BODY, "ä.py": "umlaut = 1\n", "m.txt": text})
    made.commit("Fix a crash", {"a.py": BODY.replace("step_7 = 7", "step_seven = 7")})
    made.git("mv", "m.txt", "moved.txt")
    made.commit("Move ü", {"moved.txt": text + "more\n", "people": "B <b@x.org> <ann@example.org>"})
    made.git("checkout", "-q", "-b", "side")
    made.commit("Side", {"s.py": "s = 1\n"})
    made.git("checkout", "-q", "main")
    made.commit("Main", {"sub/b.py": BODY.replace("step_9 = 9", "   step_nine = 9")})
    made.git("merge", "-q", "--no-ff", "-m", "Merge side", "side")
    made.commit("Fix the fix", {"a.py": BODY.replace("step_7 = 7", "step_7 = 8"), "n.py": "\n"})
    return made


@pytest.fixture
def configured(tmp_path, monkeypatch):
    """Return a function that writes settings and what they name; it returns the marker file."""
    folder = tmp_path / "settings"
    folder.mkdir()
    marker, program = folder / "marker", folder / "program"
    program.write_text(f"#!/bin/sh\necho $0 $* >> {marker}\ncat\n")
    program.chmod(0o755)
    (folder / "hooks").mkdir()
    for hook in HOOKS:
        (folder / "hooks" / hook).symlink_to(program)
    (folder / "attributes").write_text("* -diff filter=evil\n")
    (folder / "order").write_text("n.py\n")
    (folder / "people").write_text("Bob <bob@example.org> <ann@example.org>\n")

    def write(config: Path, settings: dict[str, str]) -> Path:
        for name, value in settings.items():
            filled = value.format(folder=folder, program=program)
            subprocess.run(["git", "config", "--file", config, name, filled], check=True)
        return marker

    write.folder = folder
    return write


def everything(path: Path) -> dict[str, object]:
    """Return what all readers of a repository say of it."""
    shas = list_commits(path)
    head, base = shas[-1], shas[0]
    with Objects(path) as objects, Tracer(path) as tracer:
        facts = [(objects.commit(sha), objects.paths(sha)) for sha in shas]
        traced = [tracer.trace(sha) for sha in shas]
    return {
        "history": list(read_history(path, shas)),
        "messages": read_commits(path, shas),
        "saying": find_commit_by_message(path, "crash", base=base, head=head),
        "facts": facts,
        "traced": traced,
        "committed": find_change(path, base=base, head=head),
        "last": find_change(path, head="HEAD"),
        "at hand": find_change(path),
        "untracked": untracked_files(path),
        "lines": diff_of_files(path, base=base, head=head, paths=["a.py", "ä.py", "moved.txt"]),
        "blame": run_blame(path, "-s", "-l", "--root", commit=head, path="a.py", timeout=60),
        "tree": read_tree(path, None),
        "texts": read_blobs(path, read_tree(path, head).values()),
        "people": file_experts(path, ["a.py"], head),
        "root": find_root(path / "sub"),
    }


@pytest.mark.parametrize("scope", ["global", "repository"])
@pytest.mark.parametrize("dirty", [True, False])
def test_no_setting_changes_what_git_says(repo, configured, monkeypatch, scope, dirty):
    if dirty:
        repo.write("a.py", BODY + "end = 1\n")
        repo.write("new.py", "new = 1\n")
        repo.write("sub/b.py", BODY)
    plain = everything(repo.path)
    assert len(plain["at hand"].files) == (3 if dirty else 2)
    (configured.folder / "revs").write_text(list_commits(repo.path)[1] + "\n")
    config = repo.path / ".git/config"
    if scope == "global":
        config = configured.folder / "gitconfig"
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    marker = configured(config, SETTINGS)
    found = everything(repo.path)
    assert {name for name in plain if plain[name] != found[name]} == set()
    assert not marker.exists()


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_no_single_setting_stops_git(repo, configured, name):
    configured(repo.path / ".git/config", {name: SETTINGS[name]})
    assert find_change(repo.path).known
    assert find_change(repo.path, base="HEAD~3").known


def test_a_list_of_ignored_commits_that_is_missing(repo, configured):
    def blame():
        sha = list_commits(repo.path)[-1]
        return run_blame(repo.path, "--incremental", "-w", commit=sha, path="a.py", timeout=60)

    plain = blame()
    for place in (".git-blame-ignore-revs", "/nowhere/at/all"):
        configured(repo.path / ".git/config", {"blame.ignoreRevsFile": place})
        assert blame() == plain
    with pytest.raises(RepositoryError):
        run_blame(repo.path, commit="HEAD", path="missing.py", timeout=60)


def test_a_hostile_repository_runs_nothing(repo, configured, testopt, monkeypatch, tmp_path):
    marker = configured(repo.path / ".git/config", PROGRAMS)
    for hook in HOOKS:
        (repo.path / ".git/hooks" / hook).symlink_to(configured.folder / "program")
    repo.write("test_it.py", "def test_1(): pass\n")
    attributes = "* filter=evil diff=evil merge=evil\nn.py filter=a=b\n"
    repo.write(".gitattributes", attributes)
    (repo.path / ".git/info/attributes").write_text(attributes)
    with monkeypatch.context() as patch:
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        repo.git(*_harmless(), "add", "-A")
        repo.git(*_harmless(), "commit", "-q", "-m", "Evil fix")
    marker.unlink(missing_ok=True)
    for name in ("a.py", "n.py"):  # git can tell by looking into them only
        os.utime(repo.path / name, (1, 1))
    everything(repo.path)
    assert not marker.exists(), marker.read_text()
    at = ("--repo", repo.path, "--store", tmp_path / "store")
    (tmp_path / "j.xml").write_text('<testsuite><testcase classname="C" name="a"/></testsuite>')
    (tmp_path / "cases").write_text("t::a\n")
    backfill = ("backfill", "--commits", "1", "--", "python", "-c", "pass")
    for command in (
        ("mine",), ("ingest", tmp_path / "j.xml"), ("rank", "--cases", tmp_path / "cases"),
        ("risk",), ("hotspots",), ("szz", "--no-store"), ("doctor",), backfill,
    ):  # fmt: skip
        done = testopt(*at, *command)
        assert not marker.exists(), (command, marker.read_text())
        assert done.code in {0, 3}, done


def _harmless():
    """Options that keep the repository's programs from the test's own git."""
    names = [n for n in PROGRAMS if n.startswith(("filter.", "diff.")) and "=" not in n]
    values = {n: "false" if n.endswith("required") else "" for n in names}
    off = ("core.fsmonitor=false", "core.hooksPath=/dev/null", "commit.gpgSign=false")
    return [part for n, v in values.items() for part in ("-c", f"{n}={v}")] + [
        part for each in off for part in ("-c", each)
    ]


def test_variables_of_another_repository_do_not_lead_there(repo, make_repo, monkeypatch):
    other = make_repo("other")
    other.commit("Other", {"z.py": "z = 1\n"})
    plain = everything(repo.path)
    names = run_git(repo.path, "rev-parse", "--local-env-vars").decode().split()
    assert "GIT_DIR" in names
    git = other.path / ".git"
    values = {
        "GIT_DIR": git, "GIT_WORK_TREE": other.path, "GIT_INDEX_FILE": git / "index",
        "GIT_OBJECT_DIRECTORY": git / "objects", "GIT_COMMON_DIR": git, "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "diff.noprefix", "GIT_CONFIG_VALUE_0": "true", "GIT_PREFIX": "sub/",
        "GIT_CONFIG_PARAMETERS": "'diff.renames'='false'", "GIT_SHALLOW_FILE": git / "HEAD",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": "/nowhere", "GIT_NAMESPACE": "n",
        "GIT_EXTERNAL_DIFF": "false", "GIT_DIFF_OPTS": "--unified=9", "GIT_CONFIG": "/nowhere",
        "GIT_LITERAL_PATHSPECS": "1", "GIT_GRAFT_FILE": "/nowhere", "GIT_TRACE": "1",
        "GIT_ATTR_SOURCE": "HEAD", "GIT_DEFAULT_HASH": "sha256", "GIT_IMPLICIT_WORK_TREE": "0",
        "GIT_REPLACE_REF_BASE": "refs/x/", "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_INTERNAL_SUPER_PREFIX": "x/", "GIT_QUARANTINE_PATH": "/nowhere",
    }  # fmt: skip
    assert set(names) <= set(values)
    for name, value in values.items():
        monkeypatch.setenv(name, str(value))
    assert everything(repo.path) == plain


def test_a_hook_of_a_linked_worktree_sees_its_own_change(repo, tmp_path):
    """git sets GIT_DIR and GIT_INDEX_FILE for hooks that run in a linked worktree."""
    tree = tmp_path / "linked"
    repo.git("worktree", "add", "-q", "-b", "topic", str(tree))
    out = tmp_path / "out"
    python = Path(os.sys.executable)
    code = (
        "from pathlib import Path; from testopt.git.change import find_change;"
        "from testopt.git.process import find_root; r = find_root(Path('.'));"
        f"Path({str(out)!r}).write_text(repr((str(r), [f.path for f in find_change(r).files])))"
    )
    hook = repo.path / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f'#!/bin/sh\n"{python}" -c "{code}"\n')
    hook.chmod(0o755)
    (tree / "in_tree.py").write_text("x = 1\n")
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    name = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    subprocess.run(["git", "-C", tree, "add", "-A"], check=True, env=env)
    subprocess.run(["git", "-C", tree, *name, "commit", "-qm", "x"], check=True, env=env)
    assert out.read_text() == repr((str(tree), ["in_tree.py"]))


def test_trust_is_the_only_setting_that_variables_hand_on():
    env = git_environment(
        {
            "PATH": "/bin", "GIT_CONFIG_COUNT": "3", "GIT_CONFIG_KEY_0": "core.pager",
            "GIT_CONFIG_VALUE_0": "evil", "GIT_CONFIG_KEY_1": "Safe.Directory",
            "GIT_CONFIG_VALUE_1": "*", "GIT_SSH_COMMAND": "evil", "GIT_CONFIG_GLOBAL": "/g",
        },
        {"GIT_DIR": "/d", "LC_ALL": None},
    )  # fmt: skip
    git = {name: value for name, value in env.items() if name.startswith("GIT_CONFIG")}
    assert git == {
        "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
        "GIT_CONFIG_GLOBAL": "/g",
    }  # fmt: skip
    assert (env["GIT_DIR"], env["PATH"]) == ("/d", "/bin")
    assert not {"GIT_SSH_COMMAND", "LC_ALL"} & set(env)


def test_the_reason_of_git_is_handed_on(repo, monkeypatch, tmp_path, testopt, no_ci):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(RepositoryError, match="dubious ownership") as caught:
        find_root(repo.path)
    assert "safe.directory" in caught.value.hint
    assert "dubious ownership" in Context(str(repo.path)).no_repository
    change = find_change(repo.path)
    assert not change.known
    assert "dubious ownership" in change.why
    (tmp_path / "j.xml").write_text('<testsuite><testcase classname="C" name="a"/></testsuite>')
    at = ("--repo", repo.path, "--store", tmp_path / "store")
    done = testopt(*at, "ingest", tmp_path / "j.xml")
    assert done.code == 0
    assert "warning: commit and change of these results are unknown" in done.err
    assert "dubious ownership" in done.err
    (tmp_path / "cases").write_text("t::a\n")
    done = testopt(*at, "rank", "--cases", tmp_path / "cases", "--json")
    assert not done.document["change"]["known"]
    mined = testopt(*at, "mine")
    assert mined.code == 3
    assert "dubious ownership" in mined.err
    with monkeypatch.context() as patch:
        patch.setenv("GIT_CONFIG_COUNT", "1")
        patch.setenv("GIT_CONFIG_KEY_0", "safe.directory")
        patch.setenv("GIT_CONFIG_VALUE_0", str(repo.path))
        assert find_change(repo.path).known


def test_a_bare_repository_where_only_explicit_ones_are_allowed(
    repo, configured, monkeypatch, tmp_path
):
    bare = tmp_path / "bare.git"
    subprocess.run(["git", "clone", "-q", "--bare", str(repo.path), str(bare)], check=True)
    config = configured.folder / "gitconfig"
    configured(config, {"safe.bareRepository": "explicit"})
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    assert find_root(bare) == bare
    assert [f.path for f in find_change(bare).files] == ["a.py", "n.py"]


@pytest.mark.parametrize("damage", ["[broken", "[core]\n\trepositoryformatversion = 99\n"])
def test_what_git_cannot_read_is_unknown(repo, damage):
    repo.write("a.py", "changed = 1\n")
    with (repo.path / ".git/config").open("a") as file:
        file.write(damage)
    change = find_change(repo.path)
    assert not change.known
    assert "fatal" in change.why
