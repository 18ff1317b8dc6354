"""Reads the JSON that test runners write: ``go test -json``, pytest-reportlog, CTRF.

The first two are a JSON object per line and are read as a stream; CTRF is one document and is
read as a whole, so its size is bounded.
"""

from __future__ import annotations

import codecs
import json
from typing import TYPE_CHECKING, Any, Final

from testopt.errors import InputFileError
from testopt.results.archives import DAMAGED
from testopt.results.junit import JUnitSummary, NotJUnitError
from testopt.results.native_xml import CaseSink
from testopt.schema import FAILING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testopt.results.junit import Attempt, OnCases
    from testopt.results.xml_parsing import ByteStream
    from testopt.schema import Outcome

_CHUNK: Final = 1 << 18
_MAX_LINE: Final = 16 << 20  # bytes of one line
_MAX_DOCUMENT: Final = 128 << 20  # bytes of a CTRF document
_MAX_TEXT: Final = 4096  # characters of a message that are kept
_MAX_OPEN: Final = 100_000  # tests that have begun and not ended
_MAX_RETRIES: Final = 1000


def read_json(
    stream: ByteStream, on_cases: OnCases, *, summary: JUnitSummary | None = None
) -> JUnitSummary:
    """Read results in JSON; which kind it is, the first object tells.

    Parameters
    ----------
    stream : ByteStream
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
    lines_read = []
    for line in lines:
        lines_read.append(line)
        first = _object(line)
        if first is None and line.lstrip()[:1] != b"{":
            continue  # a compiler's words before the first object
        if first is not None and "$report_type" in first:
            _read_reportlog(first, lines, sink)
        elif first is not None and isinstance(first.get("Action"), str):
            _read_go(first, lines, sink)
        else:
            _read_ctrf(b"".join([line, *_bounded(lines, len(line))]), sink)
        return
    raise NotJUnitError("JSON of another kind, no test results")


def _lines(stream: ByteStream) -> Iterator[bytes]:
    """Yield lines with their ends; a line that is too long is an error."""
    rest = b""
    chunk = stream.read(_CHUNK).removeprefix(codecs.BOM_UTF8)
    while chunk:
        *complete, rest = (rest + chunk).splitlines(keepends=True)
        yield from complete
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
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _text(value: Any) -> str:
    return value[:_MAX_TEXT] if isinstance(value, str) else ""


def _seconds(value: Any, unit: float = 1.0) -> str | None:
    usable = isinstance(value, (int, float)) and not isinstance(value, bool)
    return repr(float(value) * unit) if usable and abs(value) < 1e15 else None  # noqa: PLR2004


class _GoTest:
    """A test that has begun: when, and what it has said."""

    __slots__ = ("failed", "output")

    def __init__(self) -> None:
        self.output = ""
        self.failed = False

    def add_output(self, text: str) -> None:
        if len(self.output) < _MAX_TEXT and not text.lstrip().startswith(("===", "---")):
            self.output += text


_GO_OUTCOMES: Final[dict[str, Outcome]] = {"pass": "passed", "fail": "failed", "skip": "skipped"}


def _read_go(first: dict[str, Any], lines: Iterator[bytes], sink: CaseSink) -> None:
    """Read events of ``go test -json``: ``Time``, ``Action``, ``Package``, ``Test``, ``Elapsed``.

    A package that fails without a failing test (it does not compile, it panics) is an error of its
    own; a test that began and never ended is an error too.
    """
    sink.summary.is_junit = True
    sink.note_time(_text(first.get("Time")))
    open_tests: dict[tuple[str, str], _GoTest] = {}
    failed: set[str] = set()
    event: dict[str, Any] | None = first
    while event is not None:
        _go_event(event, open_tests, failed, sink)
        event = next((e for line in lines if (e := _object(line)) is not None), None)
    unended = [key for key in open_tests if key[1]]
    for key in unended:
        _add_go(key, "error", None, open_tests, sink)
    if unended:
        raise InputFileError(f"it ends before {len(unended)} tests did")


def _go_event(
    event: dict[str, Any],
    open_tests: dict[tuple[str, str], _GoTest],
    failed: set[str],
    sink: CaseSink,
) -> None:
    action, key = event.get("Action"), (_text(event.get("Package")), _text(event.get("Test")))
    if not key[0]:
        return
    if len(open_tests) >= _MAX_OPEN and key not in open_tests:
        raise InputFileError(f"more than {_MAX_OPEN} tests run at a time")
    if action in {"run", "start"}:
        open_tests.setdefault(key, _GoTest())
    elif action == "output":
        open_tests.setdefault(key, _GoTest()).add_output(_text(event.get("Output")))
    elif action in _GO_OUTCOMES:
        elapsed = _seconds(event.get("Elapsed"))
        if key[1]:
            if action == "fail":
                failed.add(key[0])
            _add_go(key, _GO_OUTCOMES[action], elapsed, open_tests, sink)
        else:
            _end_package(key, action, open_tests, failed, sink)


def _end_package(
    key: tuple[str, str],
    action: str,
    open_tests: dict[tuple[str, str], _GoTest],
    failed: set[str],
    sink: CaseSink,
) -> None:
    for unended in [k for k in open_tests if k[0] == key[0] and k[1]]:
        failed.add(key[0])
        _add_go(unended, "error", None, open_tests, sink)
    if action == "fail" and key[0] not in failed:
        _add_go(key, "error", None, open_tests, sink)
    open_tests.pop(key, None)


def _add_go(
    key: tuple[str, str],
    outcome: Outcome,
    elapsed: str | None,
    open_tests: dict[tuple[str, str], _GoTest],
    sink: CaseSink,
) -> None:
    test = open_tests.pop(key, None)
    attempt = sink.attempt(outcome, elapsed, test.output if test else "")
    package, name = key
    sink.add({"classname": package if name else "", "name": name or package}, [attempt])


def _read_reportlog(first: dict[str, Any], lines: Iterator[bytes], sink: CaseSink) -> None:
    """Read pytest-reportlog: a report for each phase of each case, then ``SessionFinish``."""
    sink.summary.is_junit = True
    phases: dict[str, list[dict[str, Any]]] = {}
    finished = False
    event: dict[str, Any] | None = first
    while event is not None:
        kind, node = event.get("$report_type"), _text(event.get("nodeid"))
        finished = finished or kind == "SessionFinish"
        if kind == "TestReport":
            sink.note_time(_seconds(event.get("start")))
            phases.setdefault(node, []).append(_phase(event))
            if event.get("when") == "teardown" and event.get("outcome") != "rerun":
                _add_node(node, phases.pop(node), sink)
        elif kind == "CollectReport" and event.get("outcome") == "failed":
            _add_node(node, [{**_phase(event), "when": "setup"}], sink)
        if len(phases) > _MAX_OPEN:
            raise InputFileError(f"more than {_MAX_OPEN} cases run at a time")
        event = next((e for line in lines if (e := _object(line)) is not None), None)
    if phases or not finished:
        raise InputFileError(f"it ends early, while {len(phases)} cases run")


def _phase(event: dict[str, Any]) -> dict[str, Any]:
    """Return what counts of a report; the rest may be large."""
    trace = event.get("longrepr")
    crash = trace.get("reprcrash") if isinstance(trace, dict) else None
    message = crash.get("message") if isinstance(crash, dict) else trace
    duration = event.get("duration")
    return {
        "when": event.get("when"),
        "outcome": event.get("outcome"),
        "text": _text(message),
        "duration": duration if _seconds(duration) is not None else 0.0,
    }


def _add_node(node: str, phases: list[dict[str, Any]], sink: CaseSink) -> None:
    attempts: list[Attempt] = []
    execution: list[dict[str, Any]] = []
    for phase in phases[:_MAX_RETRIES]:
        execution.append(phase)
        if phase["outcome"] == "rerun":
            attempts.append(_execution(execution, sink))
            execution = []
    attempts.append(_execution(execution, sink))
    file = node.partition("::")[0]
    sink.add({"classname": "", "name": node, "file": file}, attempts)


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


def _read_ctrf(data: bytes, sink: CaseSink) -> None:
    """Read the Common Test Report Format: ``results.tests`` with durations in milliseconds."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputFileError(f"the JSON is broken: {str(error)[:200]}") from error
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
    retry_attempts = test.get("retryAttempts")
    attempts = [
        _ctrf_attempt(attempt, sink)
        for attempt in (retry_attempts if isinstance(retry_attempts, list) else [])[:_MAX_RETRIES]
        if isinstance(attempt, dict)
    ]
    retries = test.get("retries")
    if not attempts and test.get("flaky") is True and isinstance(retries, int):
        attempts = [sink.attempt("failed", None) for _ in range(min(retries, _MAX_RETRIES))]
    attempts.append(_ctrf_attempt(test, sink))
    sink.add({"classname": owner, "name": name, **({"file": file} if file else {})}, attempts)


def _ctrf_attempt(test: dict[str, Any], sink: CaseSink) -> Attempt:
    outcome = _CTRF_OUTCOMES.get(_text(test.get("status")), "skipped")
    text = _text(test.get("message")) or _text(test.get("trace"))
    return sink.attempt(outcome, _seconds(test.get("duration"), 1e-3), text)
