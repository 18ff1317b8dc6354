"""What is said at the end of a run: one line, and below it the first cases and what is left out.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from testopt.pytest_plugin import DETAILS, FIRST, LEFT_OUT, MORE, notes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pytest

    from testopt.pytest_plugin import Note

_START = "testopt: "
_TITLE = "first: "
_LEAST_ID = 24  # columns that a case keeps beside its reasons
_CUT = "…"


def write_summary(reporter: pytest.TerminalReporter) -> None:
    """Say in one line what was done, and below why.

    In a quiet run only what could not be done; but what is left out is never left out silently.
    """
    config = reporter.config
    quiet, verbose = reporter.verbosity < 0, reporter.verbosity > 0
    silent = quiet and not config.stash.get(LEFT_OUT, 0)
    line = "; ".join(_joined(n for n in notes(config) if n.trouble or not silent))
    lines = [line] if line else []
    first = config.stash.get(FIRST, None)
    more, details = (config.stash.get(key, None) for key in (MORE, DETAILS))
    if not quiet:
        width = 0 if verbose else config.get_terminal_writer().fullwidth - len(_START)
        lines += [*_first_lines(first or (), width), *(more or ())]
    if verbose:
        lines += details or ()
    for text in lines:
        reporter.write_line(_START + text)


def _joined(found: Iterable[Note]) -> list[str]:
    """Return the texts of notes; of what has one cause, the cause is said once."""
    by_text: dict[str, list[str]] = {}
    for note in found:
        kinds = by_text.setdefault(note.text, [])
        if note.what not in kinds:
            kinds.append(note.what)
    lines = (": ".join(filter(None, [", ".join(filter(None, w)), t])) for t, w in by_text.items())
    return [line.removesuffix(".") for line in lines if line]


def _first_lines(first: Sequence[tuple[str, list[str]]], width: int) -> Iterator[str]:
    """Yield a line for each of the first cases that has a reason, of a width; 0: any."""
    title = _TITLE
    for case, reasons in first:
        if reasons:
            yield title + _fitted(case, reasons, width - len(title) if width else 0)
            title = " " * len(_TITLE)


def _fitted(case: str, reasons: list[str], width: int) -> str:
    """Return a case and as many of its reasons as there is room for, the first one always."""
    if not width:
        return f"{case} - {'; '.join(reasons)}"
    why = _cut(reasons[0], max(width - _LEAST_ID - 3, _LEAST_ID))
    for reason in reasons[1:]:
        longer = f"{why}; {reason}"
        if len(case) + 3 + len(longer) > width:
            break
        why = longer
    return f"{_shortened(case, max(width - 3 - len(why), _LEAST_ID))} - {why}"


def _shortened(case: str, length: int) -> str:
    """Return the end of a case id: its folders say the least, then what ends its parameters."""
    if len(case) <= length:
        return case
    name = case[case.partition("[")[0].rfind("::") + 2 :] if "::" in case else case
    if len(name) < length:
        return _CUT + case[len(case) - length + 1 :]
    return _cut(name, length)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + _CUT
