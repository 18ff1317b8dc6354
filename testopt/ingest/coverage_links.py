"""Appends coverage links: which case ran which lines of which file, at which commit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from testopt.errors import InputFileError, TestoptError
from testopt.git.process import is_bare, run_git
from testopt.ingest.junit_runs import case_resolver
from testopt.results.coverage import CoverageData, ranges, read_coverage
from testopt.results.junit import Suite
from testopt.schema import LINK_OUTSIDE, LINK_SET_UP, arrow_schema, digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa

    from testopt.git.run_identity import RunIdentity
    from testopt.results.case_resolver import CaseResolver
    from testopt.store import Store

_PHASES: Final = frozenset({"setup", "run", "teardown"})
_ROWS_PER_COMMIT: Final = 500_000
_FOREIGN: Final = ("site-packages/", "dist-packages/", "lib/python")


@dataclass(frozen=True, slots=True)
class CoverageFile:
    """What became of one file: cases, links of a case and a file; ``rejected`` says why not."""

    path: str
    cases: int = 0
    links: int = 0
    new: bool = False
    unknown_contexts: int = 0
    rejected: str | None = None


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
    links = _Links(case_resolver(identity), identity.repo, commit, now)
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


class _Links:
    """Makes rows of coverage data, all of one commit and moment."""

    def __init__(
        self, resolver: CaseResolver, repo: Path | None, commit: str | None, seen: datetime
    ) -> None:
        self._resolver, self._commit, self._seen = resolver, commit, seen
        self._root = str(repo.resolve()) + "/" if repo is not None else None

    def append(self, store: Store, path: Path) -> CoverageFile:
        """Append the links of one file."""
        data = read_coverage(path)
        cases = [self._cases(name) for name in data.contexts]
        files = [self._file(name) for name in data.files]
        lines = _lines_by_case(data, cases, files)
        if not lines:
            raise InputFileError(
                f"{path} covers no file of the repository", "measure there, or name it with --repo"
            )
        cases_measured = {case for cases_of_context in cases for case in cases_of_context} - {
            LINK_SET_UP,
            LINK_OUTSIDE,
        }
        rows = [("", case) for case in sorted(cases_measured)] + sorted(lines)
        key = digest(f"{data.digest}\0{self._commit}")
        new = False
        for start in range(0, len(rows), _ROWS_PER_COMMIT):
            part = self._table(rows[start : start + _ROWS_PER_COMMIT], lines)
            new |= bool(store.append("links", {f"coverage-{key}#{start}": part}))
        unknown = sum(not cases_of_context for cases_of_context in cases)
        return CoverageFile(str(path), len(cases_measured), len(lines), new, unknown)

    def _table(
        self, rows: list[tuple[str, str]], lines: dict[tuple[str, str], bytearray]
    ) -> pa.Table:
        import pyarrow as pa

        schema = arrow_schema("links")
        columns = {
            "case_id": [case for _, case in rows],
            "path": [path for path, _ in rows],
            "lines": [ranges(lines[row]) if row[0] else None for row in rows],
            "commit": [self._commit] * len(rows),
            "seen": [self._seen] * len(rows),
        }
        return pa.table([pa.array(columns[f.name], f.type) for f in schema], schema=schema)

    def _cases(self, context: str) -> list[str]:
        """Return the case that a context stands for, and where the lines count besides."""
        if not context:
            return [LINK_OUTSIDE]
        name, bar, phase = context.rpartition("|")
        if not bar or phase not in _PHASES:
            name, phase = context, "run"
        # a static context of the whole run may stand before that of the case
        case = self._case(name) or self._case(name.rpartition("|")[2])
        if not case:
            return []
        return [case] if phase == "run" else [case, LINK_SET_UP]

    def _case(self, name: str) -> str:
        """Return the id of a case by its node id, or by its dotted name; empty: it is none."""
        if "::" in name:
            path, _, rest = name.partition("::")
            head, bracket, parameters = rest.partition("[")
            owner, _, last = head.rpartition("::")
            module = path.removesuffix(".py").replace("/", ".")
            owner = ".".join(filter(None, [module, owner.replace("::", ".")]))
            last += bracket + parameters
        else:
            owner, _, last = name.rpartition(".")
            if not owner or not name.replace(".", "_").isidentifier():
                return ""
        case, file = self._resolver.resolve({"classname": owner, "name": last}, Suite())
        return case if file is not None else name if "::" in name else ""

    def _file(self, name: str) -> str:
        """Return the path of a measured file within the repository; empty: it is outside."""
        name = name.replace("\\", "/")
        if self._root is not None and name.startswith(self._root):
            return name[len(self._root) :]
        if not name.startswith("/") and name[1:2] != ":":
            return name.removeprefix("./")
        if any(part in name for part in _FOREIGN):
            return ""
        return self._resolver.relative_path(name) or ""


def _lines_by_case(
    data: CoverageData, cases: list[list[str]], files: list[str]
) -> dict[tuple[str, str], bytearray]:
    """Return the lines by path and case."""
    merged = CoverageData("")
    names: dict[str, int] = {}
    paths: dict[str, int] = {}
    for context, file, bits in _pairs(data):
        for case in cases[context] if files[file] else ():
            at = names.setdefault(case, len(names)), paths.setdefault(files[file], len(paths))
            merged.add(*at, bits)
    by_case, by_path = list(names), list(paths)
    return {(by_path[p], by_case[c]): bits for (c, p), bits in merged.lines.items() if any(bits)}


def _pairs(data: CoverageData) -> Iterator[tuple[int, int, bytes]]:
    for context, file in list(data.lines):
        yield context, file, bytes(data.lines.pop((context, file)))
