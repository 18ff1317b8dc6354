"""The child process behind the pytest plugin: JSON lines in, JSON lines out.

Requests, in this order; those marked with an arrow are answered by an object whose ``re`` is the
name of the request, with ``error`` (one line) where it could not be met:

``start``    protocol, mode, root (pytest's root folder), base, store, each
``plan``     -> ids (node ids, duplicates allowed): rank, probability, cost of each, note, degraded
``known``    -> ids of the known cases in the order in which they should run, and the same
``results``  rows of node id, outcome, seconds, message or None, worker
``end``      -> complete: writes the run to the store; note

An end of the input without ``end`` leaves nothing behind: a crash of pytest records no half run.
While pytest collects, the engine reads git and opens the store. It ends with its input, and
also when pytest has gone and its forked children still hold the pipe.
"""

from __future__ import annotations

import json
import os
import select
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from testopt.errors import EmptyStoreError, RepositoryError, RevisionError, TestoptError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from testopt.ingest.context import RunContext
    from testopt.schema import Change, Plan, Result
    from testopt.settings import Settings
    from testopt.snapshot import Sources
    from testopt.store import Store

PROTOCOL: Final = 1
_RECENT_RUNS: Final = 5  # their cases are the known ones
_WATCH_S: Final = 5.0
_CHUNK: Final = 1 << 20
_MAX_ATTEMPT: Final = 32_767
_WORST_FIRST: Final = ("failed", "error", "passed", "skipped")


@dataclass(frozen=True, slots=True)
class Names:
    """Translates node ids, relative to pytest's root folder, to case ids and back.

    Parameters
    ----------
    prefix : str
        Path of pytest's root folder below the repository, empty where they are the same.
    """

    prefix: str = ""

    def case_id(self, node_id: str) -> str:
        """Return the case id: the node id below the root of the repository, as valid text."""
        file, mark, rest = _storable(node_id).partition("::")
        return self._shift(file) + mark + rest

    def node_id(self, case_id: str) -> str:
        """Return the node id of a case id, for cases below pytest's root folder and beside it."""
        file, mark, rest = case_id.partition("::")
        if self.prefix and file:
            file = os.path.relpath(file, self.prefix).replace(os.sep, "/")
        return file + mark + rest

    def _shift(self, file: str) -> str:
        if not self.prefix or not file or file.startswith("/"):
            return file
        return os.path.normpath(f"{self.prefix}/{file}").replace(os.sep, "/")


