"""The cases that must run, each with its reason, from features, rules and options."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from testopt.reasons import Reason, ReasonKind
from testopt.runners.locate import Locator
from testopt.selection.must_run_rules import always_run, beside_data, why_everything
from testopt.selection.score import must_run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testopt.features.run_features import RunFeatures
    from testopt.schema import Change, FileChange, Selection
    from testopt.similarity.query import Query


def why_all(change: Change, selection: Selection) -> Reason | None:
    """Return why every case must run; None where none of the rules says so."""
    if selection.run_all:
        return selection.run_all
    if not change.known:
        return Reason(ReasonKind.CHANGE_UNKNOWN, (change.why,))
    return why_everything(change.files, selection.run_all_on)


def forced_cases(
    query: Query, features: RunFeatures, selection: Selection, *, history: bool
) -> dict[str, Reason]:
    """Return the cases that must run, each with the strongest reason.

    Parameters
    ----------
    query : Query
        Cases and changed files.
    features : RunFeatures
        Features of the cases.
    selection : Selection
    history : bool
        Whether any run is known; without, no case is called new.
    """
    read = features.source_read.tolist()
    unread = [case for case, known in zip(query.cases, read, strict=True) if not known]
    return {
        **beside_data(query.cases, query.files, query.text),
        **_in_changed_files(unread, query.files),
        **dict(_from_features(query.cases, features, history=history)),
        **always_run(query.cases, selection.must_run),
        **selection.required,
    }


def _from_features(
    cases: Sequence[str], features: RunFeatures, *, history: bool
) -> Iterator[tuple[str, Reason]]:
    edited, new = features.in_change, features.is_new
    must = must_run(features) if history else edited > 0
    for i in np.flatnonzero(must).tolist():
        if edited[i] >= 1.0:
            yield cases[i], Reason(ReasonKind.TEST_CHANGED)
        elif history and new[i]:
            yield cases[i], Reason(ReasonKind.NEW_CASE)
        elif edited[i] > 0.0:
            yield cases[i], Reason(ReasonKind.HELPER_CHANGED)
        else:
            yield cases[i], Reason(ReasonKind.FAILED_LAST)


def _in_changed_files(cases: Sequence[str], files: Sequence[FileChange]) -> dict[str, Reason]:
    """Return the cases whose files are in the change, where no source tells them apart."""
    if not cases or not files:
        return {}
    changed = Locator(file.path for file in files)
    reason = Reason(ReasonKind.FILE_CHANGED)
    inside: dict[str, bool] = {}  # by what stands before "::", which names the file
    found = {}
    for case in cases:
        file = case.partition("[")[0].partition("::")[0] or case
        known = inside.get(file)
        if known is None:
            known = inside[file] = bool(changed.find(case)[0])
        if known:
            found[case] = reason
    return found
