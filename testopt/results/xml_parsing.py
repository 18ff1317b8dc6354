"""Parses XML from untrusted files with expat: any encoding, bounded memory, no entities."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING, NoReturn, Protocol
from xml.parsers import expat

from testopt.errors import InputFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHUNK_BYTES = 1 << 18
# expat keeps a whole tag, attribute or comment in memory until it ends.
MAX_TOKEN_BYTES = 16 << 20
MAX_DEPTH = 1000

_DECLARED = re.compile(rb"""\A\s*<\?xml[^>]*?\bencoding\s*=\s*["']([A-Za-z0-9._:-]+)["']""")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NATIVE = frozenset({"utf-8", "ascii"})
# Python has codecs that are no encodings of text, such as zlib and unicode_escape.
_TEXT_CODEC = re.compile(
    r"utf-|ascii|iso|cp\d|latin|gb|big5|shift_jis|euc|koi8|mac|tis|johab|hz|kz"
)
# What XML forbids: control characters but tab, line feed and carriage return, and non-characters.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_BAD_REFERENCE = re.compile(r"&(?!(?:amp|lt|gt|quot|apos);|#(?:\d{1,7}|[xX][0-9a-fA-F]{1,6});)")
_NUMERIC_REFERENCE = re.compile(r"&#(\d{1,7}|[xX][0-9a-fA-F]{1,6});")
_REFERENCE_CHARS = 12


class ByteStream(Protocol):
    """What is needed of a binary file."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes; none at the end."""


class BrokenXmlError(InputFileError):
    """The XML is not well-formed; ``repairable`` tells whether leaving out characters may help."""

    slug = "broken-xml"
    repairable = False


def make_parser() -> expat.XMLParserType:
    """Return an expat parser for UTF-8 that refuses entities and what lies outside the file."""
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True

    def refuse(*_: object) -> NoReturn:
        raise InputFileError(
            f"line {parser.CurrentLineNumber}: the document type declares entities or refers to "
            "another file, which is refused",
            "remove the DOCTYPE; JUnit XML needs none",
        )

    def doctype(_name: str, system_id: str | None, public_id: str | None, _internal: int) -> None:
        if system_id or public_id:
            refuse()

    parser.StartDoctypeDeclHandler = doctype
    parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    return parser


def parse_xml(parser: expat.XMLParserType, stream: ByteStream, *, repair: bool = False) -> None:
    """Parse a stream to its end.

    Parameters
    ----------
    parser : expat parser
        From `make_parser`, with its handlers set.
    stream : binary file
        XML in the encoding of its byte order mark, of its declaration, or UTF-8.
    repair : bool
        Leave out characters and references that XML forbids, and read bytes that the encoding
        does not know as U+FFFD.

    Raises
    ------
    BrokenXmlError
        When the document ends early or is not well-formed, with line and column.
    InputFileError
        When it declares entities, or holds a tag of more than ``MAX_TOKEN_BYTES``.
    """
    n_bytes = 0
    try:
        for chunk in _utf8_chunks(stream, repair=repair):
            parser.Parse(chunk, False)
            n_bytes += len(chunk)
            if n_bytes - parser.CurrentByteIndex > MAX_TOKEN_BYTES:
                raise InputFileError(
                    f"line {parser.CurrentLineNumber}: a tag, attribute or comment of more than "
                    f"{MAX_TOKEN_BYTES >> 20} MB"
                )
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise _broken(error) from error
    except UnicodeError as error:
        broken = BrokenXmlError(
            f"line {parser.CurrentLineNumber} or after: bytes that are not {_encoding_of(error)}"
        )
        broken.repairable = True
        raise broken from error


def _encoding_of(error: UnicodeError) -> str:
    return getattr(error, "encoding", "text")


_ERRORS = expat.errors
_REPAIRABLE = frozenset(
    _ERRORS.codes[m]
    for m in (
        _ERRORS.XML_ERROR_INVALID_TOKEN,
        _ERRORS.XML_ERROR_BAD_CHAR_REF,
        _ERRORS.XML_ERROR_UNDEFINED_ENTITY,
        _ERRORS.XML_ERROR_PARTIAL_CHAR,
    )
)
_EARLY_END = frozenset(
    _ERRORS.codes[m]
    for m in (
        _ERRORS.XML_ERROR_NO_ELEMENTS,
        _ERRORS.XML_ERROR_UNCLOSED_TOKEN,
        _ERRORS.XML_ERROR_UNCLOSED_CDATA_SECTION,
    )
)


def _broken(error: expat.ExpatError) -> BrokenXmlError:
    words = expat.ErrorString(error.code)
    if error.code in _EARLY_END:
        words = f"the document ends early ({words})"
    broken = BrokenXmlError(f"line {error.lineno}, column {error.offset + 1}: {words}")
    broken.repairable = error.code in _REPAIRABLE
    return broken


def _utf8_chunks(stream: ByteStream, *, repair: bool) -> Iterator[bytes]:
    """Yield a document as UTF-8, chunk by chunk; nothing is decoded that need not be."""
    head = stream.read(CHUNK_BYTES)
    encoding, skip = _encoding(head)
    chunks = _chunks(head[skip:], stream)
    if encoding in _NATIVE and not repair:
        return chunks
    decoder = codecs.getincrementaldecoder(encoding)("replace" if repair else "strict")
    return _transcoded(chunks, decoder.decode, repair=repair)


def _chunks(first: bytes, stream: ByteStream) -> Iterator[bytes]:
    chunk = first
    while chunk:
        yield chunk
        chunk = stream.read(CHUNK_BYTES)


def _encoding(head: bytes) -> tuple[str, int]:
    """Return the Python name of a document's encoding, and the bytes to skip."""
    for bom, name in _BOMS:
        if head.startswith(bom):
            return name, len(bom) if name == "utf-8" else 0
    if head[:4] in {b"<\0?\0", b"<\0t\0"}:
        return "utf-16-le", 0
    if head[:4] in {b"\0<\0?", b"\0<\0t"}:
        return "utf-16-be", 0
    declared = _DECLARED.match(head[:1024])
    try:
        name = codecs.lookup(declared[1].decode("ascii")).name if declared else "utf-8"
    except LookupError:
        return "utf-8", 0
    # A declaration that could be read byte by byte is not in UTF-16, whatever it says.
    wide = name.startswith(("utf-16", "utf-32"))
    return (name if _TEXT_CODEC.match(name) and not wide else "utf-8"), 0


def _transcoded(
    chunks: Iterator[bytes], decode: Callable[[bytes, bool], str], *, repair: bool
) -> Iterator[bytes]:
    rest = ""
    for chunk in chunks:
        text = rest + decode(chunk, False)
        rest = ""
        if repair:
            # A reference may be cut by the end of the chunk.
            cut = text.rfind("&", max(0, len(text) - _REFERENCE_CHARS))
            if cut >= 0:
                text, rest = text[:cut], text[cut:]
            text = _repaired(text)
        if text:
            yield text.encode("utf-8")
    text = rest + decode(b"", True)
    yield (_repaired(text) if repair else text).encode("utf-8")


def _repaired(text: str) -> str:
    text = _FORBIDDEN.sub("", text)
    text = _BAD_REFERENCE.sub("&amp;", text)
    return _NUMERIC_REFERENCE.sub(_allowed_reference, text)


def _allowed_reference(match: re.Match[str]) -> str:
    number = match[1]
    code = int(number[1:], 16) if number[0] in "xX" else int(number)
    if code > 0x10FFFF or _FORBIDDEN.match(chr(code)):  # noqa: PLR2004 - the last code point
        return ""
    return match[0]
