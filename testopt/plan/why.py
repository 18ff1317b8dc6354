"""Why one case is, or is not, in the plan for a change: all that is known of it."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from testopt.errors import RepositoryError, UnknownCaseError
from testopt.features.run_features import NAMES
from testopt.git.blobs import read_tree
from testopt.git.changed_lines import diff_of_files, read_changed_lines
from testopt.impact.coverage_index import match_measured, regions_then
from testopt.learning.contributions import contributions
from testopt.plan.case_history import CasePast, case_past
from testopt.plan.last_plan import LastPlace, last_place
from testopt.plan.planner import scored_plan
from testopt.ranking.families import families
from testopt.results.coverage import lines_of
from testopt.runners.case_ids import split_case
from testopt.runners.locate import Locator
from testopt.similarity.nearest_files import Nearness, nearest_files

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from testopt.git.pending_run import PendingRun
    from testopt.impact.coverage_index import Regions
    from testopt.impact.safe_selection import Impact
    from testopt.plan.inputs import PlanInputs
    from testopt.plan.planner import ScoredPlan
    from testopt.reasons import Reason
    from testopt.schema import Plan, PlannedCase, Selection
    from testopt.selection.promotion import Rules
    from testopt.store import Store

_BACKGROUND: Final = 32  # other cases of the run that the model's answer is compared with
_COVERED: Final = 5  # covered files that are shown
_CHANGES: Final = 4  # changed functions, files and folders whose past is shown
_NEAR: Final = 3  # ids that an unknown one is compared with
_AMBIGUOUS: Final = 10  # ids that are listed where a name may mean several


@dataclass(frozen=True, slots=True)
class Covered:
    """A file of which a case ran lines when its coverage was measured.

    ``share`` is that of the changed lines that it ran, None where none of the file are known.
    """

    path: str
    lines: int
    changed: bool
    share: float | None = None


@dataclass(frozen=True, slots=True)
class Contribution:
    """What a family of features adds to the log-odds of a failure, against other cases."""

    family: str
    log_odds: float


@dataclass(frozen=True, slots=True)
class Why:
    """All that is known of a case in a plan.

    Attributes
    ----------
    planned : PlannedCase
        Rank, probability, selection score, whether it is selected and runs, the reasons.
    plan : Plan
        What it is part of, with the promise where cases may be left out.
    past : CasePast
    affected, clear : Reason, optional
        Why coverage and imports say that the change could affect it, or could not; neither
        where they were not asked.
    nearest : tuple of Nearness
        Changed files that share words with it.
    covers : tuple of Covered
        Files that it ran when it was measured, changed ones first.
    base : float
        Log-odds of a failure of the other cases of the run, on average; None without a model.
    contributions : tuple of Contribution
        By family, the largest first; with `base` they add up to the log-odds of this case.
    last : LastPlace, optional
        Where it stood in the last plan that was recorded, as it was at the time.
    """

    planned: PlannedCase
    plan: Plan
    past: CasePast
    affected: Reason | None = None
    clear: Reason | None = None
    nearest: tuple[Nearness, ...] = ()
    covers: tuple[Covered, ...] = ()
    base: float | None = None
    contributions: tuple[Contribution, ...] = ()
    last: LastPlace | None = None


def why(
    case: str,
    inputs: PlanInputs,
    *,
    selection: Selection | None = None,
    rules: Rules | None = None,
    impact: Impact | None = None,
) -> Why:
    """Explain the place of a case in the plan for a change.

    Parameters
    ----------
    case : str
        Its id, its name, or a part that one id alone has.
    inputs, selection, rules
        As for `testopt.plan.plan`.
    impact : Impact, optional
        What coverage and imports say of the change.

    Returns
    -------
    Why

    Raises
    ------
    UnknownCaseError
        When no case, or more than one, has such an id.
    """
    case_id = find_case(case, inputs.cases)
    scored = scored_plan(inputs, selection=selection, rules=rules)
    run, store = inputs.run, inputs.store
    position = scored.query.cases.index(case_id)
    base, parts = _contributions(scored, position)
    return Why(
        next(planned for planned in scored.plan.cases if planned.case_id == case_id),
        scored.plan,
        CasePast() if store is None else _past(scored, position, store, run.began),
        affected=None if impact is None else impact.affected.get(case_id),
        clear=None if impact is None else impact.clear.get(case_id),
        nearest=tuple(nearest_files(scored.query, position)),
        covers=() if store is None else _covers(store, case_id, run),
        base=base,
        contributions=parts,
        last=None if store is None else last_place(store, case_id),
    )


def find_case(case: str, cases: Sequence[str]) -> str:
    """Return the id that is meant.

    Parameters
    ----------
    case : str
        An id; the name of a function, class or file at the end of one; or a part of one. The
        first of these that any id has decides.
    cases : sequence of str
        All ids.

    Raises
    ------
    UnknownCaseError
        When no case, or more than one, is meant.
    """
    known = list(dict.fromkeys(cases))
    parts = _meant(case, known) if case else []
    if len(parts) == 1:
        return parts[0]
    if parts:
        shown = ", ".join(parts[:_AMBIGUOUS])
        more = f" and {len(parts) - _AMBIGUOUS} more" if len(parts) > _AMBIGUOUS else ""
        raise UnknownCaseError(f"{len(parts)} cases have {case!r} in their ids", f"{shown}{more}")
    near = difflib.get_close_matches(case, known, n=_NEAR, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "see: testopt rank --all"
    raise UnknownCaseError(f"no case of {len(known):,} has {case!r} in its id", hint)


def _meant(case: str, known: Sequence[str]) -> list[str]:
    """Return the ids that a name may mean: the whole, its end, its function, else any part."""
    if case in known:
        return [case]
    inside = [name for name in known if case in name]
    ends = [name for name in inside if _ends(name, case)]
    functions = [name for name in inside if _ends(split_case(name)[0], case)]
    return ends or functions or inside


def _ends(name: str, end: str) -> bool:
    """Tell whether a name ends with whole words."""
    before = name[: len(name) - len(end)]
    return name.endswith(end) and not (before[-1:].isalnum() or before[-1:] == "_")


def _past(scored: ScoredPlan, position: int, store: Store, began: datetime) -> CasePast:
    """Return the past of a case, with the numbers that the plan's reasons rest on."""
    query, state = scored.query, scored.state
    if state is None or scored.scored is None:
        return case_past(store, [query.cases[position]], before=began)
    names = state.history.table.names_of(query.cases[position], query.files)
    past, facts = case_past(store, names, before=began), scored.scored.features
    runs = int(facts.executions[position])
    return replace(
        past,
        runs=runs,
        failures=int(facts.failures[position]),
        unread=max(past.runs - runs, 0),
        changes=tuple(state.cofailure.reasons_of(query, position)[:_CHANGES]),
    )


