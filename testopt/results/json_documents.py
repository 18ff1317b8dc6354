"""Reads the JSON documents of runners that can write no JUnit XML of their own: RSpec, Mocha."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testopt.results.junit import Attempt
    from testopt.results.native_xml import CaseSink
    from testopt.schema import Outcome

_MAX_TEXT: Final = 4096  # characters of a message that are kept
_MAX_RETRIES: Final = 1000
_SECONDS: Final = 1e15  # more is no duration
# The id of an example of RSpec: the file of its outermost group, and where it stands there.
_EXAMPLE: Final = re.compile(r"(.+)\[[\d:]+\]\Z", re.DOTALL)
_RSPEC_OUTCOMES: Final[dict[str, Outcome]] = {"passed": "passed", "failed": "failed"}


def read_document(document: dict[str, Any], sink: CaseSink) -> bool:
    """Read a document of RSpec or Mocha; return whether it is one of them.

    Parameters
    ----------
    document : dict
    sink : CaseSink
        Takes the cases.
    """
    if isinstance(document.get("examples"), list) and "summary" in document:
        _read_rspec(document, sink)
    elif isinstance(document.get("tests"), list) and isinstance(document.get("stats"), dict):
        _read_mocha(document, sink)
    else:
        return False
    return True


def _read_rspec(document: dict[str, Any], sink: CaseSink) -> None:
    """Read what ``rspec --format json`` writes, with the ids of rspec_junit_formatter."""
    sink.summary.is_junit = True
    for example in _objects(document["examples"]):
        found = _EXAMPLE.match(_text(example.get("id")))
        file = found[1] if found else _text(example.get("file_path"))
        owner = re.sub(r"\.[^/]*\Z", "", file).replace("/", ".").strip(".")
        outcome = _RSPEC_OUTCOMES.get(_text(example.get("status")), "skipped")
        error = _object(example.get("exception"))
        words = _text(error.get("message")) or _text(error.get("class"))
        attempt = sink.attempt(outcome, _seconds(example.get("run_time")), words)
        name = _text(example.get("full_description"))
        sink.add({"classname": owner, "name": name, "file": file}, [attempt])
    summary = _object(document["summary"])
    if summary.get("errors_outside_of_examples_count"):
        sink.lack("RSpec met errors outside of examples")


def _read_mocha(document: dict[str, Any], sink: CaseSink) -> None:
    """Read what ``mocha --reporter json`` writes: failures and pending tests are listed again."""
    sink.summary.is_junit = True
    sink.note_time(_text(document["stats"].get("start")) or None)
    pending = {_mocha_name(test) for test in _objects(document.get("pending"))}
    for test in _objects(document["tests"]):
        file, name = _mocha_name(test)
        attempts = _mocha_attempts(test, sink, is_pending=(file, name) in pending)
        sink.add({"classname": file, "name": name, "file": file}, attempts)


def _mocha_name(test: dict[str, Any]) -> tuple[str, str]:
    return _text(test.get("file")), _text(test.get("fullTitle"))


def _mocha_attempts(test: dict[str, Any], sink: CaseSink, *, is_pending: bool) -> list[Attempt]:
    """Return the attempts of a test: those before the last one have failed."""
    retries = test.get("currentRetry")
    before = min(retries, _MAX_RETRIES) if isinstance(retries, int) else 0
    error = _object(test.get("err"))
    words = _text(error.get("message")) or _text(error.get("stack"))
    outcome: Outcome = "failed" if error else "skipped" if is_pending else "passed"
    last = sink.attempt(outcome, _seconds(test.get("duration"), 1e-3), words)
    return [*(sink.attempt("failed", None) for _ in range(before)), last]


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        yield from (one for one in value if isinstance(one, dict))


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value[:_MAX_TEXT] if isinstance(value, str) else ""


def _seconds(value: Any, unit: float = 1.0) -> str | None:
    usable = isinstance(value, (int, float)) and not isinstance(value, bool)
    return repr(float(value) * unit) if usable and abs(value) < _SECONDS else None