def _storable(text: str) -> str:
    """Escape lone surrogates, which no table can hold."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


@dataclass(slots=True)
class Workplace:
    """Where the run takes place: repository, store, and what CI and git say of it."""

    root: Path
    repo: Path | None
    settings: Settings
    url: str
    context: RunContext
    change: Change
    commit: str | None
    branch: str | None
    store: Store | None
    names: Names
    is_fork: bool
    ci_run: str | None
    began: datetime

    def open_store(self) -> Store:
        """Open the store to write to; a new one is made."""
        from testopt.store import Store

        return Store.open(
            self.url,
            create=True,
            compact_files=self.settings.compact_files,
            retention_days=self.settings.retention_days,
        )


def find_workplace(root: Path, *, base: str = "", store: str = "") -> Workplace:
    """Look at the repository, the CI system and the store.

    Parameters
    ----------
    root : Path
        pytest's root folder.
    base, store : str
        Revision to compare with, and store, where the user named them.

    Raises
    ------
    TestoptError
        For unusable settings, an unknown base, or a damaged store.
    """
    from testopt.ingest.context import RunContext, RunOptions
    from testopt.schema import Change
    from testopt.settings import Settings
    from testopt.sources.change import find_change
    from testopt.sources.ci import ci_context
    from testopt.sources.git import find_root

    began = datetime.now(UTC)
    root = root.resolve()
    change, repo = None, None
    try:
        repo = find_root(root)
    except RepositoryError as error:
        change = Change(known=False, why=error.message)
    ci = ci_context()
    settings = Settings.load(repo or root, overrides={"store": store or None})
    url = settings.store_url(repo or root)
    context = RunContext(repo=repo, options=RunOptions(base=base or None), ci=ci)
    commit, branch = context.commit_at(began)
    opened = _open(url)
    if change is None and repo is not None:
        previous = _previous_commit(opened, context.job, branch)
        try:
            change = find_change(repo, base=base or None, ci=ci, previous=previous)
        except RevisionError as error:
            change = Change(known=False, why=error.message)
    return Workplace(
        root=root,
        repo=repo,
        settings=settings,
        url=url,
        context=context,
        change=change or Change(known=False),
        commit=commit,
        branch=branch,
        store=opened,
        names=Names(_prefix(root, repo)),
        is_fork=bool(ci and ci.is_fork),
        ci_run=ci.run if ci else None,
        began=began,
    )


def _prefix(root: Path, repo: Path | None) -> str:
    if repo is None or not root.is_relative_to(repo.resolve()):
        return ""
    path = root.relative_to(repo.resolve()).as_posix()
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


def _previous_commit(store: Store | None, job: str, branch: str | None) -> str | None:
    if branch is None:
        return None
    runs = _recent_runs(store, ("job", "==", job), ("branch", "==", branch))
    return next((run["commit"] for run in runs if run["commit"]), None)


def known_cases(store: Store | None, job: str) -> list[str]:
    """Return the cases of the last runs of a job, else of any job, sorted."""
    runs = _recent_runs(store, ("job", "==", job)) or _recent_runs(store)
    recent = [run["run_id"] for run in runs[:_RECENT_RUNS]]
    if store is None or not recent:
        return []
    rows = store.read("results", columns=["case_id"], where=[("run_id", "in", recent)])
    found: list[str] = rows.column("case_id").unique().to_pylist()
    return sorted(found)


def results_of(rows: Sequence[Sequence[Any]], names: Names, *, each: bool = False) -> list[Result]:
    """Make results of the rows that the plugin sent.

    Rows of the same case are its attempts, in order of arrival. With `each` every worker ran every
    case: the worst outcome counts, once.
    """
    from testopt.schema import Result, digest

    found: dict[str, list[Result]] = {}
    for node_id, outcome, seconds, message, _ in rows:
        case_id = names.case_id(node_id)
        attempts = found.setdefault(case_id, [])
        result = Result(
            case_id=case_id,
            outcome=outcome,
            duration_s=seconds,
            attempt=min(len(attempts) + 1, _MAX_ATTEMPT),
            file=case_id.partition("::")[0],
            message=None if message is None else digest(message),
        )
        if each and attempts:
            worst = min(attempts[0], result, key=lambda r: _WORST_FIRST.index(r.outcome))
            attempts[0] = _as_first(worst)
        else:
            attempts.append(result)
    return [result for attempts in found.values() for result in attempts[:_MAX_ATTEMPT]]


def _as_first(result: Result) -> Result:
    from dataclasses import replace

    return replace(result, attempt=1)


@dataclass(slots=True)
class Engine:
    """One run of pytest as the engine sees it: takes requests, gives answers."""

    done: bool = False
    _place: Workplace | None = None
    _trouble: str = ""
    _plan: Plan | None = None
    _sources: Sources | None = None
    _mode: str = ""
    _each: bool = False
    _rows: list[list[Any]] = field(default_factory=list)

    def handle(self, request: Mapping[str, Any]) -> dict[str, Any] | None:
        """Take a request and return its answer, or None for one that has none."""
        name = str(request.get("op"))
        steps = {
            "start": self._start,
            "plan": self._plan_ids,
            "known": self._plan_known,
            "results": self._results,
            "end": self._end,
        }
        try:
            if name not in steps:
                raise UsageError(f"unknown request {name!r}")
            answer = steps[name](request)
        except TestoptError as error:
            hint = f" ({error.hint})" if error.hint else ""
            answer = {"error": error.message + hint}
        if name in {"start", "results"}:
            self._trouble = self._trouble or str((answer or {}).get("error", ""))
            return None
        return {"re": name, **(answer or {})}

    def _start(self, request: Mapping[str, Any]) -> None:
        if request.get("protocol") != PROTOCOL:
            raise UsageError(
                f"the plugin speaks protocol {request.get('protocol')}, the engine {PROTOCOL}",
                "use the same version of testopt for both",
            )
        from testopt.store.light import leave_pandas_out

        leave_pandas_out()
        self._mode, self._each = str(request["mode"]), bool(request.get("each"))
        self._place = find_workplace(
            Path(request["root"]), base=request.get("base", ""), store=request.get("store", "")
        )
        if self._mode != "record":
            from testopt import plan  # noqa: F401 - imported while pytest collects

    def _where(self) -> Workplace:
        if self._place is None:
            raise UsageError(self._trouble or "the engine was not started")
        return self._place

    def _plan_ids(self, request: Mapping[str, Any]) -> dict[str, Any]:
        place = self._where()
        ids = [place.names.case_id(i) for i in request["ids"]]
        planned = {case.case_id: case for case in self._make_plan(list(dict.fromkeys(ids)))}
        by_rank = sorted(range(len(ids)), key=lambda i: planned[ids[i]].rank)
        rank = [0] * len(ids)
        for number, index in enumerate(by_rank):
            rank[index] = number
        return {
            "rank": rank,
            "probability": [planned[i].probability for i in ids],
            "cost": [planned[i].cost_s for i in ids],
            **self._word(),
        }

    def _plan_known(self, request: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002 - as all
        place = self._where()
        known = known_cases(place.store, place.context.job)
        if not known:
            return {"degraded": True, "note": "no cases are known yet; record a run first"}
        cases = sorted(self._make_plan(known), key=lambda case: case.rank)
        return {
            "ids": [place.names.node_id(case.case_id) for case in cases],
            "probability": [case.probability for case in cases],
            "cost": [case.cost_s for case in cases],
            **self._word(),
        }

    def _make_plan(self, cases: list[str]) -> Sequence[Any]:
        from testopt import plan
        from testopt.snapshot import Sources

        place = self._where()
        if self._sources is None and place.repo is not None:
            self._sources = Sources(place.repo, place.store)
        self._plan = plan.plan(
            cases=cases,
            change=place.change,
            store=place.store,
            job=place.context.job,
            branch=place.branch,
            now=place.began,
            sources=self._sources,
        )
        return self._plan.cases

    def _word(self) -> dict[str, Any]:
        """Return how the plan came about, for the user's eyes."""
        place, plan = self._where(), self._plan
        text = plan.note if plan else ""
        if not place.change.known and place.change.why not in text:
            text = f"{text}; the change is unknown: {place.change.why}".lstrip("; ")
        degraded = bool(plan and plan.degraded)
        return {"note": text, "degraded": degraded, "doubtful": not place.change.known}

    def _results(self, request: Mapping[str, Any]) -> None:
        self._rows += request["rows"]

    def _end(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self.done = True
        place = self._where()
        if place.is_fork:
            return {"note": "runs of forks are not recorded"}
        from testopt.ingest import record

        store = place.open_store()
        made = self._record(place, complete=bool(request.get("complete")))
        record(store=store, record=made)
        if self._sources is not None:
            self._sources.keep()
        return {"note": f"{len(made.results)} results recorded in {self._short(place)}"}

    def _record(self, place: Workplace, *, complete: bool) -> Any:
        from uuid import uuid4

        from testopt.schema import Run, RunRecord

        # Several runs of pytest share one job of CI, so its number alone is no identity.
        unique = uuid4().hex
        results = results_of(self._rows, place.names, each=self._each)
        run = Run(
            run_id=f"{place.ci_run}/{unique[:12]}" if place.ci_run else unique,
            time=place.began,
            job=place.context.job,
            commit=place.commit,
            base=place.change.base,
            branch=place.branch,
            source="pytest",
            duration_s=(datetime.now(UTC) - place.began).total_seconds(),
            complete=complete,
        )
        ran = {result.case_id for result in results}
        return RunRecord(run, results, place.change, self._predictions(ran))

    def _predictions(self, ran: set[str]) -> list[dict[str, Any]]:
        if self._plan is None:
            return []
        return [
            {
                "case_id": case.case_id,
                "probability": case.probability,
                "rank": case.rank,
                "selected": case.selected,
                "executed": case.case_id in ran,
                "reason": case.reason,
                "policy": f"{self._plan.policy} {self._mode}",
            }
            for case in self._plan.cases
        ]

    @staticmethod
    def _short(place: Workplace) -> str:
        """Return the store's place, relative to the repository where it is inside."""
        with suppress(ValueError):
            return str(Path(place.url).relative_to(place.repo or place.root))
        return place.url


def serve(source: int, sink: int, parent: int) -> None:
    """Answer the requests that arrive on a pipe until it ends, or the run does.

    Parameters
    ----------
    source, sink : int
        File descriptors to read from and to write to.
    parent : int
        Process that must be alive; 0: not watched.
    """
    engine = Engine()
    for line in _lines(source, parent):
        answer = engine.handle(json.loads(line))
        if answer is not None:
            data = json.dumps(answer, separators=(",", ":")).encode("ascii") + b"\n"
            with open(sink, "wb", closefd=False) as out:
                out.write(data)
        if engine.done:
            return


def _lines(source: int, parent: int) -> Iterator[bytes]:
    """Yield the lines of a pipe; end with it, or with the process at its other end."""
    pieces: list[bytes] = []  # of a line that has not ended
    while True:
        if not select.select([source], [], [], _WATCH_S)[0]:
            if parent and not _alive(parent):
                return
            continue
        data = os.read(source, _CHUNK)
        if not data:
            return
        *whole, rest = data.split(b"\n")
        if whole:
            whole[0] = b"".join(pieces) + whole[0]
            pieces = []
        pieces.append(rest)
        yield from whole


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def main(argv: Sequence[str]) -> int:
    """Run the engine on stdin and stdout; ``--detach`` leaves the process that started it."""
    parent = 0
    if "--detach" in argv:
        parent = os.getppid()
        if os.fork():
            os._exit(0)
    sink = os.dup(1)
    os.dup2(2, 1)  # what a library prints must not meet the protocol
    with suppress(BrokenPipeError, KeyboardInterrupt):
        serve(0, sink, parent)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
