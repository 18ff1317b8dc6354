"""What describes risk: of a change, of its files and hunks, and the tests that may catch it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MetricContribution:
    """What one metric adds to the log-odds of a change; `typical` is the project's median."""

    metric: str
    value: float | None
    log_odds: float
    typical: float | None = None


@dataclass(frozen=True, slots=True)
class HunkRisk:
    """Changed lines that belong together, and the probability if they had changed alone.

    ``first`` and ``last`` count from 1 in the file after the change (before it, where the change
    deletes the file); ``name`` is the function or class around them, empty where there is none.
    """

    first: int
    last: int
    name: str
    probability: float
    added: int
    deleted: int


@dataclass(frozen=True, slots=True)
class LineRisk:
    """An added line that a later fix is likelier to change than the other lines of the change.

    ``line`` counts from 1 in the file after the change, ``name`` is the function around it;
    ``score`` are log-odds above those of the mean line of the change.
    """

    path: str
    line: int
    name: str
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class CatchingTest:
    """A case that may catch a defect in a file, and why.

    ``covers`` tells that it ran lines of the file, ``failed`` in how many of the ``changes`` of
    the file, as far as runs are known, it failed.
    """

    case_id: str
    covers: bool
    failed: int
    changes: int


@dataclass(frozen=True, slots=True)
class SimilarCulprit:
    """A past commit that introduced a defect, what fixed it, and files that it shares."""

    sha: str
    subject: str
    fix: str
    fix_subject: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FileRisk:
    """A file of a change, and the probability of a defect if it had changed alone.

    ``hunks`` are the riskiest places, ``tests`` the likeliest of the ``n_tests`` that may catch a
    defect there; ``n_tests`` is None where nothing is known of tests, or the file is none of the
    program. ``inert``: nothing that runs has changed, and no line of it counts.
    """

    path: str
    probability: float
    added: int | None = None
    deleted: int | None = None
    hunks: tuple[HunkRisk, ...] = ()
    tests: tuple[CatchingTest, ...] = ()
    n_tests: int | None = None
    inert: bool = False


@dataclass(frozen=True, slots=True)
class Risk:
    """Probability that a change introduces a defect, and why.

    ``percentile`` is the share of the last changes that are less risky, in 0..1, None where there
    are too few. ``parts`` add up to the log-odds of ``probability``; ``base`` is among them.
    ``files`` are the riskiest of the ``n_files``, ``lines`` the riskiest added ones; ``uncaught``
    are changed files of the program that no known test covers or ever caught. ``similar`` are past
    commits like it that introduced a defect known by then, ``unknown`` the files that it edits
    whose past is not in the store.
    """

    name: str  # full hash, or what else the change is
    probability: float
    percentile: float | None
    parts: tuple[MetricContribution, ...] = ()
    files: tuple[FileRisk, ...] = ()
    n_files: int = 0
    uncaught: tuple[str, ...] = ()
    lines: tuple[LineRisk, ...] = ()
    similar: tuple[SimilarCulprit, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RiskReport:
    """Risks, and what they rest on: the training data, and the fit on changes not seen in it.

    They are those of the youngest change. ``auc`` is measured on the youngest ``checked`` changes
    by a model that had not seen them, ``auc_lines`` is that of the number of added lines alone;
    ``by_lines`` says that these decide, as they do better, or too little is known.
    ``latency_days`` is the estimated time until half of the defects are found. ``commits`` were
    mined; ``begins`` is the first day of them where history before it is missing, and ``shallow``
    says that the clone has no more.
    """

    risks: tuple[Risk, ...]
    changes: int
    defects: int
    latency_days: float
    compared: int
    checked: int = 0
    auc: float | None = None
    auc_lines: float | None = None
    by_lines: bool = False
    commits: int = 0
    begins: str = ""
    shallow: bool = False
