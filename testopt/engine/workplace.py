"""Where a run takes place: repository, store, names of cases, and what CI and git say of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from testopt.errors import EmptyStoreError, RepositoryError, RevisionError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from testopt.context import Here
    from testopt.settings import Settings
    from testopt.store import Store

_RECENT_RUNS: Final = 5  # their cases are the known ones
_GIT_S: Final = 4.0  # a git that takes longer to say where it is hangs


@dataclass(frozen=True, slots=True)
class Names:
    """Translates node ids, relative to pytest's root folder, to case ids and back.

    pytest names files outside its root folder relative to the folder that it was given.

    Parameters
    ----------
    prefix : str
        Path of pytest's root folder below the repository, empty where they are the same.
    places : tuple of str
        Paths below the repository of folders outside the root folder that pytest was given.
    top : Path
        The repository's top folder, to see which of them holds a file.
    """

    prefix: str = ""
    places: tuple[str, ...] = ()
    top: Path = Path()

    def case_id(self, node_id: str) -> str:
        """Return the case id: the node id below the root of the repository, as valid text."""
        file, mark, rest = _storable(node_id).partition("::")
        return self._shift(file) + mark + rest

    def node_id(self, case_id: str) -> str:
        """Return the node id of a case id, for cases below pytest's root folder and beside it."""
        file, mark, rest = case_id.partition("::")
        inside = not self.prefix or file.startswith(f"{self.prefix}/")
        place = next((p for p in self.places if not inside and file.startswith(f"{p}/")), None)
        if place is not None:
            return file.removeprefix(f"{place}/") + mark + rest
        if self.prefix and file:
            file = os.path.relpath(file, self.prefix).replace(os.sep, "/")
        return file + mark + rest

    def _shift(self, file: str) -> str:
        if not self.prefix or not file or file.startswith("/"):
            return file
        usual = os.path.normpath(f"{self.prefix}/{file}").replace(os.sep, "/")
        if self.places and not (self.top / usual).exists():
            found = (f"{p}/{file}" for p in self.places if (self.top / p / file).exists())
            return next(found, usual)
        return usual


def places_of(folders: Iterable[str], top: Path) -> tuple[str, ...]:
    """Return folders as paths below the repository, without those outside it."""
    paths = [Path(folder).resolve() for folder in folders]
    return tuple(p.relative_to(top).as_posix() for p in paths if p != top and top in p.parents)


def _storable(text: str) -> str:
    """Escape lone surrogates, which no table can hold."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


@dataclass(slots=True)
class Workplace:
    """Where the run takes place: repository, store, and what CI and git say of it.

    ``doubt`` says why no order is to be trusted: there is a repository, and what changed in it is
    unknown. Where there is no repository, the order follows from history alone.
    """

    root: Path
    repo: Path | None
    settings: Settings
    url: str
    here: Here
    store: Store | None
    names: Names
    doubt: str = ""

    def open_store(self) -> Store:
        """Open the store to write to; a new one is made."""
        from testopt.store import Store

        return Store.open(
            self.url,
            create=True,
            compact_files=self.settings.compact_files,
            retention_days=self.settings.retention_days,
        )


def find_workplace(
    root: Path, *, base: str = "", store: str = "", folders: Iterable[str] = ()
) -> Workplace:
    """Look at the repository, the CI system and the store.

    Parameters
    ----------
    root : Path
        pytest's root folder.
    base, store : str
        Revision to compare with, and store, where the user named them.
    folders : iterable of str
        What pytest was given outside its root folder.

    Raises
    ------
    TestoptError
        For unusable settings, an unknown base, or a damaged store.
    """
    from testopt.settings import Settings

    root = root.resolve()
    repo, trouble = _repository(root)
    top = repo or _marked(root) or root
    settings = Settings.load(top, overrides={"store": store or None})
    url = settings.store_url(top)
    opened = _open(url)
    here = _here(repo, opened, base, trouble)
    doubtful = not here.change.known and _marked(root) is not None
    return Workplace(
        root=root,
        repo=repo,
        settings=settings,
        url=url,
        here=here,
        store=opened,
        names=Names(_prefix(root, top), places_of(folders, top.resolve()), top),
        doubt=f"the change is unknown: {here.change.why}" if doubtful else "",
    )


def _here(repo: Path | None, store: Store | None, base: str, trouble: str) -> Here:
    """Find the run at hand; a base that does not exist makes its change unknown."""
    from testopt.context import RunOptions, find_here
    from testopt.schema import Change

    change = Change(known=False, why=trouble) if repo is None else None
    options = RunOptions(base=base or None)
    try:
        return find_here(repo, store=store, options=options, change=change)
    except RevisionError as error:
        unknown = Change(known=False, why=error.message)
        return find_here(repo, store=store, options=options, change=unknown)


def _repository(root: Path) -> tuple[Path | None, str]:
    """Return the repository around a folder, or why there is none."""
    from testopt.sources.git import find_root

    try:
        return find_root(root, timeout=_GIT_S), ""
    except RepositoryError as error:
        return None, str(error.__cause__ or error)


def _marked(root: Path) -> Path | None:
    """Return the top of the repository around a folder, whether or not git can be asked."""
    return next((p for p in (root, *root.parents) if (p / ".git").exists()), None)


def _prefix(root: Path, top: Path) -> str:
    if not root.is_relative_to(top.resolve()):
        return ""
    path = root.relative_to(top.resolve()).as_posix()
    return "" if path == "." else path


def _open(url: str) -> Store | None:
    """Open the store to read from; None where there is none yet."""
    from testopt.store import Store

    try:
        return Store.open(url)
    except EmptyStoreError:
        return None


def _recent_runs(store: Store | None, *filters: tuple[str, str, Any]) -> list[dict[str, Any]]:
    """Return run_id and commit of real runs, the last one first."""
    if store is None:
        return []
    where = [("kind", "==", "real"), *filters]
    rows = store.read("runs", columns=["run_id", "commit", "time"], where=where)
    found: list[dict[str, Any]] = rows.sort_by([("time", "descending")]).to_pylist()
    return found


def known_cases(store: Store | None, job: str, *, runs: int = _RECENT_RUNS) -> list[str]:
    """Return the cases of the last runs of a job, else of any job, sorted."""
    found = _recent_runs(store, ("job", "==", job)) or _recent_runs(store)
    recent = [run["run_id"] for run in found[:runs]]
    if store is None or not recent:
        return []
    from testopt.snapshot import cases_of

    return cases_of(store, recent)
