"""Reads the JSON that test runners write: ``go test -json``, pytest-reportlog, CTRF, RSpec, Mocha.

The first two are a JSON object per line and are read as a stream; the others are one document and
are read as a whole, so its size is bounded.
"""

from __future__ import annotations

import codecs
import json
from typing import TYPE_CHECKING, Any, Final

from testopt.errors import InputFileError
from testopt.results.archives import DAMAGED
from testopt.results.json_documents import read_document
from testopt.results.junit import JUnitSummary, NotJUnitError
from testopt.results.native_xml import CaseSink
from testopt.schema import FAILING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testopt.results.junit import Attempt, OnCases, Suite
    from testopt.results.xml_parsing import ByteStream
    from testopt.schema import Outcome

_CHUNK: Final = 1 << 18
_MAX_LINE: Final = 16 << 20  # bytes of one line
_MAX_DOCUMENT: Final = 128 << 20  # bytes of a CTRF document
_MAX_TEXT: Final = 4096  # characters of a message that are kept
_MAX_OPEN: Final = 100_000  # tests that have begun and not ended
_MAX_RETRIES: Final = 1000
_MAX_PHASES: Final = 10_000  # of an attempt: its subtests, too


def read_json(
    stream: ByteStream, on_cases: OnCases, *, summary: JUnitSummary | None = None
) -> JUnitSummary:
    """Read results in JSON; which kind it is, the first object tells.

    Parameters
    ----------
    stream : Readable
        The document, UTF-8.
    on_cases : callable
        Receives the complete cases, many at a time.
    summary : JUnitSummary, optional
        An empty one to fill.

    Returns
    -------
    JUnitSummary
        With ``broken`` set where the document ends early.

    Raises
    ------
    NotJUnitError
        When it is JSON of another kind.
    InputFileError
        When it is too large.
    """
    sink = CaseSink(on_cases, summary or JUnitSummary())
    lines = _lines(stream)
    try:
        _read(lines, sink)
    except DAMAGED as error:
        sink.summary.broken = InputFileError(f"cannot be unpacked: {error}")
    except (NotJUnitError, InputFileError) as error:
        if not sink.summary.is_junit:
            raise
        sink.summary.broken = error
    sink.flush()
    return sink.summary


def _read(lines: Iterator[bytes], sink: CaseSink) -> None:
    held = []
    for line in lines:
        held.append(line)
        first = _object(line)
        if first is None and line.lstrip()[:1] != b"{":
            continue  # a compiler's words before the first object
        if first is not None and "$report_type" in first:
            _read_reportlog(first, lines, sink)
        elif first is not None and isinstance(first.get("Action"), str):
            _read_go(first, lines, sink)
        else:
            _read_document(b"".join([line, *_bounded(lines, len(line))]), sink)
        return
    raise NotJUnitError("JSON of another kind, no test results")


def _lines(stream: ByteStream) -> Iterator[bytes]:
    """Yield lines with their ends; a line that is too long is an error."""
    rest = b""
    chunk = stream.read(_CHUNK).removeprefix(codecs.BOM_UTF8)
    while chunk:
        *whole, rest = (rest + chunk).splitlines(keepends=True)
        yield from whole
        if rest.endswith(b"\n"):
            yield rest
            rest = b""
        if len(rest) > _MAX_LINE:
            raise InputFileError(f"a line of more than {_MAX_LINE >> 20} MB")
        chunk = stream.read(_CHUNK)
    if rest:
        yield rest


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _text(value: Any) -> str:
    return value[:_MAX_TEXT] if isinstance(value, str) else ""


def _seconds(value: Any, unit: float = 1.0) -> str | None:
    usable = isinstance(value, (int, float)) and not isinstance(value, bool)
    return repr(float(value) * unit) if usable and abs(value) < 1e15 else None  # noqa: PLR2004


class _GoTest:
    """A test that has begun: when, and what it has said."""

    __slots__ = ("failed", "said")

    def __init__(self) -> None:
        self.said = ""
        self.failed = False

    def add_output(self, words: str) -> None:
        if len(self.said) < _MAX_TEXT and not words.lstrip().startswith(("===", "---")):
            self.said += words


