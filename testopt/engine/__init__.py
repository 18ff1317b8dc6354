"""The child process behind the pytest plugin: JSON lines in, JSON lines out.

Requests, in this order; those marked with an arrow are answered by an object whose ``re`` is the
name of the request, with ``error`` (one line) where it could not be met:

``start``    protocol, mode, root (pytest's root folder), folders (given outside it), base, store,
             each, selection (recall, case_recall, budget, fraction, shard, as the user wrote them),
             placed (parts of classes and functions that do not follow from their names)
``plan``     -> ids (node ids, duplicates allowed), required (positions of those that are never
             left out): rank, level (cases of one are worth about the same), probability, cost,
             run (1 or 0; absent: all run) of each; note, details (lines for who wants to know
             more), lines (what may be left out and why); or degraded, and fell_back (why the
             original order stays)
``known``    -> ids of the known cases in the order in which they should run, and the same
``results``  rows of node id, outcome, seconds, message or None, worker
``end``      -> complete, mode, fell_back (why the order asked for was not used, or ""), first (ids
             of the cases that came first): writes the run to the store; note, first (why each of
             them did: reasons in words)

An end of the input without ``end`` leaves nothing behind: a crash of pytest records no half run.
While pytest collects, the engine reads git, opens the store and plans for the cases of the last
run, which are mostly those that it is then asked for. What a later plan wants to find at hand it
makes when pytest no longer waits.
"""

from __future__ import annotations

from bisect import bisect_right
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from testopt.engine.results import results_of, texts_of, uncollected_of
from testopt.engine.selection_request import SelectionRequest
from testopt.engine.session import PytestSession, find_session, in_the_way, told
from testopt.errors import EmptyStoreError, TestoptError, UsageError
from testopt.pluralize import pluralize
from testopt.reasons import Reason, ReasonKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from testopt.doctor import Health
    from testopt.git.tested_tree import TestedTree
    from testopt.plan.shards import Parts
    from testopt.schema import Plan, RunRecord
    from testopt.similarity.case_sources import Sources
    from testopt.store import Store

__all__ = ["PROTOCOL", "Engine"]

PROTOCOL: Final = 4
_MOST_ROWS: Final = 200_000  # results that the doctor reads in 0.2 s, while pytest collects


