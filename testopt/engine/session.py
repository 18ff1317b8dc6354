"""A session of pytest as the engine sees it: repository, settings, store, ids, pending run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from testopt.engine.node_ids import NodeIds, places_of
from testopt.errors import EmptyStoreError, RepositoryError, RevisionError
from testopt.reasons import Reason, ReasonKind

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from testopt.errors import SettingsError, TestoptError
    from testopt.git.pending_run import PendingRun
    from testopt.settings import Settings
    from testopt.store import Store

_GIT_S: Final = 4.0  # a git that takes longer to say where it is hangs


@dataclass(frozen=True, slots=True)
class PytestSession:
    """A session of pytest.

    Attributes
    ----------
    root : Path
        pytest's root folder.
    settings : Settings
    store_url : str
    store : Store or None
        None where there is none yet.
    run : PendingRun
    node_ids : NodeIds
    no_order : Reason, optional
        Why no order is to be trusted: what is asked for cannot be understood, or there is a
        repository, and what changed in it is unknown. Where there is no repository, the order
        follows from history alone.
    """

    root: Path
    settings: Settings
    store_url: str
    store: Store | None
    run: PendingRun
    node_ids: NodeIds
    no_order: Reason | None = None

    def open_store(self) -> Store:
        """Open the store to write to; a new one is made."""
        from testopt.store import Store

        return Store.open(
            self.store_url,
            create=True,
            compact_files=self.settings.compact_files,
            retention_days=self.settings.retention_days,
        )


def find_session(
    root: Path, *, base: str = "", store: str = "", folders: Iterable[str] = ()
) -> PytestSession:
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
        For settings that leave it open where the store is, or a damaged store.
    """
    from testopt.git.project import project_name
    from testopt.settings import Settings

    root = root.resolve()
    repo, trouble = _repository(root)
    top = repo or _marked(root) or root
    wrong: list[SettingsError] = []
    settings = Settings.load(top, overrides={"store": store or None}, on_wrong=wrong.append)
    url = settings.store_url(top, partial(project_name, repo))
    opened = _open(url)
    run = _pending_run(repo, opened, base, trouble)
    no_order = in_the_way(wrong[0]) if wrong else None
    if not wrong and not run.change.known and _marked(root) is not None:
        no_order = Reason(ReasonKind.CHANGE_UNKNOWN, (run.change.why,))
    return PytestSession(
        root=root,
        settings=settings,
        store_url=url,
        store=opened,
        run=run,
        node_ids=NodeIds(_prefix(root, top), places_of(folders, top.resolve()), top),
        no_order=no_order,
    )


def in_the_way(error: TestoptError) -> Reason:
    """Return an error as the reason why there is no order."""
    return Reason(ReasonKind.TROUBLE, (told(error),))


def told(error: TestoptError) -> str:
    """Return an error and what to do about it in one line."""
    return error.message + (f" ({error.hint})" if error.hint else "")


def _pending_run(
    repo: Path | None, store: Store | None, base: str, no_repository: str
) -> PendingRun:
    """Find the run at hand; a base that does not exist makes its change unknown."""
    from testopt.git.ci_job import ci_job
    from testopt.git.pending_run import find_pending_run
    from testopt.git.run_identity import RunIdentity
    from testopt.schema import Change

    change = Change(known=False, why=no_repository) if repo is None else None
    identity = RunIdentity(repo=repo, base=base or None, ci=ci_job())
    try:
        return find_pending_run(identity, store=store, change=change)
    except RevisionError as error:
        unknown = Change(known=False, why=error.message)
        return find_pending_run(identity, store=store, change=unknown)


def _repository(root: Path) -> tuple[Path | None, str]:
    """Return the repository around a folder, or why there is none."""
    from testopt.git.process import find_root

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