_GO_OUTCOMES: Final[dict[str, Outcome]] = {"pass": "passed", "fail": "failed", "skip": "skipped"}


def _read_go(first: dict[str, Any], lines: Iterator[bytes], sink: CaseSink) -> None:
    """Read events of ``go test -json``: ``Time``, ``Action``, ``Package``, ``Test``, ``Elapsed``.

    A package that fails without a failing test (it does not compile, it panics) is an error of all
    its tests; a test that began and never ended is an error too.
    """
    sink.summary.is_junit = True
    sink.note_time(_text(first.get("Time")))
    log = _GoLog(sink)
    event: dict[str, Any] | None = first
    while event is not None:
        log.take(event)
        event = next((e for line in lines if (e := _object(line)) is not None), None)
    unended = log.end_tests()
    if unended:
        raise InputFileError(f"it ends before {unended} tests did")


class _GoLog:
    """Tests that run, packages that run, and those with a failing test.

    What comes again while a package runs is another execution (``-count=2``); what comes when it
    runs again is another attempt (``gotestsum --rerun-fails``).
    """

    def __init__(self, sink: CaseSink) -> None:
        self._sink = sink
        self._open: dict[tuple[str, str], _GoTest] = {}
        self._failed: set[str] = set()
        self._packages: dict[str, Suite] = {}
        self._builds: dict[str, str] = {}  # what the compiler says, by package

    def take(self, event: dict[str, Any]) -> None:
        """Take one event."""
        action, key = event.get("Action"), (_text(event.get("Package")), _text(event.get("Test")))
        if action == "build-output":
            self._take_build(_text(event.get("ImportPath")), _text(event.get("Output")))
        if not key[0]:
            return
        if len(self._open) >= _MAX_OPEN and key not in self._open:
            raise InputFileError(f"more than {_MAX_OPEN} tests run at a time")
        if key[0] not in self._packages:
            self._packages[key[0]] = self._sink.suite(key[0], _text(event.get("Time")))
        if action in {"run", "start"}:
            self._open.setdefault(key, _GoTest())
        elif action == "output":
            self._open.setdefault(key, _GoTest()).add_output(_text(event.get("Output")))
        elif action in _GO_OUTCOMES:
            self._end(
                key,
                _GO_OUTCOMES[action],
                _seconds(event.get("Elapsed")),
                self._builds.get(_text(event.get("FailedBuild")), ""),
            )

    def _take_build(self, path: str, words: str) -> None:
        """Keep what the compiler says of a package; all that need it fail for that."""
        said = self._builds.get(path, "")
        if len(said) < _MAX_TEXT and (said or len(self._builds) < _MAX_OPEN):
            self._builds[path] = said + words

    def end_tests(self, package: str | None = None) -> int:
        """End the tests that began and never ended, of one package or of all; return how many."""
        unended = [k for k in self._open if k[1] and package in {None, k[0]}]
        for key in unended:
            self._add(key, "error", None)
        return len(unended)

    def _end(self, key: tuple[str, str], outcome: Outcome, elapsed: str | None, build: str) -> None:
        if key[1]:
            self._add(key, outcome, elapsed)
            return
        self.end_tests(key[0])
        test = self._open.pop(key, None)
        if outcome == "failed" and key[0] not in self._failed:
            attempt = self._sink.attempt("error", None, build or (test.said if test else ""))
            attempt.whole = "class"
            self._sink.add({"classname": "", "name": key[0]}, [attempt], self._packages[key[0]])
        self._failed.discard(key[0])
        del self._packages[key[0]]

    def _add(self, key: tuple[str, str], outcome: Outcome, elapsed: str | None) -> None:
        test = self._open.pop(key, None)
        if outcome in FAILING:
            self._failed.add(key[0])
        attempt = self._sink.attempt(outcome, elapsed, test.said if test else "")
        attributes = {"classname": key[0], "name": key[1]}
        self._sink.add(attributes, [attempt], self._packages[key[0]])


# Exit codes of pytest after which cases may be missing: interrupted, internal error, wrong usage.
_STOPPED: Final = frozenset({2, 3, 4})
_RERUNS: Final = {"retried": "rerun"}  # of pytest-retry and pytest-rerunfailures
_Phases = list[dict[str, Any]]
_CRASHED: Final = "???"  # the phase in which xdist reports that a worker has crashed


