"""Past commits that introduced a defect and are most like a change: in the same files and words.

Only those count whose defect was known before the change.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple, TypeGuard

from testopt.code.paths import is_code, is_test_path
from testopt.errors import RepositoryError
from testopt.git.messages import messages_of
from testopt.risk.values import SimilarCulprit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from testopt.schema import Change
    from testopt.store import Store

_SHOWN: Final = 2
_READ: Final = 20  # commits alike in their files whose messages are read
_LEAST: Final = 0.1  # likeness of the files below which a commit is another matter
_WORDS: Final = 0.5  # of the likeness of files, the likeness of words counts
_FOLDER: Final = 0.3  # of a file, its folder counts
_WORD: Final = re.compile(r"[^\W\d_]{3,}")


class _Culprit(NamedTuple):
    sha: str
    fix: str
    known: float


def similar_culprits(
    store: Store, repo: Path, changes: Mapping[str, tuple[Change, float]]
) -> dict[str, tuple[SimilarCulprit, ...]]:
    """Return the past commits most like some changes that introduced a defect.

    Parameters
    ----------
    store : Store
        With traced fixes.
    repo : Path
        Where the messages are read from.
    changes : mapping of str to (Change, float)
        By name, with the time of the change in seconds since 1970.

    Returns
    -------
    dict of str to tuple of SimilarCulprit
        At most two of each change, the likest first; none where git fails, or no file of the
        program has changed.
    """
    culprits = _culprits(store)
    paths = _paths(store, {c.sha for c in culprits})
    rarity = _rarity(paths.values())
    out = {}
    for name, (change, time) in changes.items():
        own = {path for f in change.files for path in (f.path, f.old_path) if _is_program(path)}
        known = [c for c in culprits if c.known < time and c.sha != change.head]
        alike = {c: _alike(own, paths[c.sha], rarity) for c in known if c.sha in paths}
        first = sorted(alike, key=lambda c: (-alike[c], c.sha))[:_READ]
        first = [c for c in first if alike[c] >= _LEAST]
        try:
            out[name] = _likest(repo, change.head, {c: alike[c] for c in first}, own, paths)
        except RepositoryError:
            out[name] = ()
    return out


def _culprits(store: Store) -> list[_Culprit]:
    """Return the commits that introduced a defect, each with the first fix of it."""
    columns = ["fix_commit", "bug_commit", "chosen", "time"]
    found: dict[str, _Culprit] = {}
    for row in store.read("labels", columns=columns).to_pylist():
        bug, time = row["bug_commit"], row["time"].timestamp()
        if row["chosen"] and bug and (bug not in found or time < found[bug].known):
            found[bug] = _Culprit(bug, row["fix_commit"], time)
    return list(found.values())


def _paths(store: Store, shas: set[str]) -> dict[str, set[str]]:
    table = store.read("file_changes", columns=["sha", "path"], where=[("sha", "in", sorted(shas))])
    out: dict[str, set[str]] = defaultdict(set)
    for sha, path in zip(table["sha"].to_pylist(), table["path"].to_pylist(), strict=True):
        if _is_program(path):
            out[sha].add(path)
    return dict(out)


def _is_program(path: str | None) -> TypeGuard[str]:
    return path is not None and is_code(path) and not is_test_path(path)


def _rarity(commits: Iterable[set[str]]) -> dict[str, float]:
    counts: Counter[str] = Counter()
    n = 0
    for paths in commits:
        counts.update(_with_folders(paths))
        n += 1
    return {path: math.log(1.0 + n / count) for path, count in counts.items()}


def _with_folders(paths: Iterable[str]) -> dict[str, float]:
    weights: dict[str, float] = {}
    for path in paths:
        weights[path] = 1.0
        weights.setdefault(f"{path.rpartition('/')[0]}/", _FOLDER)
    return weights


def _alike(own: set[str], other: set[str], rarity: Mapping[str, float]) -> float:
    """Return how alike two sets of files are, 0 to 1; what many commits touch says little."""
    a, b = _with_folders(own), _with_folders(other)
    most = max(rarity.values(), default=1.0)

    def norm(weights: Mapping[str, float]) -> float:
        return math.sqrt(sum((w * rarity.get(p, most)) ** 2 for p, w in weights.items()))

    shared = sum(a[p] * b[p] * rarity.get(p, most) ** 2 for p in a.keys() & b.keys())
    return shared / max(norm(a) * norm(b), 1e-9)


def _likest(
    repo: Path,
    head: str | None,
    alike: Mapping[_Culprit, float],
    own: set[str],
    paths: Mapping[str, set[str]],
) -> tuple[SimilarCulprit, ...]:
    names = [*(c.sha for c in alike), *(c.fix for c in alike), *([head] if head else [])]
    messages = messages_of(repo, names)
    words = set(_WORD.findall(messages.get(head or "", "").lower()))
    scores = {c: s + _WORDS * _shared(words, messages.get(c.sha, "")) for c, s in alike.items()}
    first = sorted(scores, key=lambda c: (-scores[c], c.sha))[:_SHOWN]
    return tuple(
        SimilarCulprit(
            c.sha,
            _subject(messages.get(c.sha, "")),
            c.fix,
            _subject(messages.get(c.fix, "")),
            tuple(sorted(own & paths[c.sha])),
        )
        for c in first
    )


def _shared(words: set[str], message: str) -> float:
    other = set(_WORD.findall(message.lower()))
    return len(words & other) / math.sqrt(max(len(words) * len(other), 1))


def _subject(message: str) -> str:
    return message.strip().partition("\n")[0]


def subjects(repo: Path, shas: Sequence[str]) -> dict[str, str]:
    """Return the subjects of commits; nothing where git fails."""
    try:
        return {sha: _subject(text) for sha, text in messages_of(repo, shas).items()}
    except RepositoryError:
        return {}
