"""Where settings go: a table in ``pyproject.toml``, else ``testopt.toml``; written whole or not.

The rest of the file keeps every byte: the table is put behind it as text, and what comes of that is
parsed before anything is written.
"""

from __future__ import annotations

import os
import stat
import tomllib
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkstemp
from typing import TYPE_CHECKING, Any, Final

from testopt.errors import InputFileError
from testopt.settings import FILE, PYPROJECT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testopt.git.file_tree import FileTree

_HEADER: Final = "[tool.testopt]"
_MOST_BYTES: Final = 4_000_000
_BOM: Final = "\ufeff".encode()


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """The file for the settings of a project.

    Attributes
    ----------
    path : Path
    added : str
        What is put behind the text of the file; empty: it has settings already.
    before : bytes
        The file as it is; empty where there is none.
    present : mapping
        The settings that stand there.
    why : str
        Why it is this file, where that is not plain.
    """

    path: Path
    added: str
    before: bytes = b""
    present: dict[str, Any] | None = None
    why: str = ""

    def write(self) -> None:
        """Write the file: complete, or not at all.

        Raises
        ------
        InputFileError
            When it cannot be written, or has changed since it was read.
        """
        try:
            if _bytes(self.path) != self.before:
                raise InputFileError(f"{self.path} has just changed", "run testopt init again")
            _replace(self.path, self.before + self.added.encode())
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise InputFileError(
                f"{self.path} cannot be written: {reason}; nothing is changed",
                "make the folder writable, or add what `testopt init --dry-run` shows by hand",
            ) from None


def find_settings_file(tree: FileTree, lines: Sequence[str]) -> SettingsFile:
    """Return the file for settings, and what to put into it.

    Parameters
    ----------
    tree : FileTree
    lines : sequence of str
        The settings, as lines of TOML.

    Raises
    ------
    InputFileError
        When a file that could hold them is no TOML, or cannot be read.
    """
    if tree.blobs is not None:  # no working tree
        names = [name for name in (FILE, PYPROJECT) if name in tree.names]
        data = {name: (tree.read(name) or "").encode() for name in names}
    else:
        data = {name: _regular(tree.root / name) for name in (FILE, PYPROJECT)}
    own, project = data.get(FILE, b""), data.get(PYPROJECT, b"")
    if own:
        return SettingsFile(tree.root / FILE, "", own, _parsed(tree.root / FILE, own))
    if not project:
        is_link = (tree.root / PYPROJECT).is_symlink()
        why = f"{PYPROJECT} is a link, which is not followed" if is_link else ""
        return SettingsFile(tree.root / FILE, _text(lines), why=why)
    path = tree.root / PYPROJECT
    table = _table(_parsed(path, project))
    if table is not None:
        return SettingsFile(path, "", project, table)
    added = _behind(project, lines)
    try:
        appended = _parsed(path, project + added.encode())
    except InputFileError:  # such as `tool = {…}`, which takes no further table
        why = f"{PYPROJECT} takes no table {_HEADER}"
        return SettingsFile(tree.root / FILE, _text(lines), why=why)
    if _table(appended) is None:
        raise InputFileError(f"{path} cannot take {_HEADER}", "write it there by hand")
    return SettingsFile(path, added, project)


def _behind(before: bytes, lines: Sequence[str]) -> str:
    """Return a table to be put behind the text of a file, with line ends like its own."""
    end = "\r\n" if b"\r\n" in before else "\n"
    gap = end if before.endswith((b"\n", b"\r\n")) else end + end
    return gap + _text([_HEADER, *lines], end)


def _text(lines: Sequence[str], end: str = "\n") -> str:
    return "".join(line + end for line in lines)


def _table(document: dict[str, Any]) -> dict[str, Any] | None:
    tool = document.get("tool")
    table = tool.get("testopt") if isinstance(tool, dict) else None
    return table if table is None or isinstance(table, dict) else {"": table}


def _parsed(path: Path, data: bytes) -> dict[str, Any]:
    try:
        if data.startswith(_BOM):
            raise ValueError("it begins with a byte order mark, which TOML does not allow")
        return tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputFileError(
            f"{path} is not valid TOML: {error}", "correct the file; it was not changed"
        ) from None


def _regular(path: Path) -> bytes:
    """Return the content of a file; nothing of a link, or where there is none."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return b""
    if not stat.S_ISREG(status.st_mode):
        if path.name == FILE:
            raise InputFileError(
                f"{path} is not a regular file", "move it away, or write the settings by hand"
            )
        return b""
    return _bytes(path)


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise InputFileError(
            f"{path} cannot be read: {error.strerror}", "check its permissions"
        ) from None
    if len(data) > _MOST_BYTES:
        raise InputFileError(
            f"{path} is longer than {_MOST_BYTES:,} bytes", "check that it is the right file"
        )
    return data


def _replace(path: Path, data: bytes) -> None:
    handle, name = mkstemp(prefix=f".{path.name}.", dir=path.parent)
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o666 & ~_umask()
        part.chmod(mode)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