def _read_reportlog(first: dict[str, Any], lines: Iterator[bytes], sink: CaseSink) -> None:
    """Read pytest-reportlog: a report for each phase of each case, then ``SessionFinish``."""
    sink.summary.is_junit = True
    log = _ReportLog(sink)
    event: dict[str, Any] | None = first
    finished = False
    while event is not None:
        kind = _text(event.get("$report_type"))
        if kind == "TestReport" or kind.lower() == "subtestreport":
            log.take(event, is_subtest=kind != "TestReport")
        elif kind == "CollectReport":
            log.take_collection(event)
        elif kind == "SessionFinish":
            finished = True
            if event.get("exitstatus") in _STOPPED:
                sink.lack(f"pytest ended with exit code {event['exitstatus']}")
        event = next((e for line in lines if (e := _object(line)) is not None), None)
    unended = log.finish()
    if unended or not finished:
        raise InputFileError(f"it ends early, while {unended} cases run")


class _ReportLog:
    """Phases of the cases that run, by worker, and the attempts that workers did not survive."""

    def __init__(self, sink: CaseSink) -> None:
        self._sink = sink
        self._open: dict[tuple[str, str], list[_Phases]] = {}
        self._crashed: dict[str, list[_Phases]] = {}

    def take(self, event: dict[str, Any], *, is_subtest: bool) -> None:
        """Take the report of one phase; that of a subtest counts where it failed."""
        node, worker = _text(event.get("nodeid")), _text(event.get("worker_id"))
        self._sink.note_time(_seconds(event.get("start")))
        phase = _phase(event)
        if is_subtest:
            phase["duration"] = 0.0  # it is part of that of its test
            if phase["outcome"] not in {"failed", "rerun"}:
                return
        if phase["when"] == _CRASHED:
            self._crash(node, phase)
            return
        attempts = self._open.setdefault((worker, node), [])
        if not attempts or _is_another(attempts[-1], phase):
            attempts.append([])
        if len(attempts) <= _MAX_RETRIES and len(attempts[-1]) < _MAX_PHASES:
            attempts[-1].append(phase)
        if phase["when"] == "teardown" and not _is_rerun(attempts[-1]):
            self._end(node, self._open.pop((worker, node)))
        elif len(self._open) > _MAX_OPEN:
            raise InputFileError(f"more than {_MAX_OPEN} cases run at a time")

    def take_collection(self, event: dict[str, Any]) -> None:
        """Take the report of a file: where it failed, none of its cases could run."""
        node = _text(event.get("nodeid"))
        if event.get("outcome") != "failed":
            return
        phase = _phase(event)
        attempt = self._sink.attempt("error", _seconds(phase["duration"]), phase["text"])
        attempt.whole = "file"
        file = node.partition("::")[0]
        self._sink.add({"classname": "", "name": node, "file": file}, [attempt])

    def finish(self) -> int:
        """End the cases of which no more can come; return how many were running."""
        unended = 0
        for (_, node), attempts in self._open.items():
            if _is_rerun(attempts[-1]):
                self._end(node, attempts)
            else:
                unended += 1
        for node in list(self._crashed):
            self._end(node, [])
        return unended

    def _crash(self, node: str, phase: dict[str, Any]) -> None:
        """Take the report of a worker that crashed: the case that it ran has got no further."""
        started = next((key for key in self._open if key[1] == node), None)
        attempts = self._open.pop(started) if started is not None else [[]]
        attempts[-1].append(phase)
        if phase["outcome"] == "rerun":
            self._crashed.setdefault(node, []).extend(attempts[:_MAX_RETRIES])
        else:
            self._end(node, attempts)

    def _end(self, node: str, attempts: list[_Phases]) -> None:
        parts = [*self._crashed.pop(node, []), *attempts]
        file = node.partition("::")[0]
        self._sink.add(
            {"classname": "", "name": node, "file": file},
            [_execution(part, self._sink) for part in parts],
        )


def _is_rerun(phases: _Phases) -> bool:
    """Tell whether another attempt of a case is to come."""
    return any(phase["outcome"] == "rerun" for phase in phases)