def _contributions(
    scored: ScoredPlan, position: int
) -> tuple[float | None, tuple[Contribution, ...]]:
    """Return what the model's answer for a case consists of; nothing without a model."""
    if scored.model is None or scored.scored is None or len(scored.query.cases) < 2:  # noqa: PLR2004
        return None, ()
    x = scored.scored.features.matrix
    others = np.delete(np.arange(len(x)), position)
    step = max(len(others) // _BACKGROUND, 1)
    groups = families(NAMES)
    base, values = contributions(
        scored.model.log_odds,
        x[position],
        x[others[::step][:_BACKGROUND]],
        list(groups.values()),
    )
    parts = [Contribution(name, float(v)) for name, v in zip(groups, values, strict=True)]
    base += scored.plan.origin.level
    return base, tuple(sorted(parts, key=lambda part: (-abs(part.log_odds), part.family)))


def _covers(store: Store, case: str, run: PendingRun) -> tuple[Covered, ...]:
    """Return the files that a case ran when it was measured last."""
    columns = ["path", "lines", "commit", "seen"]
    named, _ = match_measured(store, [case], _locator(run))
    where = [("case_id", "=", named.get(case, case))]
    rows = store.read("links", columns=columns, where=where).to_pylist()
    latest = max((row["seen"] for row in rows), default=None)
    rows = [row for row in rows if row["seen"] == latest and row["path"]]
    ran = {row["path"]: frozenset(lines_of(row["lines"])) for row in rows}
    then = _changed_then(run, rows[0]["commit"]) if rows else {}
    changed = {file.path for file in run.change.files}
    found = []
    for path, covered in ran.items():
        lines = frozenset[int]().union(*then.get(path, ()))
        share = len(lines & covered) / len(lines) if lines else None
        found.append(Covered(path, len(covered), path in changed, share))
    return tuple(sorted(found, key=lambda c: (not c.changed, -c.lines, c.path))[:_COVERED])


def _locator(run: PendingRun) -> Locator:
    try:
        return Locator(read_tree(run.repo, run.change.head) if run.repo is not None else ())
    except RepositoryError:
        return Locator(())


def _changed_then(run: PendingRun, measured: str | None) -> Regions:
    """Return the changed lines of each file, as they were when they were measured."""
    base, head = run.change.base, run.change.head
    if run.repo is None or not run.change.known or base is None:
        return {}
    paths = sorted({file.old_path or file.path for file in run.change.files})
    try:
        diff = diff_of_files(run.repo, base=base, head=head, paths=paths)
        changed = {patch.old: patch.old_lines for patch in read_changed_lines(diff) if patch.old}
        return regions_then(run.repo, measured=measured or "", base=base, changed=changed)
    except RepositoryError:
        return {}
