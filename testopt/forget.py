"""Forgets authors and cases: finds what there is of them, and removes it from store and bundles.

Commits stay, without their author; runs stay, without the case. What the repository itself says,
such as paths and words of changed lines, is no part of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from testopt.errors import BundleError, DataError, SettingsError, UnknownCaseError, UsageError
from testopt.features.cases import CaseTable
from testopt.git.people import identities
from testopt.git.pseudonyms import author_key, key_fingerprint, pseudonym
from testopt.selection.bundle_registry import bundle_names, remove_bundle
from testopt.selection.decisions import log_decisions
from testopt.store.arrays import load_arrays
from testopt.store.forgotten import AUTHOR_KEY, AUTHOR_TABLES, CASE_TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from testopt.selection.decisions import Decision
    from testopt.store import Store
    from testopt.store.forgotten import Forgotten

# Caches that name cases and what stands in their files; they are made again when needed.
_CACHES: Final = ("state/features-", "state/sources.npz", "state/modules.npz")
_STATE: Final = "state.npz"  # of a bundle


@dataclass(frozen=True, slots=True)
class Person:
    """An author: as named by the user, addresses in the repository, rows by table."""

    name: str
    addresses: tuple[str, ...]
    pseudonyms: tuple[str, ...] = field(repr=False)
    rows: Mapping[str, int]

    @property
    def commits(self) -> int:
        """Commits in the store."""
        return self.rows["commits"]


@dataclass(frozen=True, slots=True)
class Forgettable:
    """What there is of some authors and cases.

    Attributes
    ----------
    people : tuple of Person
    cases : tuple of str
        Case ids.
    rows : mapping of str to int
        Their rows by table.
    runs : int
        Runs that lose results.
    bundles : tuple of str
        Bundles that know one of the cases: they are removed.
    """

    people: tuple[Person, ...] = ()
    cases: tuple[str, ...] = ()
    rows: Mapping[str, int] = field(default_factory=dict)
    runs: int = 0
    bundles: tuple[str, ...] = ()


def find_forgettable(
    *,
    store: Store,
    repo: Path | None,
    authors: Sequence[str] = (),
    cases: Sequence[str] = (),
    patterns: Sequence[str] = (),
) -> Forgettable:
    """Find what there is of authors and cases; nothing is changed.

    Parameters
    ----------
    store : Store
    repo : Path, optional
        Tells the addresses that belong to a name; without it only addresses can be found.
    authors : sequence of str
        Names or e-mail addresses, whole.
    cases : sequence of str
        Case ids, whole.
    patterns : sequence of str
        Of case ids: ``*`` stands for any text, ``?`` for any character, all else for itself.

    Raises
    ------
    UsageError
        When an author or a case is not in the store, and was not forgotten before.
    SettingsError
        When the store names authors with another key.
    """
    people = _people(store, repo, authors)
    known = _case_rows(store)
    wanted = _wanted(store, set().union(*known.values()), cases, patterns)
    rows = {t: sum(known[t].get(case, 0) for case in wanted) for t in CASE_TABLES}
    rows |= {t: sum(person.rows[t] for person in people) for t in AUTHOR_TABLES}
    columns, where = ["run_id"], [("case_id", "in", wanted)]
    touched = store.read("results", columns=columns, where=where, unfinished=True)
    return Forgettable(
        people,
        tuple(wanted),
        {table: count for table, count in rows.items() if count},
        len(touched["run_id"].unique()),
        tuple(name for name in bundle_names(store) if wanted and _knows(store, name, wanted)),
    )


def forget(*, store: Store, found: Forgettable) -> tuple[str, ...]:
    """Remove what was found, and keep it out from now on; without anything finish what was begun.

    Returns
    -------
    tuple of str
        Bundles that were removed.

    Raises
    ------
    StoreError
        When the store is damaged or cannot be written.
    """
    pseudonyms = {name for person in found.people for name in person.pseudonyms}
    with store.forgetting(cases=found.cases, authors=pseudonyms) as forgotten:
        removed = _remove_what_was_made(store, forgotten) if forgotten.cases else {}
    if removed:
        log_decisions(store, *(decision for of in removed.values() for decision in of))
    return tuple(removed)


def _remove_what_was_made(store: Store, forgotten: Forgotten) -> dict[str, list[Decision]]:
    """Remove the caches, and the bundles that know a forgotten case or cannot tell.

    The removed bundles come back, each with the decisions to log.
    """
    for name in store.blobs("state"):
        if name.startswith(_CACHES):
            store.delete_blob(name)
    known = {bundle: _cases_of(store, bundle) for bundle in bundle_names(store)}
    gone = [b for b, cases in known.items() if cases is None or forgotten.among(cases)]
    return {bundle: remove_bundle(store, bundle, why="it knew a forgotten case") for bundle in gone}


def _people(store: Store, repo: Path | None, authors: Sequence[str]) -> tuple[Person, ...]:
    if not authors:
        return ()
    key = _key(store)
    known = {table: _counts(store, table, "author") for table in AUTHOR_TABLES}
    forgotten = store.forgotten()
    people = []
    for name in dict.fromkeys(authors):
        found = {name.strip().lower().encode("utf-8", "surrogateescape")}
        found |= identities(repo, name) if repo is not None else set()
        names = {identity: pseudonym(identity, key) for identity in found}
        rows = {t: sum(of.get(one, 0) for one in names.values()) for t, of in known.items()}
        before = any(forgotten.authors and forgotten.digest(n) in forgotten.authors
                     for n in names.values())  # fmt: skip
        if not any(rows.values()) and not before:
            raise UsageError(
                f"the store has no commit of {name!r}",
                "give the whole name or e-mail address that git log shows, with --repo where it "
                "is a name",
            )
        addresses = sorted(one.decode("utf-8", "replace") for one in found)
        people.append(Person(name, tuple(addresses), tuple(sorted(names.values())), rows))
    return tuple(people)


def _key(store: Store) -> bytes:
    key, known = author_key(create=False), store.read_blob(AUTHOR_KEY)
    if known is None:
        raise DataError("no commits have been mined into this store, so it has no authors")
    if key is None or key_fingerprint(key) != known:
        raise SettingsError(
            "the authors of this store were hashed with another key, so none can be found",
            "set the TESTOPT_KEY that the store was written with",
        )
    return key


def _case_rows(store: Store) -> dict[str, dict[str, int]]:
    """Return how many rows each case has, by table."""
    found = {table: _counts(store, table, "case_id") for table in CASE_TABLES}
    for of_cases in found.values():
        of_cases.pop("", None)  # of coverage outside of all cases
    return found


def _counts(store: Store, table: str, column: str) -> dict[str, int]:
    """Return how many rows of a table each text of a column has."""
    rows = store.read(table, columns=[column], dictionary=[column], unfinished=True)
    return {row["values"].as_py(): row["counts"].as_py() for row in rows[column].value_counts()}


def _wanted(
    store: Store, known: set[str], cases: Sequence[str], patterns: Sequence[str]
) -> list[str]:
    forgotten = store.forgotten()
    wanted = dict.fromkeys(cases)
    for case in cases:
        if case not in known and not forgotten.among([case]):
            near = get_close_matches(case, known, n=1)
            hint = (
                f"did you mean {near[0]!r}?" if near else "give the whole id; testopt why finds it"
            )
            raise UnknownCaseError(f"the store has no case {case!r}", hint)
    for pattern in patterns:
        matches = re.compile(_expression(pattern), re.DOTALL).fullmatch
        found = sorted(filter(matches, known))
        if not found and not forgotten.pending:  # else an earlier call may have removed them
            raise UnknownCaseError(
                f"no case of the store matches {pattern!r}",
                "the pattern must match the whole id, such as 'tests/test_a.py::*'",
            )
        wanted |= dict.fromkeys(found)
    return list(wanted)


def _expression(pattern: str) -> str:
    """Return a regular expression; several ``*`` in a row are one."""
    parts = re.split(r"(\*+|\?)", pattern)
    return "".join({"*": ".*", "?": "."}.get(p[:1], re.escape(p)) for p in parts)


def _cases_of(store: Store, bundle: str) -> list[str] | None:
    """Return the cases that a bundle knows; None where that cannot be told."""
    data = store.read_blob(f"models/{bundle}/{_STATE}")
    try:
        arrays = load_arrays(data or b"")
        return CaseTable.load(arrays["history.table.ids"], arrays["history.table.ends"]).ids
    except (BundleError, KeyError, ValueError, TypeError):
        return None


def _knows(store: Store, bundle: str, cases: Iterable[str]) -> bool:
    known = _cases_of(store, bundle)
    return known is None or not set(known).isdisjoint(cases)
