"""Reasons: why a case stands where it stands, runs or is left out, and why a plan is as it is.

A reason is a kind with its values; the words that are printed for it are made here and nowhere
else. A new kind is a member of `ReasonKind` and an entry of ``_FORMS``.
"""

from __future__ import annotations

from collections import Counter
from enum import Enum, IntEnum, auto
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from testopt.durations import format_duration
from testopt.pluralize import pluralize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


class Role(IntEnum):
    """What a reason is for; those of a case are given in this order."""

    DECISION = auto()  # why it must run, is selected or is left out
    CLOSENESS = auto()  # what connects it with the change
    PAST = auto()  # what its own runs were like
    REMARK = auto()  # what speaks against it
    PLAN = auto()  # of a plan as a whole


class ReasonKind(Enum):
    """The facts that a reason may state; their values are in the order of ``_FORMS``."""

    # why a case must run
    TEST_CHANGED = auto()
    HELPER_CHANGED = auto()
    FILE_CHANGED = auto()
    MAY_USE_CHANGED = auto()
    ALWAYS_RUNS = auto()
    MARKED = auto()
    # why coverage and imports say that a change could affect a case
    OWN_FILE_CHANGED = auto()
    RAN_FUNCTION = auto()
    IMPORTS = auto()
    MAY_READ = auto()
    STARTS_PROCESSES = auto()
    IMPORTS_UNKNOWN = auto()
    SOURCE_UNKNOWN = auto()
    # why they say that it could not
    OTHER_CASES_CHANGED = auto()
    IMPORTS_NOTHING_CHANGED = auto()
    RAN_NOTHING_CHANGED = auto()
    # why a case is selected, runs all the same, or is left out
    SCORE_REACHED = auto()
    EVERYTHING_RUNS = auto()
    IN_SHADOW = auto()
    CHANGE_DRAWN = auto()
    CASE_DRAWN = auto()
    BELOW_THRESHOLD = auto()
    KEPT_BY_STEP = auto()
    OVER_BUDGET = auto()
    LONGER_THAN_BUDGET = auto()
    NOT_AFFECTED = auto()
    ORIGINAL_ORDER = auto()
    # what brings a case close to the change
    RAN_CHANGE = auto()
    CALLS_CHANGE = auto()
    EDITED_WITH_FUNCTIONS = auto()
    EDITED_WITH_LINES = auto()
    SHARES_WORDS = auto()
    SHARES_MESSAGES = auto()
    IMPORTS_CHANGED = auto()
    # its past
    FAILED_WITH_CHANGE = auto()
    FAILED_WITH_VARIANT = auto()
    NEW_CASE = auto()
    FAILED_LAST = auto()
    NEVER_FAILED = auto()
    FAILED = auto()
    NAMES_NOTHING_CHANGED = auto()
    # why all cases run
    CHANGE_UNKNOWN = auto()
    SUBMODULE_CHANGED = auto()
    SHARED_FILE_CHANGED = auto()
    ANYTHING_MAY_DEPEND = auto()
    ANYTHING_MAY_READ = auto()
    NO_REPOSITORY = auto()
    ASKED_BY_SETTING = auto()
    ASKED_BY_ENVIRONMENT = auto()
    ASKED_BY_COMMIT = auto()
    RUN_AGAIN = auto()
    MESSAGES_UNREADABLE = auto()
    ASKED_SHADOW = auto()
    COULD_SELECT = auto()
    # whether a selection is trusted
    TRUST_SO_FAR = auto()
    SELECTS_AT_ONCE = auto()
    # why planned cases have no result
    RAN_NOTHING = auto()
    NAMED_OTHERWISE = auto()
    OTHER_SUITE = auto()
    UNCOLLECTED = auto()
    REPORT_BROKEN = auto()
    RUN_INCOMPLETE = auto()
    WORKER_CRASHED = auto()
    STOPPED_AT_FAILURE = auto()
    FILE_NOT_RUN = auto()
    LEFT_OUT_BY_RUNNER = auto()
    PART_NOT_COME = auto()
    # why no trained model orders a plan, or nothing does
    TROUBLE = auto()
    NO_STORE = auto()
    NO_HISTORY = auto()
    NO_MODEL = auto()
    YOUNG_MODEL = auto()
    # what orders it
    CLOSENESS_BY_MODEL = auto()
    CLOSENESS_BY_HAND = auto()
    CLOSENESS_BY_HAND_LANGUAGE = auto()
    OLDER_RUNS_ARRIVED = auto()
    RUNS_UNREAD = auto()


