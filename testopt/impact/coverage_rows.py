"""Makes the rows of coverage: which case ran which lines of which file, at which commit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from testopt.errors import InputFileError
from testopt.results.coverage import CoverageData, ranges, read_coverage
from testopt.results.junit import Suite
from testopt.schema import LINK_OUTSIDE, LINK_SET_UP, arrow_schema, digest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    import pyarrow as pa

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


class CoverageLinks:
    """Appends what cases ran, all of one commit and moment.

    Parameters
    ----------
    resolver : CaseResolver
        Knows the files of the commit.
    repo : Path or None
        Folder in which was measured.
    commit : str or None
        At which was measured; None where files had changed since.
    seen : datetime
        When it counts as known.
    """

    def __init__(
        self, resolver: CaseResolver, repo: Path | None, commit: str | None, seen: datetime
    ) -> None:
        self._resolver, self._commit, self._seen = resolver, commit, seen
        self._root = str(repo.resolve()) + "/" if repo is not None else None

    def append(self, store: Store, path: Path) -> CoverageFile:
        """Append the links of one file of coverage data.

        Raises
        ------
        InputFileError
            When it cannot be read, or tells nothing of the repository.
        StoreError
            When the store cannot be written.
        """
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
