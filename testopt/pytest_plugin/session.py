"""One run of pytest, alone or as the controller of xdist: asks for an order, sends the results."""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

from testopt.pytest_plugin import (
    DETAILS,
    FIRST,
    NOT_ORDERED,
    add_note,
    fail_open,
    note_left_out,
    note_more,
    notes,
)
from testopt.pytest_plugin.apply import (
    PlannedOrder,
    check_permutation,
    is_always,
    order_items,
    payload,
    replace_items,
)
from testopt.pytest_plugin.client import PROTOCOL, Client, EngineError, one_line
from testopt.pytest_plugin.groups import has_groups
from testopt.pytest_plugin.options import PluginOptions, read_options
from testopt.pytest_plugin.outstanding import Outstanding
from testopt.pytest_plugin.record import Recorder

if TYPE_CHECKING:
    from collections.abc import Generator

_BATCH = 2000  # rows that are sent together
_NOT_RECORDED = "not recorded"
_FIRST = 3  # cases of which it is said why they came first
_LATE_S = 2.0  # for the record, once an engine has timed out: 10,000 results took 0.4 to 1.0 s


def start(config: pytest.Config, mode: str) -> None:
    """Start the engine, which prepares itself while pytest collects, and register the hooks."""
    options = read_options(config, mode)
    if options.wrong:
        add_note(config, options.wrong, trouble=True, what=NOT_ORDERED)
    run = PytestRun(config, options)
    config.pluginmanager.register(run.outstanding, "testopt-outstanding")
    config.pluginmanager.register(run, "testopt-run")
    planner = _planner(config, run) if options.plans else None
    if planner is not None:
        config.pluginmanager.register(planner, "testopt-plan")


def _planner(config: pytest.Config, run: PytestRun) -> Planner | Distributor | None:
    dist = config.getoption("dist", "no")
    why = ""
    if dist == "each":
        why = "--dist each gives every case to every worker"
    elif config.getoption("stepwise", default=False):
        why = "--stepwise goes on where the last run stopped"
    if why:
        add_note(config, why, trouble=True, what=NOT_ORDERED)
        return None
    alone = getattr(config.option, "collectonly", False)  # xdist then starts no worker
    if dist != "no" and config.getoption("tx", None) and not alone:
        return Distributor(config, run)
    return Planner(config, run)