class Reason(NamedTuple):
    """A fact about a case or a plan: its kind, and the values that differ from one to another."""

    kind: ReasonKind
    values: tuple[Any, ...] = ()

    @property
    def role(self) -> Role:
        """What the reason is for."""
        return _FORMS[self.kind].role


class _Form(NamedTuple):
    """How a kind is put into words.

    ``words`` is a template for the values or a function of them, ``summary`` the same for many
    cases at once; without one, cases are summed up by their words.
    """

    role: Role
    words: str | Callable[..., str]
    summary: str = ""


def words(reason: Reason) -> str:
    """Return a reason in words."""
    form = _FORMS[reason.kind].words
    return form.format(*reason.values) if isinstance(form, str) else form(*reason.values)


def sentence(reasons: Iterable[Reason | None]) -> str:
    """Return several reasons in words, in their order; None is left out."""
    return "; ".join(words(reason) for reason in reasons if reason is not None)


def summary(reason: Reason) -> str:
    """Return a reason in the words that many cases have in common."""
    form = _FORMS[reason.kind].summary
    return form.format(*reason.values) if form else words(reason)


def summed_up(reasons: Iterable[Reason], *, most: int = 6) -> list[tuple[str, int]]:
    """Return how many cases have each kind of reason, the most frequent ones first.

    Parameters
    ----------
    reasons : iterable of Reason
        One of each case.
    most : int
        How many kinds to name; what is left is "other reasons".
    """
    kinds: Counter[str] = Counter()
    for reason, count in Counter(reasons).items():
        kinds[summary(reason)] += count
    ranked = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(count for _, count in ranked[most:])
    return ranked[:most] + ([("other reasons", rest)] if rest else [])


def left_out(decisions: Iterable[Reason | None], reasons: Sequence[Reason]) -> tuple[Reason, ...]:
    """Return the reasons of a case that is left out: what decided, and its past beside it.

    Parameters
    ----------
    decisions : iterable of Reason or None
        Why it is left out.
    reasons : sequence of Reason
        Its reasons for running; what connects it with the change is none for leaving it out.
    """
    past = (reason for reason in reasons if reason.role in (Role.PAST, Role.REMARK))
    return (*(reason for reason in decisions if reason is not None), *past)


def _runs_ago(runs: int) -> str:
    return "time it ran" if runs < 1 else f"{runs + 1} runs ago"


def _failed(failures: int, runs: int, runs_since: int) -> str:
    return f"failed in {failures} of {runs} runs, last {_runs_ago(runs_since)}"


def _failed_with_change(failures: int, changes: int, thing: str, commit: str) -> str:
    at = f", last at {commit}" if commit else ""
    return f"failed in {failures} of {changes} changes to `{thing}`{at}"


def _never_failed(runs: int) -> str:
    return f"never failed in {pluralize(runs, 'run')}"


def _imports(path: str, through: str) -> str:
    return f"imports {path}{f' through {through}' if through else ''}"


def _by_way(fact: str) -> Callable[..., str]:
    """Return a form for a fact whose last value is the file by way of which it holds, or empty."""

    def form(*values: str) -> str:
        through = f" (by way of {values[-1]})" if values[-1] else ""
        return fact.format(*values) + through

    return form


def _over_budget(score: float, threshold: float, budget_s: float) -> str:
    least = f"the threshold {threshold:.4g} that the budget of {format_duration(budget_s)} allows"
    return f"its score {score:.4g} is below {least}"


def _longer_than_budget(seconds: float, room_s: float) -> str:
    return f"it takes {format_duration(seconds)}, where the budget leaves {format_duration(room_s)}"


