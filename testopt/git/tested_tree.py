"""What was tested: git's tree of the files that are checked out, with the edits of no commit.

Equal trees are the same code, whatever commits they come from. The edited files are hashed here as
they are, in objects that are thrown away: the user's index and object store are not touched, and no
filter, hook or other program of the repository is run.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from testopt.code.paths import is_code, language_of, path_text
from testopt.errors import RepositoryError, TestoptError
from testopt.git.changed_lines import OPTIONS
from testopt.git.diff import read_patch
from testopt.git.process import resolve, run_git
from testopt.git.untracked import untracked_paths
from testopt.workspace import workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MAX_FILES: Final = 2_000  # edited; more are a generated tree
MAX_BYTES: Final = 64 << 20  # of all of them
MAX_PATCH: Final = 64 << 10  # bytes of the text that is kept of a file
MAX_PATCHES: Final = 512 << 10  # and of a run
_GIT_S: Final = 6.0
_SUBMODULE: Final = b"160000"
_CONFIG: Final = (
    "core.splitIndex=false", "core.untrackedCache=false", "core.fsmonitor=false",
    f"core.hooksPath={os.devnull}", "diff.external=", "diff.noprefix=false", "diff.renames=true",
)  # fmt: skip
_LISTING: Final = (
    "diff-index", "--raw", "-z", "--no-renames", "--no-abbrev", "--ignore-submodules=dirty",
)  # fmt: skip
_FILTER: Final = re.compile(rb"filter\.(.*)\.(?:clean|smudge|process|required)", re.DOTALL)
# What tools leave behind differs from run to run, and is no part of what is tested.
_OUTPUT: Final = re.compile(
    r"(^|/)(build|dist|out|target|tmp|temp|logs?|htmlcov|\.[^/]*)/"
    r"|(report|result|coverage|junit|snapshot-diff)[^/]*(/|$)"
    r"|\.(xml|html?|log|trx|jsonl|lcov|info|out|prof|db|sqlite3?|csv|parquet)$",
    re.IGNORECASE,
)
_UNKNOWN: Final = frozenset({"other", "text"})
_HUNK: Final = b"\n@@ "
_SECTION: Final = re.compile(rb"^(?=diff --git )", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class TestedTree:
    """What was tested.

    Attributes
    ----------
    tree : str or None
        Name of git's tree; None: not known, as where much is edited.
    is_edited : bool
        Whether it is not that of the commit.
    edited_at : float
        When the last of the edited files was written, in seconds since 1970; 0 without edits.
    patches : dict of str to str
        Text of the change, from the base, by path: of the files whose text is short.
    """

    __test__ = False

    tree: str | None = None
    is_edited: bool = False
    edited_at: float = 0.0
    patches: dict[str, str] = field(default_factory=dict)


def read_tested_tree(repo: Path, *, base: str | None = None) -> TestedTree:
    """Return what is checked out, edits and untracked files included.

    Untracked files count where git does not ignore them and they are no output of tools.

    Parameters
    ----------
    repo : Path
        Top folder of the working tree, or a bare repository, in which nothing is checked out.
    base : str, optional
        Full hash from which the text of the change is wanted, where there are edits.
    """
    try:
        settings = {"GIT_CONFIG_PARAMETERS": _settings(repo)}
        edits = _edits(repo, settings)
        if edits is None:
            return TestedTree()
        if not edits:
            return TestedTree(tree_of(repo, "HEAD"))
        with workspace() as folder:
            return _written(repo, folder, edits, base=base, settings=settings)
    except (TestoptError, OSError):
        return TestedTree()


def tree_of(repo: Path, commit: str) -> str | None:
    """Return the tree of a commit; None where git does not have it."""
    try:
        sha = resolve(repo, commit)
        return (
            run_git(repo, "rev-parse", "--verify", f"{sha}^{{tree}}", timeout=_GIT_S)
            .decode()
            .strip()
        )
    except TestoptError:
        return None


@dataclass(frozen=True, slots=True)
class _Edit:
    """A path with the mode of its file; without one it is gone."""

    path: bytes
    mode: bytes = b""
    content: bytes = b""
    object_name: str = ""  # of a submodule
    written: float = 0.0


def _settings(repo: Path) -> str:
    """Return settings of git under which no filter, hook or monitor is run, as a variable."""
    names = run_git(repo, "config", "-z", "--name-only", "--list", timeout=_GIT_S).split(b"\0")
    drivers = {os.fsdecode(found[1]) for name in names if (found := _FILTER.fullmatch(name))}
    chosen = [_quoted(setting) for setting in _CONFIG]
    for driver in sorted(drivers):
        for key, value in (("clean", ""), ("smudge", ""), ("process", ""), ("required", "false")):
            name = f"filter.{driver}.{key}"
            # gits before 2.31 know the first form only, which ends a name at the first `=`
            whole = _quoted(f"{name}={value}") if "=" not in driver else ""
            chosen.append(whole or f"{_quoted(name)}={_quoted(value)}")
    return " ".join(chosen)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''").replace("!", "'\\!'") + "'"


def _edits(repo: Path, settings: Mapping[str, str]) -> list[_Edit] | None:
    """Return the files that differ from HEAD; None where there are too many to say."""
    out = run_git(repo, *_LISTING, "HEAD", "--", timeout=_GIT_S, env=settings)
    fields = iter(out.split(b"\0")[:-1])
    tracked = [(path, head.split(b" ")[1]) for head, path in zip(fields, fields, strict=True)]
    untracked = [(path, b"") for path in untracked_paths(repo) if is_tested(path_text(path))]
    if len(tracked) + len(untracked) > MAX_FILES:
        return None
    edits, size = {}, 0
    for path, mode in (*tracked, *untracked):
        edit = _read(repo, path, mode)
        size += len(edit.content)
        if size > MAX_BYTES:
            return None
        edits[path] = edit
    return list(edits.values())


def is_tested(path: str) -> bool:
    """Tell whether an untracked file is part of what is tested."""
    if is_code(path):
        return True
    return language_of(path) not in _UNKNOWN and not _OUTPUT.search(path)


def _read(repo: Path, path: bytes, mode: bytes) -> _Edit:
    """Read a file as it is; `mode` is git's, empty where git does not know the file."""
    place = os.path.join(os.fsencode(repo), path)  # noqa: PTH118 - bytes
    try:
        status = os.lstat(place)
    except OSError:
        return _Edit(path)
    written = status.st_mtime
    if stat.S_ISLNK(status.st_mode):
        return _Edit(path, b"120000", os.fsencode(os.readlink(place)), written=written)  # noqa: PTH115 - bytes
    if mode == _SUBMODULE and stat.S_ISDIR(status.st_mode):
        head = run_git(Path(os.fsdecode(place)), "rev-parse", "HEAD", timeout=_GIT_S)
        return _Edit(path, mode, object_name=head.decode().strip())
    if not stat.S_ISREG(status.st_mode):
        return _Edit(path)
    if status.st_size > MAX_BYTES:
        raise RepositoryError(f"{path_text(path)} is too large to read")
    known = mode if mode in {b"100644", b"100755"} else b""
    own = b"100755" if status.st_mode & stat.S_IXUSR else b"100644"
    with open(place, "rb") as file:  # noqa: PTH123 - bytes
        return _Edit(path, known or own, file.read(), written=written)