class PytestRun:
    """Records a run, and owns its engine."""

    def __init__(self, config: pytest.Config, options: PluginOptions) -> None:
        self.config, self.options = config, options
        self._recorder = Recorder(groups=has_groups(config))
        self.outstanding = Outstanding(config)
        self.left_out = 0  # cases
        self.follows = False  # the order that was planned, here and not in workers
        self.order: list[str] = []  # of the cases, as planned
        self._late = ""  # what an engine was waited for in vain
        self.client = self._engine("record" if options.wrong else options.mode)

    def _engine(self, mode: str) -> Client:
        client = Client(self.options.command)
        client.post(
            {
                "op": "start",
                "protocol": PROTOCOL,
                "mode": mode,
                "root": str(self.config.rootpath),
                "folders": _folders_outside(self.config),
                "base": self.options.base,
                "store": self.options.store,
                "each": self.config.getoption("dist", "no") == "each",
                "selection": dict(self.options.selection),
                "placed": getattr(
                    self.config.pluginmanager.get_plugin("testopt-part"), "placed", {}
                ),
            }
        )
        return client

    def ask_order(self, request: dict[str, Any]) -> dict[str, Any]:
        """Ask for an order. Where that breaks the engine, another one will record the run."""
        try:
            return self._ask(request)
        except EngineError:
            if not self.client.usable and not self.client.stuck:
                self.client = self._engine("record")
            raise

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Ask the engine; once one has timed out, the next is given little time."""
        limit = self.options.timeout_s
        try:
            return self.client.ask(request, min(limit, _LATE_S) if self._late else limit)
        except EngineError as error:
            if self.client.timed_out:
                self._late = self._late or str(error)
                raise EngineError(self._late) from None
            raise

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note the order, and let the engine detach itself before cases run."""
        if self.follows:
            self.order = [item.nodeid for item in session.items]
        fail_open(self.config, "", self.client.settle)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the report of one phase of one case."""
        fail_open(self.config, _NOT_RECORDED, self._add, report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Take the error of a file that cannot be collected."""
        if report.failed:
            fail_open(self.config, _NOT_RECORDED, self._recorder.add_collection, report)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Send what is left, and wait for the engine to write it."""
        nothing = exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED
        if nothing and self.left_out and not self.outstanding.planned:
            session.exitstatus = pytest.ExitCode.OK  # there were cases; none had to run
        without = fail_open(self.config, "", self._check_results, session, int(exitstatus)) or 0
        fail_open(self.config, _NOT_RECORDED, self._finish, session, int(exitstatus), without)

    def pytest_unconfigure(self) -> None:
        """End the engine in every case."""
        fail_open(self.config, "", self.client.close)

    def _add(self, report: pytest.TestReport) -> None:
        self._recorder.add(report)
        if len(self._recorder.rows) >= _BATCH:
            self._send()

    def _send(self) -> None:
        rows, self._recorder.rows = self._recorder.rows, []
        if rows and self.client.usable:
            self.client.post({"op": "results", "rows": rows})

    def _check_results(self, session: pytest.Session, exitstatus: int) -> int:
        """Say how many cases that were to run have no result, and return it."""
        if getattr(self.config.option, "collectonly", False):
            return 0
        done, count = self._recorder.done, self.outstanding.without(self._recorder.done)
        nothing = exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and self.outstanding.planned
        if count:
            why, is_trouble = self.outstanding.why(session, exitstatus)
            missing = f"{count} of {len(self.outstanding.expected)} cases without a result"
            text = f"{missing if done else 'no case has a result'}: {why}"
            green = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
            add_note(self.config, text, trouble=is_trouble or green)
        elif nothing:
            text = "nothing ran: what the plan kept was deselected after it"
            add_note(self.config, text, trouble=True)
        return count

    def _finish(self, session: pytest.Session, exitstatus: int, without: int) -> None:
        self._recorder.finish()
        if not self.client.usable:
            raise EngineError(self._late or "the engine has ended")
        nothing = not self._recorder.done and not self._recorder.rows
        if nothing or getattr(self.config.option, "collectonly", False):
            return
        self._send()
        stopped = bool(session.shouldstop or session.shouldfail)
        finished = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        first = list(islice(filter(self._recorder.done.__contains__, self.order), _FIRST))
        answer = self._ask(
            {
                "op": "end",
                "complete": finished and not stopped and not without,
                "mode": self.options.mode,
                "fell_back": _fell_back(self.config),
                "first": first,
            }
        )
        self.config.stash[FIRST] = _with_reasons(first, answer.get("first"))
        add_note(self.config, str(answer.get("note", "")))


class Planner:
    """Orders the cases of a run that is not distributed, and leaves some out."""

    def __init__(self, config: pytest.Config, run: PytestRun) -> None:
        self._config, self._run = config, run

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_collection_modifyitems(
        self, items: list[pytest.Item]
    ) -> Generator[None, object, object]:
        """Order what the other plugins have selected and ordered, and leave out some of it."""
        result = yield
        if items:
            fail_open(self._config, NOT_ORDERED, self._order, items)
        return result

    def _order(self, items: list[pytest.Item]) -> None:
        options = self._run.options
        required = [n for n, item in enumerate(items) if is_always(item)]
        ids = [item.nodeid for item in items]
        answer = self._run.ask_order({"op": "plan", "ids": ids, "required": required})
        _note_answer(self._config, options, answer)
        if answer.get("degraded") or not options.applies:
            return
        rank = check_permutation(answer.get("rank"), len(items))
        order = PlannedOrder.of(rank, answer)
        planned = order_items(items, order, options.granularity, options.order_marks)
        self._run.left_out = replace_items(items, planned)
        self._run.outstanding.plan(items)
        self._run.follows = True
        note_left_out(self._config, self._run.left_out)


class Distributor:
    """Sends the plan for the known cases to the workers of xdist, which collect on their own."""

    def __init__(self, config: pytest.Config, run: PytestRun) -> None:
        self._config, self._run = config, run
        self._payload: dict[str, Any] | None = None
        self._asked = False
        self._failures: set[str] = set()
        self._new = 0

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Give a worker the order; a worker that replaces a crashed one gets the same."""
        if not self._asked:
            self._asked = True
            self._payload = fail_open(self._config, NOT_ORDERED, self._ask)
        if self._payload is not None:
            node.workerinput["testopt"] = self._payload

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Repeat what a worker says that could not order its cases."""
        output = getattr(node, "workeroutput", None) or {}
        self._run.left_out = max(self._run.left_out, output.get("testopt_left_out") or 0)
        note_left_out(self._config, self._run.left_out)
        new = output.get("testopt_new") or 0
        if new > self._new:
            self._new = new
            add_note(self._config, f"{new} new case{'s' if new > 1 else ''}, run first")
        why = output.get("testopt")
        if isinstance(why, str) and why not in self._failures:
            self._failures.add(why)
            add_note(self._config, why, trouble=True, what=NOT_ORDERED)

    def _ask(self) -> dict[str, Any] | None:
        options = self._run.options
        answer = self._run.ask_order({"op": "known"})
        _note_answer(self._config, options, answer)
        if answer.get("degraded") or not options.applies:
            return None
        found = payload(answer, options.granularity, options.order_marks)
        self._run.order = answer["ids"]
        if not _chose_scope_order(self._config):
            self._config.option.loadscopereorder = False
        return found


def _folders_outside(config: pytest.Config) -> list[str]:
    """Return the folders outside the root folder that pytest was given."""
    paths = [config.invocation_params.dir / str(arg).partition("::")[0] for arg in config.args]
    return [str(p) for p in paths if p.is_dir() and not p.is_relative_to(config.rootpath)]


def _fell_back(config: pytest.Config) -> str:
    """Return why the order that was asked for was not used; empty where it was."""
    return next((note.text for note in notes(config) if note.what == NOT_ORDERED), "")


def _note_answer(config: pytest.Config, options: PluginOptions, answer: dict[str, Any]) -> None:
    """Note where the order comes from, and where it is not what was asked for."""
    if answer.get("degraded"):
        add_note(config, str(answer.get("fell_back", "")), trouble=True, what=NOT_ORDERED)
        return
    text = str(answer.get("note", ""))
    if options.mode == "shadow":
        config.stash[DETAILS] = [f"the plan that was not followed: {text}"]
        text = f"{NOT_ORDERED}, in shadow"
    add_note(config, text, trouble=bool(answer.get("doubtful")))
    note_more(config, [str(line) for line in answer.get("lines") or ()])
    config.stash.setdefault(DETAILS, []).extend(str(d) for d in answer.get("details") or ())


def _with_reasons(first: list[str], reasons: Any) -> list[tuple[str, list[str]]]:
    """Join cases with what the engine says of each."""
    if not isinstance(reasons, list) or len(reasons) != len(first):
        return []
    return [
        (one_line(case), [one_line(str(word)) for word in why])
        for case, why in zip(first, reasons, strict=True)
    ]


def _chose_scope_order(config: pytest.Config) -> bool:
    """Tell whether the user asked for xdist's own order of scopes."""
    given = [*map(str, config.invocation_params.args), os.environ.get("PYTEST_ADDOPTS", "")]
    given += map(str, config.getini("addopts"))
    return any("--loadscope-reorder" in text.split() for text in given)