@dataclass(slots=True)
class Engine:
    """One run of pytest as the engine sees it: takes requests, gives answers."""

    done: bool = False
    _session: PytestSession | None = None
    _trouble: str = ""
    _plan: Plan | None = None
    _early_plan: Plan | None = None
    _sources: Sources | None = None
    _health: Health | None = None
    _mode: str = ""
    _placed: dict[str, int] = field(default_factory=dict)
    _request: SelectionRequest = field(default_factory=SelectionRequest)
    _run_key: str = field(default_factory=lambda: uuid4().hex)
    _dist_each: bool = False
    _rows: list[list[Any]] = field(default_factory=list)
    _tested: TestedTree | None = None
    _recorded: tuple[Store, int, int] | None = None  # where to, runs, results

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
            answer = {"error": told(error)}
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
        from testopt.store.process_tuning import skip_pandas, tune_garbage_collector

        tune_garbage_collector()
        skip_pandas()
        self._placed = dict(request.get("placed") or {})
        self._mode, self._dist_each = str(request["mode"]), bool(request.get("each"))
        self._session = find_session(
            Path(request["root"]),
            base=request.get("base", ""),
            store=request.get("store", ""),
            folders=request.get("folders", ()),
        )
        try:
            self._request = SelectionRequest.parse(self._mode, request.get("selection") or {})
        except UsageError as error:  # the run is recorded all the same
            self._session = replace(self._session, no_order=in_the_way(error))
        if self._mode != "record":
            self._session = self._check_surroundings(self._session)

    def _check_surroundings(self, session: PytestSession) -> PytestSession:
        """Import what a plan needs, and look for what stands in its way, while pytest collects."""
        import testopt.plan.inputs
        import testopt.plan.planner  # noqa: F401
        from testopt.doctor import check_health

        self._health = check_health(
            repo=session.run.repo,
            store=session.store,
            no_repo=session.run.change.why if session.run.repo is None else "",
            most_rows=_MOST_ROWS,
            now=session.run.began,
        )
        clock = next((f.message for f in self._health.findings if f.slug == "clock"), "")
        trouble = clock or _no_room(session)
        if session.no_order is None and trouble:
            return replace(session, no_order=Reason(ReasonKind.TROUBLE, (trouble,)))
        return session

    def idle(self) -> None:
        """Do what need not wait until it is asked for, while nobody waits."""
        self.plan_ahead()
        if self._session is not None and (self._mode == "record" or self._plan is not None):
            self._read_tested_tree(self._session)

    def plan_ahead(self) -> None:
        """Plan for the cases of the last run, while nothing is asked; a guess that costs little."""
        session = self._session
        if session is None or self._mode == "record" or self._early_plan or self._plan:
            return
        from testopt.plan.known_cases import last_run_cases

        with suppress(TestoptError):  # it will be met again when the plan is asked for
            cases = last_run_cases(session.store, session.run.job)
            self._early_plan = self._plan_for(session, cases) if cases else None

    def update_caches(self) -> None:
        """Bring up to date what plans read, when the run is recorded and nobody waits."""
        if self._recorded is None:
            return
        from testopt.ingest import update_caches

        store, runs, results = self._recorded
        update_caches(store, runs=runs, results=results, sources=self._sources)
        if self._sources is not None:
            self._sources.keep()
        self._note_selection(store)

    def _note_selection(self, store: Store) -> None:
        """Log that the selection has begun or stopped to leave cases out, where it has."""
        from testopt.git.decider import who_decides
        from testopt.selection.plan_log import rules_of
        from testopt.selection.selection_log import log_selection

        session = self._current_session()
        with suppress(TestoptError):  # of a setting that is wrong
            log_selection(
                store, rules_of(session.settings), author=who_decides(session.run.repo),
                settings=session.settings.changed(),
            )  # fmt: skip

    def _current_session(self) -> PytestSession:
        if self._session is None:
            raise UsageError(self._trouble or "the engine was not started")
        return self._session

    def _plan_ids(self, request: Mapping[str, Any]) -> dict[str, Any]:
        node_ids = self._current_session().node_ids
        ids = [node_ids.case_id(i) for i in request["ids"]]
        required = [ids[i] for i in request.get("required", ())]
        plan = self._make_plan(list(dict.fromkeys(ids)), required)
        planned = {case.case_id: case for case in plan.cases}
        by_rank = sorted(range(len(ids)), key=lambda i: planned[ids[i]].rank)
        rank = [0] * len(ids)
        for number, index in enumerate(by_rank):
            rank[index] = number
        return {
            "rank": rank,
            "level": [bisect_right(plan.steps, planned[i].rank) for i in ids],
            "probability": [planned[i].probability + planned[i].lead for i in ids],
            "cost": [planned[i].cost_s for i in ids],
            **self._running(plan, ids),
            **self._origin(plan),
        }

    def _plan_known(self, request: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002 - as all
        from testopt.plan.known_cases import known_cases

        session = self._current_session()
        try:
            known = known_cases(session.store, session.run.repo, session.run.change).ids
        except EmptyStoreError:
            known = []
        if not known:
            return {"degraded": True, "fell_back": "no cases are known yet; record a run first"}
        plan = self._make_plan(known)
        cases = sorted(plan.cases, key=lambda case: case.rank)
        return {
            "ids": [session.node_ids.node_id(case.case_id) for case in cases],
            "level": [bisect_right(plan.steps, case.rank) for case in cases],
            "probability": [case.probability + case.lead for case in cases],
            "cost": [case.cost_s for case in cases],
            **self._running(plan, [case.case_id for case in cases]),
            **self._origin(plan),
        }

    def _running(self, plan: Plan, ids: Sequence[str]) -> dict[str, Any]:
        """Return which cases run, where some do not, and what there is to say of that."""
        if plan.degraded:
            return {}
        from testopt.report.plans import summary_lines

        runs = {case.case_id for case in plan.cases if case.runs}
        answer: dict[str, Any] = {"lines": summary_lines(plan)} if plan.promise is not None else {}
        if len(runs) < len(plan.cases):
            answer["run"] = [int(i in runs) for i in ids]
        return answer

    def _make_plan(self, cases: list[str], required: Sequence[str] = ()) -> Plan:
        ready = self._early_plan
        same = ready and not required and {c.case_id for c in ready.cases} == set(cases)
        if ready and same and not ready.degraded:
            self._plan = ready
        else:
            self._plan = self._plan_for(self._current_session(), cases, required)
        return self._plan

    def _plan_for(
        self, session: PytestSession, cases: list[str], required: Sequence[str] = ()
    ) -> Plan:
        from testopt import plan
        from testopt.plan.inputs import find_plan_inputs
        from testopt.selection.plan_log import rules_of

        selection = self._request.selection(session, run_id=self._run_key, required=required)
        if session.no_order is not None:
            return plan.original_order(cases, session.run.change, session.no_order, selection)
        inputs = find_plan_inputs(
            session.run, store=session.store, cases=cases, sources=self._sources
        )
        self._sources = inputs.sources
        rules = rules_of(session.settings)
        return plan.plan(inputs, strict=True, selection=selection, rules=rules)

    def _origin(self, plan: Plan) -> dict[str, Any]:
        """Return how the plan came about, and what makes it worse, for the user's eyes."""
        from testopt.reasons import words
        from testopt.report.plans import details, headline

        if plan.origin.fallback is not None:
            return {"fell_back": words(plan.origin.fallback), "degraded": True}
        health = self._health
        return {
            "note": "; ".join(filter(None, [headline(plan), health.line if health else ""])),
            "details": [*details(plan), *(health.messages if health else ())],
            "doubtful": not plan.change.known,
        }

    def _reasons_of(self, node_ids: Sequence[str]) -> list[list[str]]:
        """Return why each of some cases stands where it does, in words."""
        from testopt.reasons import words

        session = self._current_session()
        planned = {} if self._plan is None else {c.case_id: c for c in self._plan.cases}
        cases = [planned.get(session.node_ids.case_id(node_id)) for node_id in node_ids]
        return [[words(r) for r in case.reasons] if case else [] for case in cases]

    def _results(self, request: Mapping[str, Any]) -> None:
        self._rows += request["rows"]

    def _end(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self.done = True
        session = self._current_session()
        first = self._reasons_of(request.get("first") or ())
        if session.run.is_fork:
            return {"note": "runs of forks are not recorded", "first": first}
        store = session.open_store()
        record = self._record(session, store, request)
        self._recorded = store, store.append_runs([record]), len(record.results)
        note = f"{pluralize(len(record.results), 'result')} recorded in {self._short(session)}"
        if record.run.environment_failure:
            note += "; they look like a failure of the environment: nothing is learnt from them"
        return {"note": note, "first": first}

    def _record(
        self, session: PytestSession, store: Store, request: Mapping[str, Any]
    ) -> RunRecord:
        from testopt.ingest.environment import results_failure
        from testopt.ingest.tested_code import with_patches
        from testopt.schema import Run, RunRecord

        pending = session.run
        results = results_of(self._rows, session.node_ids, each=self._dist_each)
        tested = self._read_tested_tree(session)
        disturbed = results_failure(results, texts_of(self._rows), pending.change)
        # Several runs of pytest share one job of CI, so its number alone is no identity.
        unable, unknown = uncollected_of(self._rows, session, store, results)
        run = Run(
            run_id=f"{pending.ci_run}/{self._run_key[:12]}" if pending.ci_run else self._run_key,
            time=pending.began,
            job=pending.job,
            commit=pending.commit,
            base=pending.change.base,
            branch=pending.branch,
            source="pytest",
            duration_s=(datetime.now(UTC) - pending.began).total_seconds(),
            complete=bool(request.get("complete")) and not unknown,
            environment_failure=disturbed,
            pipeline_run=pending.ci_run,
            tree=tested.tree,
        )
        results += unable
        ran = list(dict.fromkeys(result.case_id for result in results))
        predictions = self._predictions(ran, request)
        return RunRecord(run, results, with_patches(pending.change, tested.patches), predictions)

    def _read_tested_tree(self, session: PytestSession) -> TestedTree:
        """Look at what is tested, once, and as soon as nobody waits: it may be edited later."""
        if self._tested is None:
            from testopt.git.tested_tree import TestedTree, read_tested_tree

            run = session.run
            base = run.change.base if run.change.head is None else None
            self._tested = (
                TestedTree() if run.repo is None else read_tested_tree(run.repo, base=base)
            )
        return self._tested

    def _predictions(
        self, ran: Sequence[str], request: Mapping[str, Any]
    ) -> Sequence[Mapping[str, Any]]:
        """Return the plan as rows; one that fell back says why, also where none was made."""
        from testopt.plan import original_order, prediction_rows

        plan, fell_back = self._plan, str(request.get("fell_back") or "")
        if plan is None:
            if not fell_back:
                return []
            why = Reason(ReasonKind.TROUBLE, (fell_back,))
            plan = original_order(ran, self._current_session().run.change, why)
        mode = "shadow" if plan.mode == "shadow" else str(request.get("mode") or self._mode)
        return prediction_rows(
            plan, mode=mode, executed=ran, fell_back=fell_back, parts=self._parts()
        )

    def _parts(self) -> Parts | None:
        """Return how the plugin divides the cases, where this run is a part of several."""
        if self._request.part is None:
            return None
        from testopt.parts import Division, node_unit
        from testopt.plan.shards import Parts

        node_id = self._current_session().node_ids.node_id
        division = Division(self._request.part[1], self._placed)
        return Parts(division, lambda case: node_unit(node_id(case)))

    @staticmethod
    def _short(session: PytestSession) -> str:
        """Return the store's place, relative to the repository where it is inside."""
        with suppress(ValueError):
            return str(Path(session.store_url).relative_to(session.run.repo or session.root))
        return session.store_url


def _no_room(session: PytestSession) -> str:
    """Say why the run cannot be recorded; empty where it can, or need not."""
    if session.store is None or session.run.is_fork:
        return ""
    try:
        session.store.check_room()
    except TestoptError as error:
        return error.message
    return ""