def _written(
    repo: Path,
    folder: Path,
    edits: Sequence[_Edit],
    *,
    base: str | None,
    settings: Mapping[str, str],
) -> TestedTree:
    """Write the tree to a folder beside the repository's own objects."""
    head = resolve(repo, "HEAD")
    objects = folder / "objects"
    (objects / "info").mkdir(parents=True)
    own = os.fsdecode(run_git(repo, "rev-parse", "--git-path", "objects").rstrip(b"\n"))
    (objects / "info" / "alternates").write_bytes(os.fsencode(repo / own) + b"\n")
    env = {
        **settings,
        "GIT_INDEX_FILE": str(folder / "index"),
        "GIT_OBJECT_DIRECTORY": str(objects),
        "GIT_NO_LAZY_FETCH": "1",
    }
    zero = "0" * len(head)
    lines = []
    for edit in edits:
        name = edit.object_name or (_put(objects, edit.content, len(head)) if edit.mode else zero)
        lines.append(b"%b %b\t%b\0" % (edit.mode or b"0", name.encode(), edit.path))
    run_git(repo, "read-tree", head, timeout=_GIT_S, env=env)
    # what is gone first: a folder may stand where a file was
    lines.sort(key=lambda line: not line.startswith(b"0 "))
    index = ("update-index", "-z", "--add", "--index-info")
    run_git(repo, *index, timeout=_GIT_S, stdin=b"".join(lines), env=env)
    tree = run_git(repo, "write-tree", "--missing-ok", timeout=_GIT_S, env=env).decode().strip()
    if tree == tree_of(repo, head):
        return TestedTree(tree)
    patches = {} if base is None else _patches(repo, base, tree, env)
    return TestedTree(tree, True, max(edit.written for edit in edits), patches)


def _put(objects: Path, content: bytes, digits: int) -> str:
    """Write a loose object and return its name."""
    whole = b"blob %d\0%b" % (len(content), content)
    made = hashlib.sha1(whole, usedforsecurity=False) if digits == 40 else hashlib.sha256(whole)  # noqa: PLR2004
    name = made.hexdigest()
    path = objects / name[:2] / name[2:]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(zlib.compress(whole, 1))
    return name


def _patches(repo: Path, base: str, tree: str, env: Mapping[str, str]) -> dict[str, str]:
    """Return the text of the change by path, as long as there is room."""
    try:
        diff = run_git(repo, "diff", *OPTIONS, base, tree, "--", timeout=_GIT_S, env=env)
    except TestoptError:
        return {}
    found: dict[str, str] = {}
    room = MAX_PATCHES
    for path, section in _sections(diff):
        if len(section) <= min(room, MAX_PATCH):
            try:
                found[path] = _text(section)
            except UnicodeDecodeError:  # a path that is no text
                continue
            room -= len(section)
    return found


def _text(section: bytes) -> str:
    """Return a section as text: lines in another encoding as a plan reads them."""
    at = section.find(_HUNK)
    head = len(section) if at < 0 else at
    return section[:head].decode() + section[head:].decode("utf-8", "replace")


def _sections(diff: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield each file of a diff without context, in which no line of content begins as a head."""
    for section in _SECTION.split(diff):
        for file in read_patch(section.splitlines(keepends=True)):
            path = file.new or file.old
            if path is not None and not file.is_binary:
                yield path_text(path), section
            break
