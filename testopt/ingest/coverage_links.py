"""Appends coverage links: which case ran which lines of which file, at which commit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from testopt.errors import InputFileError, TestoptError
from testopt.git.process import is_bare, run_git
from testopt.impact.coverage_rows import CoverageFile, CoverageLinks
from testopt.ingest.junit_runs import case_resolver

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from testopt.git.run_identity import RunIdentity
    from testopt.store import Store


@dataclass(frozen=True, slots=True)
class CoverageReport:
    """What an ingestion did, by file."""

    files: tuple[CoverageFile, ...]
    commit: str | None
    warnings: tuple[str, ...] = ()


def ingest_coverage(
    *,
    store: Store,
    paths: Sequence[str],
    identity: RunIdentity,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> CoverageReport:
    """Read coverage data and append what each case ran.

    Parameters
    ----------
    store : Store
        Where to.
    paths : sequence of str
        `.coverage` files or JSON reports; of a folder, its `.coverage` files.
    identity : RunIdentity
        Knows the repository and the commit at which was measured.
    progress : callable
        Receives the numbers of files done and found.

    Returns
    -------
    CoverageReport
        A file that cannot be read is reported, and the others are kept.

    Raises
    ------
    StoreError
        When the store cannot be written.
    """
    now = datetime.now(UTC)
    commit = _commit(identity, now)
    links = CoverageLinks(case_resolver(identity), identity.repo, commit, now)
    files = [file for path in paths for file in _files(Path(path))]
    reports = []
    for done, path in enumerate(files, 1):
        try:
            reports.append(links.append(store, path))
        except InputFileError as error:
            hint = f" ({error.hint})" if error.hint else ""
            reports.append(CoverageFile(str(path), rejected=error.message + hint))
        progress(done, len(files))
    return CoverageReport(tuple(reports), commit, tuple(dict.fromkeys(identity.warnings)))


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    data_files = sorted(
        p for p in path.rglob(".coverage*") if p.is_file() and p.name != ".coveragerc"
    )
    return data_files or [path / ".coverage"]


def _commit(identity: RunIdentity, now: datetime) -> str | None:
    """Return the commit that was measured; None where changed files make that untrue."""
    commit, _ = identity.commit_at(now)
    if identity.commit is not None or identity.repo is None or commit is None:
        return commit
    try:
        dirty = run_git(identity.repo, "diff", "--name-only", commit, "--", "*.py")
    except TestoptError as error:
        if is_bare(identity.repo):
            return commit  # there are no files that could differ
        identity.warnings.append(
            f"whether Python files differ from the commit is unknown, so the coverage can order "
            f"cases but leave none out: {error.message}"
        )
        return None
    if dirty.strip():
        identity.warnings.append(
            "Python files differ from the commit, so the coverage can order cases but leave none "
            "out; commit first, or name what was measured with --commit"
        )
        return None
    return commit