_MORE_IMPORTS: Final = "imports or reads what changed"
_K = ReasonKind
_FORMS: Final[dict[ReasonKind, _Form]] = {
    _K.TEST_CHANGED: _Form(Role.DECISION, "the test itself was changed"),
    _K.HELPER_CHANGED: _Form(Role.DECISION, "a fixture or helper beside it was changed"),
    _K.FILE_CHANGED: _Form(Role.DECISION, "its file was changed"),
    _K.MAY_USE_CHANGED: _Form(Role.DECISION, "{0}, which it may use, changed"),  # path
    _K.ALWAYS_RUNS: _Form(Role.DECISION, "always runs ({0})"),  # glob
    _K.MARKED: _Form(Role.DECISION, "marked testopt_always"),
    _K.OWN_FILE_CHANGED: _Form(Role.DECISION, "its own file changed"),
    _K.RAN_FUNCTION: _Form(Role.DECISION, "ran `{0}` of {1}", "ran what changed"),  # name, path
    _K.IMPORTS: _Form(Role.DECISION, _imports, _MORE_IMPORTS),
    _K.MAY_READ: _Form(Role.DECISION, _by_way("may read {0}"), _MORE_IMPORTS),  # path, file
    _K.STARTS_PROCESSES: _Form(
        Role.DECISION, _by_way("starts processes, which may run anything")
    ),  # file
    _K.IMPORTS_UNKNOWN: _Form(
        Role.DECISION, _by_way("imports what cannot be told"), _MORE_IMPORTS
    ),  # file
    _K.SOURCE_UNKNOWN: _Form(Role.DECISION, "what its source depends on is not known"),
    _K.OTHER_CASES_CHANGED: _Form(Role.DECISION, "only other cases of its file changed"),
    _K.IMPORTS_NOTHING_CHANGED: _Form(Role.DECISION, "it imports nothing that changed"),
    _K.RAN_NOTHING_CHANGED: _Form(
        Role.DECISION, "it ran none of what changed when its coverage was measured"
    ),
    _K.SCORE_REACHED: _Form(
        Role.DECISION,
        "its score {0:.4g} is at least the threshold {1:.4g}",  # score, threshold
        "a score of at least {1:.4g}",
    ),
    _K.EVERYTHING_RUNS: _Form(Role.DECISION, "everything runs"),
    _K.IN_SHADOW: _Form(Role.DECISION, "in shadow: the plan would leave it out"),
    _K.CHANGE_DRAWN: _Form(Role.DECISION, "drawn, to measure the recall"),
    _K.CASE_DRAWN: _Form(Role.DECISION, "drawn, to go on learning"),
    _K.BELOW_THRESHOLD: _Form(
        Role.DECISION,
        "its score {0:.4g} is below the threshold {1:.4g}",  # score, threshold
        "a score below {1:.4g}",
    ),
    _K.KEPT_BY_STEP: _Form(
        Role.DECISION,
        "its score {0:.4g} is not among the lowest {1:.0%}",  # score, share
        "a score not among the lowest {1:.0%}, which alone are left out by now",
    ),
    _K.OVER_BUDGET: _Form(Role.DECISION, _over_budget, "a score too low for the budget"),
    _K.LONGER_THAN_BUDGET: _Form(Role.DECISION, _longer_than_budget, "longer than the budget"),
    _K.NOT_AFFECTED: _Form(Role.DECISION, "coverage and imports do not connect it with the change"),
    _K.ORIGINAL_ORDER: _Form(Role.DECISION, "original order"),
    _K.RAN_CHANGE: _Form(Role.CLOSENESS, "ran the changed lines when its coverage was measured"),
    _K.CALLS_CHANGE: _Form(Role.CLOSENESS, "calls what was changed"),
    _K.EDITED_WITH_FUNCTIONS: _Form(
        Role.CLOSENESS, "was edited together with the changed functions before"
    ),
    _K.EDITED_WITH_LINES: _Form(
        Role.CLOSENESS, "was edited together with the changed lines before"
    ),
    _K.SHARES_WORDS: _Form(Role.CLOSENESS, "shares words with the change"),
    _K.SHARES_MESSAGES: _Form(
        Role.CLOSENESS, "shares words with the messages of those who wrote the changed code"
    ),
    _K.IMPORTS_CHANGED: _Form(Role.CLOSENESS, "imports a changed file", _MORE_IMPORTS),
    _K.FAILED_WITH_CHANGE: _Form(
        Role.PAST, _failed_with_change, "failed when the same was changed"
    ),
    _K.FAILED_WITH_VARIANT: _Form(
        Role.PAST, "failed in {0} of {1} variants of `{2}`", "failed in variants of the same"
    ),  # hits, variants, name
    _K.NEW_CASE: _Form(Role.PAST, "new case"),
    _K.FAILED_LAST: _Form(Role.PAST, "failed in the previous run"),
    _K.NEVER_FAILED: _Form(Role.PAST, _never_failed, "never failed"),
    _K.FAILED: _Form(Role.PAST, _failed, "failed before"),
    _K.NAMES_NOTHING_CHANGED: _Form(Role.REMARK, "nothing it names changed"),
    _K.CHANGE_UNKNOWN: _Form(Role.PLAN, "the change is unknown: {0}"),  # why
    _K.SUBMODULE_CHANGED: _Form(Role.PLAN, "the submodule {0} changed"),  # path
    _K.SHARED_FILE_CHANGED: _Form(Role.PLAN, "{0} changed"),  # path
    _K.ANYTHING_MAY_DEPEND: _Form(Role.PLAN, "{0} changed, on which everything may depend"),
    _K.ANYTHING_MAY_READ: _Form(Role.PLAN, "{0} changed, and nothing names what reads it"),
    _K.NO_REPOSITORY: _Form(Role.PLAN, "there is no repository to read the changed files from"),
    _K.ASKED_BY_SETTING: _Form(Role.PLAN, "the setting {0} asks for it"),
    _K.ASKED_BY_ENVIRONMENT: _Form(Role.PLAN, "{0} asks for it"),  # variable
    _K.ASKED_BY_COMMIT: _Form(Role.PLAN, "commit {0} asks for it"),
    _K.RUN_AGAIN: _Form(
        Role.PLAN, "this is attempt {0} of the job, and the store does not know what failed before"
    ),
    _K.MESSAGES_UNREADABLE: _Form(
        Role.PLAN, "the messages of the change cannot be read: {0}"
    ),  # message of an error
    _K.ASKED_SHADOW: _Form(Role.PLAN, "in shadow, as was asked for"),
    _K.COULD_SELECT: _Form(Role.PLAN, "cases could be left out by now"),
    _K.TRUST_SO_FAR: _Form(Role.PLAN, "{0}"),  # what `Trust` says of the plans so far
    _K.SELECTS_AT_ONCE: _Form(Role.PLAN, "selecting at once, as asked ({0})"),  # the same
    _K.RAN_NOTHING: _Form(
        Role.PLAN,
        "the runner ran nothing: look in its output for what it did not find, and plan with the "
        "--format of this runner, in the folder where it runs",
    ),
    _K.NAMED_OTHERWISE: _Form(
        Role.PLAN,
        "the runner names its cases in another way, {1} where {0} was planned: let it run in the "
        "same folder and report in the same form as before",
    ),  # what was planned, and what came
    _K.OTHER_SUITE: _Form(
        Role.PLAN,
        "none of them came, and others such as {0} did: look whether these are the results of "
        "another suite, job or --run-id",
    ),
    _K.UNCOLLECTED: _Form(
        Role.PLAN,
        "{0} could not be collected, and the runner then ran nothing else: mend it and run this "
        "part again",
    ),  # path
    _K.REPORT_BROKEN: _Form(
        Role.PLAN,
        "{0} is not whole ({1}): run this part again, or read its whole report under the same "
        "--run-id",
    ),  # path, what is wrong with it
    _K.RUN_INCOMPLETE: _Form(
        Role.PLAN, "the run did not end: run this part again under the same --run-id"
    ),
    _K.WORKER_CRASHED: _Form(
        Role.PLAN,
        "a worker of the runner crashed ({0}) and took cases with it: mend or leave out the case "
        "that it ran, and run this part again",
    ),  # message of the runner
    _K.STOPPED_AT_FAILURE: _Form(
        Role.PLAN,
        "nothing came after {0} failed: the runner stopped there (-x, --maxfail, fail fast); "
        "without that all of them run",
    ),
    _K.FILE_NOT_RUN: _Form(
        Role.PLAN,
        "no case of {0} came: the runner was not given it, or its arguments and settings leave it "
        "out (-k, -m, --ignore, tags)",
    ),
    _K.LEFT_OUT_BY_RUNNER: _Form(
        Role.PLAN,
        "other cases of their files came: look for what filters them in the arguments and the "
        "settings of the runner (-k, -m, --deselect, --lf, tags)",
    ),
    _K.PART_NOT_COME: _Form(
        Role.PLAN,
        "nothing of part {0} came: look whether its job ran, and read its results under the same "
        "--run-id and --job",
    ),  # names of parts
    _K.TROUBLE: _Form(Role.PLAN, "{0}"),  # message of an error
    _K.NO_STORE: _Form(Role.PLAN, "there is no store yet"),
    _K.NO_HISTORY: _Form(Role.PLAN, "there is no history yet"),
    _K.NO_MODEL: _Form(Role.PLAN, "no trained model yet (testopt train)"),
    _K.YOUNG_MODEL: _Form(
        Role.PLAN, "a model of its own has no say before {0} failing runs ({1} so far)"
    ),
    _K.CLOSENESS_BY_MODEL: _Form(
        Role.PLAN,
        "closeness is weighed by the model {0} that comes with testopt, learnt on {1} other "
        "projects",
    ),
    _K.CLOSENESS_BY_HAND: _Form(
        Role.PLAN, "{0}: closeness is weighed by hand-set weights"
    ),  # why the model that comes with testopt cannot be used
    _K.CLOSENESS_BY_HAND_LANGUAGE: _Form(
        Role.PLAN,
        "closeness is weighed by hand-set weights: no model knows the language of the cases",
    ),
    _K.OLDER_RUNS_ARRIVED: _Form(Role.PLAN, "older runs have arrived since the last training"),
    _K.RUNS_UNREAD: _Form(Role.PLAN, "only the last {0} of {1} new runs were read"),
}
