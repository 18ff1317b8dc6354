"""Which lines of a fix point to where the defect was."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from testopt.code.lines import (
    code_mask,
    line_identifiers,
    only_reformatted,
    same_program,
    without_whitespace,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

CONTEXT: Final = 5  # lines on either side of a hunk that may hold the cause
MAX_HUNKS: Final = 200  # per file; the rest of a mechanical change says no more
MAX_LINES: Final = 2_000  # deleted lines per file that are traced
MAX_ABOVE: Final = 60  # lines above an insertion among which the head of its function is looked for
MAX_BELOW: Final = 30  # lines below it that may belong to the function
MAX_MENTIONS: Final = 8  # occurrences of a name in a file, above which it says little
MAX_NAMED: Final = 24  # lines elsewhere in the file that are traced for their names
_HEAD: Final = re.compile(
    r"^(?:[A-Za-z_@$]|\s+(?:async\s+)?(?:def|function|func|fn|sub|class|public|private|protected)\b)"
)
_LABEL: Final = re.compile(r"^\w+:\s*$")
_MIN_NAME: Final = 4  # characters of a name that can be rare
_MOVED: Final = 10  # characters, without spaces, from which a line can be recognised elsewhere


@dataclass(frozen=True, slots=True)
class TextHunk:
    """Consecutive changed lines: numbers (1-based) and texts before and after.

    With no line before, ``old_start`` is the line behind which lines were added.
    """

    old_start: int
    old: tuple[str, ...]
    new_start: int
    new: tuple[str, ...]

    @property
    def span(self) -> range:
        """Numbers of the old lines; for an insertion, the empty range where it happened."""
        start = self.old_start if self.old else self.old_start + 1
        return range(start, start + len(self.old))


@dataclass(frozen=True, slots=True)
class FileDiff:
    """What a fix does to one file; ``before`` and ``after`` are the lines of the whole file."""

    path: str
    language: str
    hunks: tuple[TextHunk, ...]
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


def meaningful_hunks(file: FileDiff) -> list[TextHunk]:
    """Return the hunks of a file that change what it does.

    Parameters
    ----------
    file : FileDiff
        One changed file.

    Returns
    -------
    list of TextHunk
        Without those that only reformat or touch comments and blank lines, at most
        ``MAX_HUNKS``; empty for a Python file whose syntax tree stays the same.
    """
    if file.language == "python" and same_program("\n".join(file.before), "\n".join(file.after)):
        return []
    meaningful = []
    before = lines_of_code(file.before, file.language)
    after = lines_of_code(file.after, file.language)
    for hunk in file.hunks:
        new = range(hunk.new_start, hunk.new_start + len(hunk.new))
        code = _has_code(before, hunk.span) or _has_code(after, new)
        if code and not only_reformatted(hunk.old, hunk.new, file.language):
            meaningful.append(hunk)
    return meaningful[:MAX_HUNKS]


def _has_code(code: Sequence[bool], numbers: range) -> bool:
    return any(code[numbers.start - 1 : numbers.stop - 1])


def suspect_lines(file: FileDiff, hunks: Sequence[TextHunk], added: Mapping[str, int]) -> list[int]:
    """Return the numbers of the old lines that the fix deletes or modifies.

    Parameters
    ----------
    file : FileDiff
        One changed file.
    hunks : sequence of TextHunk
        The `meaningful_hunks` of it.
    added : mapping of str to int
        How often each line (without whitespace) is added anywhere in the fix.

    Returns
    -------
    list of int
        Lines of code, without those that the fix only moves. Where nothing else is left, moved
        lines, then comments and brackets count after all. At most ``MAX_LINES``.
    """
    mask = lines_of_code(file.before, file.language)
    numbers, code, unmoved = [], [], []
    for hunk in hunks:
        in_hunk = Counter(map(without_whitespace, hunk.new))
        lines = [n for n in hunk.span if n <= len(mask)]
        numbers += lines
        code += [n for n in lines if mask[n - 1]]
        unmoved += [
            n
            for n in lines
            if mask[n - 1] and not _moved(without_whitespace(file.before[n - 1]), added, in_hunk)
        ]
    return (unmoved or code or numbers)[:MAX_LINES]


def _moved(line: str, added: Mapping[str, int], in_hunk: Mapping[str, int]) -> bool:
    return len(line) >= _MOVED and added.get(line, 0) > in_hunk.get(line, 0)


def added_lines(files: Iterable[FileDiff]) -> Counter[str]:
    """Count the lines, without whitespace, that a fix adds anywhere."""
    return Counter(
        without_whitespace(line) for file in files for hunk in file.hunks for line in hunk.new
    )


def surrounding_lines(file: FileDiff, hunk: TextHunk) -> range:
    """Return the lines around a hunk that may hold its cause.

    Parameters
    ----------
    file : FileDiff
        The file, as it was before.
    hunk : TextHunk
        One of its hunks.

    Returns
    -------
    range
        Numbers of old lines, at most ``CONTEXT`` on either side.
    """
    span = hunk.span
    return range(max(1, span.start - CONTEXT), min(len(file.before), span.stop + CONTEXT - 1) + 1)


def function_around(file: FileDiff, hunk: TextHunk) -> range:
    """Return the lines of the function that a hunk is in, as far as layout tells.

    Parameters
    ----------
    file : FileDiff
        The file, as it was before.
    hunk : TextHunk
        One of its hunks.

    Returns
    -------
    range
        Numbers of old lines: from the head of the function, at most ``MAX_ABOVE`` above, to its
        end, at most ``MAX_BELOW`` below.
    """
    first, stop = hunk.span.start, hunk.span.stop
    lines = file.before
    start = max(1, first - MAX_ABOVE)
    for number in range(min(first - 1, len(lines)), start - 1, -1):
        text = lines[number - 1]
        if _HEAD.match(text) and not _LABEL.match(text):
            start = number
            break
    end = min(len(lines) + 1, stop + MAX_BELOW)
    for number in range(stop, end):
        if _HEAD.match(lines[number - 1]) and not _LABEL.match(lines[number - 1]):
            end = number
            break
        if lines[number - 1].startswith("}"):
            end = number + 1
            break
    return range(start, max(start, end))


def named_lines(file: FileDiff, hunks: Sequence[TextHunk]) -> dict[int, float]:
    """Return the lines of a file that hold rare names which a fix adds, with their weights.

    Parameters
    ----------
    file : FileDiff
        The file, as it was before.
    hunks : sequence of TextHunk
        The `meaningful_hunks` of it.

    Returns
    -------
    dict of int to float
        Numbers of old lines, at most ``MAX_NAMED``, those with the rarest names first. A name
        weighs 1 over the number of lines that hold it; more than ``MAX_MENTIONS`` weigh nothing.
    """
    added = {n for h in hunks for n in line_identifiers(h.new) if len(n) >= _MIN_NAME}
    if not added:
        return {}
    found: dict[str, list[int]] = {}
    for number, line in enumerate(file.before, 1):
        for name in added.intersection(line_identifiers([line])):
            found.setdefault(name, []).append(number)
    weight: Counter[int] = Counter()
    for numbers in found.values():
        if len(numbers) <= MAX_MENTIONS:
            for number in numbers:
                weight[number] += 1.0 / len(numbers)  # type: ignore[assignment]
    return dict(sorted(weight.items(), key=lambda x: (-x[1], x[0]))[:MAX_NAMED])


@lru_cache(maxsize=8)
def lines_of_code(lines: tuple[str, ...], language: str) -> tuple[bool, ...]:
    """Return what `code_mask` does; a file is asked for several times in a row."""
    return tuple(code_mask(lines, language))


def merge_ranges(ranges: Iterable[range]) -> list[range]:
    """Unite ranges that touch or overlap; empty ones vanish."""
    merged: list[range] = []
    for lines in sorted((r for r in ranges if r), key=lambda r: r.start):
        if merged and lines.start <= merged[-1].stop:
            merged[-1] = range(merged[-1].start, max(merged[-1].stop, lines.stop))
        else:
            merged.append(lines)
    return merged
