"""Recognises the format of a report by its first bytes, and reads it."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING, Final

from testopt.results.junit import JUnitSummary, NotJUnitError, read_junit
from testopt.results.native_json import read_json
from testopt.results.native_xml import NATIVE_ROOTS, read_native

if TYPE_CHECKING:
    from testopt.results.junit import OnCases
    from testopt.results.xml_parsing import ByteStream

_HEAD: Final = 1 << 14
_ROOT: Final = re.compile(rb"<(?:[A-Za-z_][\w.-]*:)?([A-Za-z_][\w.-]*)[\s/>]")
_PROLOGUE: Final = re.compile(rb"<\?.*?(?:\?>|\Z)|<!--.*?(?:-->|\Z)", re.DOTALL)
_EVENT: Final = re.compile(rb'^\{"[^\n]*"Action":', re.MULTILINE)


class _PrefixedStream:
    """A stream whose first bytes were read already."""

    def __init__(self, head: bytes, stream: ByteStream) -> None:
        self._head, self._stream = head, stream

    def read(self, size: int, /) -> bytes:
        """Read up to `size` bytes."""
        if self._head:
            head, self._head = self._head[:size], self._head[size:]
            return head
        return self._stream.read(size)


def read_results_stream(
    stream: ByteStream, on_cases: OnCases, *, repair: bool, summary: JUnitSummary, native: bool
) -> JUnitSummary:
    """Read results in any known format; the rest as `read_junit`.

    Parameters
    ----------
    stream, on_cases, repair, summary
        See `read_junit`.
    native : bool
        Whether formats other than JUnit XML are wanted.

    Raises
    ------
    NotJUnitError
        For another format that is not wanted.
    """
    head = stream.read(_HEAD)
    prefixed = _PrefixedStream(head, stream)
    format_name = format_of(head)
    if not native and (format_name == "json" or format_name in NATIVE_ROOTS):
        name = "JSON" if format_name == "json" else f"XML with the root <{format_name}>"
        raise NotJUnitError(f"line 1: this is not JUnit XML but {name}; --format auto may read it")
    if format_name == "json":
        return read_json(prefixed, on_cases, summary=summary)
    if format_name in NATIVE_ROOTS:
        return read_native(prefixed, on_cases, root=format_name, repair=repair, summary=summary)
    return read_junit(prefixed, on_cases, repair=repair, summary=summary)


def format_of(head: bytes) -> str:
    """Return ``json``, the name of the root element of XML, or nothing where it is not seen.

    Parameters
    ----------
    head : bytes
        The first bytes of a file.
    """
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        head = head.decode("utf-16", "ignore").encode("utf-8", "ignore")
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if text.startswith(b"{") or (not text.startswith(b"<") and _EVENT.search(text)):
        return "json"
    root = _ROOT.search(_PROLOGUE.sub(b"", text))
    return root[1].decode("ascii", "replace") if root else ""