def _is_another(phases: _Phases, phase: dict[str, Any]) -> bool:
    """Tell whether a phase begins another attempt."""
    if phase["when"] == "setup":
        return bool(phases)
    rerun = any(p["outcome"] == "rerun" and p["when"] == "call" for p in phases)
    return rerun and phase["when"] == "call"


def _phase(event: dict[str, Any]) -> dict[str, Any]:
    """Return what counts of a report; the rest may be large."""
    trace = event.get("longrepr")
    crash = trace.get("reprcrash") if isinstance(trace, dict) else None
    words = crash.get("message") if isinstance(crash, dict) else trace
    duration = event.get("duration")
    return {
        "when": event.get("when"),
        "outcome": _RERUNS.get(_text(event.get("outcome")), event.get("outcome")),
        "text": _text(words),
        "duration": duration if _seconds(duration) is not None else 0.0,
    }


def _execution(phases: list[dict[str, Any]], sink: CaseSink) -> Attempt:
    """Return one execution: a failing call outweighs an error around it, both being skipped."""
    outcome: Outcome = "passed"
    text = ""
    for phase in phases:
        if phase["outcome"] in {"failed", "rerun"}:
            worse: Outcome = "failed" if phase["when"] == "call" else "error"
            if outcome not in FAILING:
                outcome, text = worse, phase["text"]
        elif phase["outcome"] == "skipped" and outcome == "passed":
            outcome = "skipped"
    return sink.attempt(outcome, _seconds(sum(p["duration"] for p in phases)), text)


_CTRF_OUTCOMES: Final[dict[str, Outcome]] = {"passed": "passed", "failed": "failed"}


def _bounded(lines: Iterator[bytes], size: int) -> Iterator[bytes]:
    for line in lines:
        size += len(line)
        if size > _MAX_DOCUMENT:
            raise InputFileError(f"a document of more than {_MAX_DOCUMENT >> 20} MB")
        yield line


def _read_document(data: bytes, sink: CaseSink) -> None:
    """Read one document; of which kind it is, its keys tell."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputFileError(f"the JSON is broken: {str(error)[:200]}") from error
    if not isinstance(document, dict) or not read_document(document, sink):
        _read_ctrf(document, sink)


def _read_ctrf(document: Any, sink: CaseSink) -> None:
    """Read the Common Test Report Format: ``results.tests`` with durations in milliseconds."""
    results = document.get("results") if isinstance(document, dict) else None
    tests = results.get("tests") if isinstance(results, dict) else None
    if not isinstance(results, dict) or not isinstance(tests, list):
        raise NotJUnitError("JSON of another kind, no test results")
    sink.summary.is_junit = True
    summary = results.get("summary")
    sink.note_time(_seconds(summary.get("start"), 1e-3) if isinstance(summary, dict) else None)
    for test in tests:
        if isinstance(test, dict):
            _add_ctrf(test, sink)


def _add_ctrf(test: dict[str, Any], sink: CaseSink) -> None:
    suite, file, name = test.get("suite"), _text(test.get("filePath")), _text(test.get("name"))
    owner = " > ".join(map(str, suite)) if isinstance(suite, list) else _text(suite)
    owner = owner or file
    if "::" in name:  # a node id already
        owner = ""
    retried = test.get("retryAttempts")
    attempts = [
        _ctrf_attempt(one, sink)
        for one in (retried if isinstance(retried, list) else [])[:_MAX_RETRIES]
        if isinstance(one, dict)
    ]
    retries = test.get("retries")
    if not attempts and test.get("flaky") is True and isinstance(retries, int):
        attempts = [sink.attempt("failed", None) for _ in range(min(retries, _MAX_RETRIES))]
    attempts.append(_ctrf_attempt(test, sink))
    sink.add({"classname": owner, "name": name, **({"file": file} if file else {})}, attempts)


def _ctrf_attempt(one: dict[str, Any], sink: CaseSink) -> Attempt:
    outcome = _CTRF_OUTCOMES.get(_text(one.get("status")), "skipped")
    text = _text(one.get("message")) or _text(one.get("trace"))
    return sink.attempt(outcome, _seconds(one.get("duration"), 1e-3), text)
