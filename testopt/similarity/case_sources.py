"""Reads the sources of cases and changes; the index of files is kept beside the tables."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from testopt.errors import BundleError, StoreError
from testopt.impact.coverage_index import CoverageIndex
from testopt.similarity.case_texts import CaseTexts
from testopt.similarity.pretrained import load_pretrained
from testopt.store.arrays import dump_arrays, load_arrays

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from testopt.schema import Change
    from testopt.similarity.pretrained import PretrainedModel
    from testopt.similarity.query import Query
    from testopt.similarity.texts import Texts
    from testopt.store import Store

PATIENCE: Final = 20.0  # of training and backtest, which nobody waits for at a prompt
_SOURCES: Final = "state/sources.npz"
_SHA: Final = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


class Sources:
    """What the sources say of runs; indexed files are kept beside the tables.

    Parameters
    ----------
    repo : Path
        Top folder of the repository, or a bare one.
    store : Store, optional
        Where the index is kept, and what the cases ran when their coverage was measured.
    patience : float
        How many times longer than a plan to wait for git.
    pretrained : PretrainedModel, optional
        The model that weighs closeness; default: the one that comes with testopt.
    """

    def __init__(
        self,
        repo: Path,
        store: Store | None = None,
        *,
        patience: float = 1.0,
        pretrained: PretrainedModel | None = None,
    ) -> None:
        coverage = None if store is None else CoverageIndex(repo, store)
        self._reader = CaseTexts(repo, patience=patience, coverage=coverage)
        self.pretrained = load_pretrained() if pretrained is None else pretrained
        self._store = store
        data = store.read_blob(_SOURCES) if store is not None else None
        if data is not None:
            # a cache: what is damaged or of another version is read from git again
            with suppress(BundleError, KeyError, ValueError, IndexError):
                self._reader.index.load(load_arrays(data))
        self._size_kept = len(self._reader.index)

    def add(self, query: Query) -> Query:
        """Return the query with the text of its cases and of its change, where it is known."""
        run = query.run
        if not (run.commit and _SHA.fullmatch(run.commit)) or query.lacks_its_change:
            return query
        base = run.base if run.base and _SHA.fullmatch(run.base) else f"{run.commit}^"
        patch = "".join(file.patch for file in query.files if file.patch).encode()
        text = self._reader.read(
            query.cases, base=base, commit=run.commit, patch=patch or None, time=run.time
        )
        return replace(query, text=self._with_model(text))

    def of_change(self, cases: Sequence[str], change: Change) -> Texts | None:
        """Return the text of some cases and of a change that git knows or the disk holds."""
        if not change.known or not change.base:
            return None
        added = [file.path for file in change.files if file.status == "A"]
        return self._with_model(
            self._reader.read(cases, base=change.base, commit=change.head, added=added)
        )

    def _with_model(self, text: Texts | None) -> Texts | None:
        return (
            None if text is None else replace(text, weigher=self.pretrained.model_for(text.paths))
        )

    def keep(self) -> None:
        """Keep the index for the next plan, where it has grown."""
        index = self._reader.index
        if self._store is None or len(index) == self._size_kept:
            return
        with suppress(StoreError):
            self._store.write_blob(_SOURCES, dump_arrays(index.dump(index.objects())))
            self._size_kept = len(index)
