"""What a store was told to forget: cases, and authors of commits; such rows do not come in again.

Only keyed digests of them are kept, beside their key: no name can be read from them, but who knows
a name can ask whether it was forgotten. There are two copies, since a lost list would let
everything in again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

from testopt.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

    from testopt.store.location import Location

AUTHOR_KEY: Final = "state/author-key"  # fingerprint of the key that authors are named with
COPIES: Final = ("state/forgotten.json", "state/forgotten-copy.json")
NOBODY: Final = "forgotten"  # the author of commits whose author was forgotten
AUTHOR_TABLES: Final = ("commits", "decisions")
CASE_TABLES: Final = ("results", "predictions", "links")
_FORMAT: Final = 1
_KEY_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What must not be in a store.

    Attributes
    ----------
    key : str
        Of the digests, in hexadecimal.
    cases, authors : frozenset of str
        Digests of case ids, and of authors' pseudonyms.
    pending : bool
        Whether something of it may still be there: it is being removed, or that was interrupted.
    """

    key: str = ""
    cases: frozenset[str] = frozenset()
    authors: frozenset[str] = frozenset()
    pending: bool = False

    def __bool__(self) -> bool:
        return bool(self.cases or self.authors)

    def adding(self, cases: Iterable[str], authors: Iterable[str]) -> Forgotten:
        """Return what is forgotten when these cases and pseudonyms are, too."""
        import secrets

        new = replace(self, key=self.key or secrets.token_hex(_KEY_BYTES), pending=True)
        return replace(
            new,
            cases=new.cases | {new.digest(case) for case in cases},
            authors=new.authors | {new.digest(author) for author in authors},
        )

    def digest(self, text: str) -> str:
        """Return the digest of a case id or a pseudonym."""
        content = text.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(content, key=bytes.fromhex(self.key), digest_size=12).hexdigest()

    def among(self, cases: Iterable[str]) -> list[str]:
        """Return those of some cases that were forgotten."""
        return [case for case in cases if self.digest(case) in self.cases] if self.cases else []

    def author(self, pseudonym: str) -> str:
        """Return the author as the store names them."""
        known = bool(self.authors) and self.digest(pseudonym) in self.authors
        return NOBODY if known else pseudonym

    def kept(self, rows: pa.Table) -> pa.Table:
        """Return rows without the forgotten cases, and with nobody for the forgotten authors.

        The same object comes back where nothing of it stands in them, also not in a dictionary.
        """
        if self.cases and "case_id" in rows.column_names:
            return self._without_cases(rows)
        if self.authors and "author" in rows.column_names:
            return self._without_authors(rows)
        return rows

    def _without_cases(self, rows: pa.Table) -> pa.Table:
        from testopt.store.parquet import filter_mask

        gone = self.among(_texts(rows["case_id"]))
        if not gone:
            return rows
        return plain(rows.filter(filter_mask(rows["case_id"], "not in", gone)))

    def _without_authors(self, rows: pa.Table) -> pa.Table:
        import pyarrow as pa

        gone = {a for a in _texts(rows["author"]) if self.author(a) == NOBODY}
        if not gone:
            return rows
        names = [NOBODY if a in gone else a for a in rows["author"].to_pylist()]
        at = rows.column_names.index("author")
        field = pa.field("author", pa.string(), rows.schema.field(at).nullable)
        return rows.set_column(at, field, pa.array(names, pa.string()))


def _texts(column: pa.ChunkedArray) -> list[str]:
    """Return the different texts of a column: of its dictionaries also those that no row names."""
    found: dict[str, None] = {}
    for chunk in column.chunks:
        values = chunk.dictionary if hasattr(chunk, "dictionary") else chunk.unique()
        found |= dict.fromkeys(v for v in values.to_pylist() if v is not None)
    return list(found)


def plain(rows: pa.Table) -> pa.Table:
    """Return rows without dictionaries, which hold the texts of rows that were removed as well."""
    import pyarrow as pa

    types = [f.type.value_type if pa.types.is_dictionary(f.type) else f.type for f in rows.schema]
    fields = [f.with_type(kind) for f, kind in zip(rows.schema, types, strict=True)]
    return rows.cast(pa.schema(fields, rows.schema.metadata))


def load_forgotten(location: Location) -> Forgotten:
    """Return what a store was told to forget.

    Raises
    ------
    StoreError
        When no copy of the list is whole.
    """
    contents = [location.read(name) for name in COPIES]
    for content in contents:
        found = None if content is None else parse(content)
        if found is not None:
            return found
    if any(content is not None for content in contents):
        raise StoreError(
            f"the list of what {location.url} was told to forget is damaged",
            "`testopt store check --repair` puts it aside; then forget the same again",
        )
    return Forgotten()


def save_forgotten(location: Location, forgotten: Forgotten) -> None:
    """Keep what a store was told to forget, in two copies."""
    content = _dump(forgotten)
    for name in COPIES:
        location.write(name, lambda stream: stream.write(content))


def _dump(forgotten: Forgotten) -> bytes:
    lists = {"cases": sorted(forgotten.cases), "authors": sorted(forgotten.authors)}
    body = json.dumps({"format": _FORMAT, **asdict(forgotten), **lists}, sort_keys=True)
    check = hashlib.sha256(body.encode()).hexdigest()
    return json.dumps({"sha256": check, "body": body}).encode()


def parse(content: bytes) -> Forgotten | None:
    """Return what a copy of the list says; None where it is damaged."""
    try:
        document = json.loads(content)
        text = document["body"]
        if hashlib.sha256(text.encode()).hexdigest() != document["sha256"]:
            return None
        body = json.loads(text)
        bytes.fromhex(body["key"])
        return Forgotten(
            body["key"], frozenset(body["cases"]), frozenset(body["authors"]), body["pending"]
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
