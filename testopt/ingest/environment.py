"""Recognises runs that failed because of their environment, such as a full disk.

Such a run says nothing of its change, so it is marked in ``runs.environment_failure`` and can be
kept out of training. It is marked where at least half of twenty or more executed cases fail, nine
in ten of these with one message, no configuration changed, nothing that changed is named by that
message, and it speaks of the environment. Where it does not, the answer is unknown (null), and the
run is learnt from: to drop a real failure costs more.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final

from testopt.code.paths import is_test_path, language_of
from testopt.schema import FAILING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from testopt.schema import Change, FileChange, Result

_MIN_EXECUTED: Final = 20
_MIN_FAILING_SHARE: Final = 0.5
_MIN_MESSAGE_SHARE: Final = 0.9
_CONFIGURATION: Final = frozenset({"config", "json", "make", "xml"})
_ENVIRONMENT: Final = re.compile(
    r"connection (?:was )?(?:refused|reset|closed|aborted|timed out)|connect timed out"
    r"|(?:could|can) ?not connect|unable to connect|failed to connect|server has gone away"
    r"|\bE(?:CONN(?:REFUSED|RESET|ABORTED)|TIMEDOUT|NOTFOUND|HOSTUNREACH|NOSPC|MFILE|AI_AGAIN)\b"
    r"|no space left|disk quota|too many open files|cannot allocate memory|out ?of ?memory"
    r"|read-only file system|name or service not known|name resolution|getaddrinfo|unknown ?host"
    r"|network is unreachable|no route to host|host is down|address already in use"
    r"|docker daemon|could not find a valid docker|certificate (?:has expired|verify failed)"
    r"|bad gateway|service unavailable|gateway time-?out|proxy error|too many requests"
    r"|browser ?type\.launch|chrome not reachable|session not created|cannot open display"
    r"|license (?:server|has expired)",
    re.IGNORECASE,
)
_MAX_TEXT: Final = 20_000  # characters of a message
_QUOTED_NAME: Final = re.compile(r"['\"`‘“]([A-Za-z_][\w.]*)['\"`’”]")  # noqa: RUF001 - quotes of messages


def environment_failure(
    *,
    executed: int,
    failing: Mapping[str | None, int],
    samples: Mapping[str, str],
    change: Change,
) -> bool | None:
    """Tell whether a run failed because of its environment.

    Parameters
    ----------
    executed : int
        Cases that were not skipped.
    failing : mapping of str to int
        Failing cases by digest of their message; None: without a message.
    samples : mapping of str to str
        A text for digests of messages.
    change : Change
        What differs from the run before.

    Returns
    -------
    bool or None
        None where one message fails most of the run and it cannot be told why.
    """
    message = _common_message(executed, failing)
    if message is None:
        return False
    text = samples.get(message, "")[:_MAX_TEXT]
    if change.known and any(
        _names_file(file, text) or _is_configuration(file) for file in change.files
    ):
        return False
    # an import that was broken before fails alike, whatever was changed since
    return True if _ENVIRONMENT.search(text) else None


def results_failure(
    results: Sequence[Result], texts: Mapping[str, str], change: Change
) -> bool | None:
    """Tell of a run's results whether its environment failed it; see `environment_failure`.

    Parameters
    ----------
    results : sequence of Result
        Attempts of one case in their order: the last one counts.
    texts : mapping of str to str
        Text of each digest of a message.
    change : Change
        What differs from the run before.
    """
    last = {result.case_id: result for result in results}.values()
    failing = Counter(result.message for result in last if result.outcome in FAILING)
    executed = sum(result.outcome != "skipped" for result in last)
    return environment_failure(executed=executed, failing=failing, samples=texts, change=change)


def _common_message(executed: int, failing: Mapping[str | None, int]) -> str | None:
    """Return the message that fails most of a run, or None when there is no such one."""
    total = sum(failing.values())
    if executed < _MIN_EXECUTED or total < _MIN_FAILING_SHARE * executed:
        return None
    message = max(failing, key=lambda m: failing[m])
    return message if failing[message] >= _MIN_MESSAGE_SHARE * total else None


def _is_configuration(file: FileChange) -> bool:
    return language_of(file.path) in _CONFIGURATION and not is_test_path(file.path)


def _names_file(file: FileChange, text: str) -> bool:
    """Tell whether a message names a changed file, its module, or an identifier of the change."""
    names = {name for path in (file.path, file.old_path) if path for name in _module_names(path)}
    if any(re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", text) for name in names):
        return True
    tokens = set((file.tokens or "").split())
    return any(tokens.intersection(name.split(".")) for name in _QUOTED_NAME.findall(text))


def _module_names(path: str) -> tuple[str, str]:
    """Return the name of a file, and that of its module as imports write it."""
    stem = path.rpartition(".")[0] or path
    return path.rpartition("/")[2], stem.replace("/", ".").removeprefix("src.")


def merge_samples(files: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return one text for each digest of several files."""
    return {digest: text for samples in reversed(files) for digest, text in samples.items()}
