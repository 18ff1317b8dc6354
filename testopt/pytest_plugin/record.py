"""Turns pytest's reports into one row per execution of a case.

pytest reports a case in phases: set-up, call, tear-down, and anything in between from subtests. A
second set-up of the same case is another attempt: a rerun, or the same file given twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from testopt.pytest_plugin.groups import MARK, without_group

if TYPE_CHECKING:
    import pytest

    Row = list[Any]  # node id, outcome, seconds, message or None, worker or ""

_MESSAGE_LIMIT = 100_000  # characters; longer ones are cut before they are digested
_CRASH = "???"  # phase of the report that xdist makes of a worker that crashed: without keywords
_LAST = frozenset({"teardown", _CRASH})
_PHASES = frozenset({"setup", "call", "teardown"})
_NODE, _OUTCOME, _SECONDS, _MESSAGE = range(4)


class Recorder:
    """Collects the rows of a run. `add` is on the path of every test, so it does little.

    Parameters
    ----------
    groups : bool
        Whether xdist appends groups to the node ids of cases.
    """

    def __init__(self, *, groups: bool = False) -> None:
        self._groups = groups
        self.rows: list[Row] = []  # finished; whoever takes them empties the list
        self.done: set[str] = set()  # node ids
        self._open: dict[tuple[str, str], Row] = {}
        self._set_up: set[tuple[str, str]] = set()  # that passed their set-up, and no more yet
        self._retried: set[tuple[str, str]] = set()  # whose call is made again without a set-up

    def add(self, report: pytest.TestReport) -> None:
        """Take one report."""
        node = report.__dict__.get("node")  # set by xdist: the worker
        worker = "" if node is None else node.gateway.id
        node_id = report.nodeid
        if self._groups and (MARK in report.keywords or str(report.when) == _CRASH):
            node_id = without_group(node_id)
        key = (worker, node_id)
        row = self._open.get(key)
        when = report.when
        if row is None or when == "setup" or (self._retried and key in self._retried):
            self._retried.discard(key)
            if row is not None:
                self.rows.append(row)
            row = self._open[key] = [node_id, "passed", 0.0, None, worker]
        if when == "setup" and report.outcome == "passed":
            self._set_up.add(key)
        else:
            self._set_up.discard(key)
            self.done.add(node_id)
        row[_SECONDS] += report.duration
        if report.outcome != "passed":
            _merge(row, report)
            if str(report.outcome) == "retried":  # by pytest-retry
                self._retried.add(key)
        if when in _LAST:
            self.rows.append(self._open.pop(key))

    def add_collection(self, report: pytest.CollectReport) -> None:
        """Take the error of a file that could not be collected."""
        if report.failed:
            self.rows.append([report.nodeid, "error", 0.0, _message(report), "collection"])

    def finish(self) -> None:
        """Close what has no tear-down: the last rerun of a case, or the victim of a crash.

        A case that was interrupted after its set-up has no result.
        """
        self.rows += [row for key, row in self._open.items() if key not in self._set_up]
        self._open.clear()
        self._set_up.clear()


def _merge(row: Row, report: pytest.TestReport) -> None:
    """Add a report that is not a pass to its row: a failure of the call is the outcome."""
    if report.outcome == "skipped":
        if not hasattr(report, "context") and row[_OUTCOME] == "passed":  # a subtest has one
            row[_OUTCOME] = "skipped"
        return
    # "failed", or "rerun": the failure of an attempt that is not the last.
    call = report.when == "call" or report.when not in _PHASES | {_CRASH}
    if row[_OUTCOME] != "failed":
        row[_OUTCOME] = "failed" if call else "error"
        row[_MESSAGE] = _message(report)


def _message(report: pytest.TestReport | pytest.CollectReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(report.longrepr) if crash is None else crash.message
    return text[:_MESSAGE_LIMIT]
