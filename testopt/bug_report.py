"""Gathers facts for a bug report: versions, settings, counts, sizes, timings, kinds of trouble.

Nothing that is named by the user goes into it. Every text is one that testopt itself writes, or
of a fixed list; all else becomes a number or a kind. What fails is told by the type of the error
and the lines of testopt's own code that led to it, without its message.
"""

from __future__ import annotations

import cProfile
import json
import os
import platform
import pstats
import re
import sys
import time
import traceback
import zipfile
from collections import Counter
from dataclasses import dataclass, field, fields
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from testopt.code.paths import language_of
from testopt.errors import EmptyStoreError, TestoptError, UsageError
from testopt.git.process import is_bare, is_shallow, run_git
from testopt.schema import TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from testopt.settings import Settings
    from testopt.store import Store

FORMAT: Final = 1
_SHOWN: Final = 60  # functions of testopt that took longest
_PACKAGE: Final = Path(__file__).parent
_PLUGINS: Final = ("pytest", "pytest-xdist", "pytest-cov", "pluggy")
_REQUIREMENT: Final = re.compile(r"[A-Za-z0-9._-]+")
_VERSION: Final = re.compile(r"\d+(\.\d+)*([a-z]+\d+)?")
# values of settings that are words of testopt
_WORDS: Final = frozenset(
    {"off", "record", "rank", "select", "shadow", "auto", "case", "module", "always", "never"}
)
_SCHEMES: Final = ("s3", "s3a", "gs", "az", "abfss", "hdfs", "file", "http", "https")
_RUN_KINDS: Final = ("real", "clean", "reverse", "mutant")
_SOURCES: Final = ("junit", "table", "pytest", "backfill", "recovered")
_FILES: Final = re.compile(
    r"state/(features|sources|modules|recent|risk|track|szz|forgotten|author-key|backfill)"
    r"|models/[^/]*/?(manifest|forest|linear|state|ranker|evidence|runs|current)"
)
_README: Final = """\
This is for a bug report of testopt. It holds versions, settings, counts, sizes, timings and kinds
of trouble. It holds no names of cases, people, branches, files or machines, no code, no messages
and no values of variables. It is plain JSON: look at it before you send it.
"""


@dataclass(slots=True)
class _Steps:
    """What was done, how long it took, and how it failed."""

    done: list[dict[str, Any]] = field(default_factory=list)

    def take(self, name: str, call: Callable[[], Any], otherwise: Any = None) -> Any:
        """Return what a step returns, or something else where it fails."""
        since = time.perf_counter()
        step: dict[str, Any] = {"step": name}
        try:
            return call()
        except EmptyStoreError:
            step["error"] = {"type": "EmptyStoreError"}
            return otherwise
        except Exception as error:  # noqa: BLE001 - that is what is reported
            step["error"] = _error(error)
            return otherwise
        finally:
            self.done.append(step | {"seconds": round(time.perf_counter() - since, 4)})


def _error(error: BaseException) -> dict[str, Any]:
    """Return the type of an error, and where in testopt's code it came up."""
    places = [
        f"{where}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if (where := _own(frame.filename))
    ]
    known = type(error).__module__.partition(".")[0] in {*sys.stdlib_module_names, "testopt"}
    kind = type(error).__name__ if known else "of another package"
    slug = error.slug if isinstance(error, TestoptError) else ""
    return {"type": kind, "slug": slug, "places": places}


def _own(filename: str) -> str:
    """Return the path of a module of testopt inside of it; empty for others."""
    path = Path(filename)
    return path.relative_to(_PACKAGE).as_posix() if path.is_relative_to(_PACKAGE) else ""


def bug_report(
    *,
    settings: Callable[[], Settings],
    repo: Callable[[], Path | None],
    store: Callable[[], Store | None],
    findings: Callable[[], Sequence[tuple[str, bool]]],
    plan: Callable[[], object],
) -> dict[str, Any]:
    """Return the documents of a bug report by name.

    Parameters
    ----------
    settings, repo, store, findings : callable
        Return the settings, the top folder of the repository, the store, and the stable names of
        what the doctor found with whether it warns; what fails is noted.
    plan : callable
        Makes a plan, whose steps are timed.
    """
    steps = _Steps()
    known = steps.take("settings", settings, None)
    top = steps.take("repository", repo, None)
    opened = steps.take("open the store", store, None)
    found = steps.take("doctor", findings, ())
    return {
        "versions": steps.take("versions", _versions, {}),
        "settings": {} if known is None else _settings(known),
        "repository": {} if top is None else steps.take("git", lambda: _repository(top), {}),
        "store": {} if opened is None else steps.take("count", lambda: _store(opened), {}),
        "files": {} if opened is None else steps.take("files", lambda: _files(opened), {}),
        "check": {} if opened is None else steps.take("check", lambda: _check(opened), {}),
        "doctor": [{"finding": slug, "warns": warns} for slug, warns in found],
        "plan": steps.take("plan", lambda: _profile(plan, steps), []),
        "steps": steps.done,
    }


def write_bug_report(documents: Mapping[str, Any], path: Path) -> None:
    """Write the documents to a zip file, complete or not at all.

    Raises
    ------
    UsageError
        When it cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(zipfile.ZipInfo("README.txt"), _README)
            for name, document in documents.items():
                text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=True)
                archive.writestr(zipfile.ZipInfo(f"{name}.json"), text + "\n")
        draft.replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", "name another place") from (
            error
        )
    finally:
        draft.unlink(missing_ok=True)


def _versions() -> dict[str, Any]:
    required = [m[0] for line in metadata.requires("testopt") or () if (m := _match(line))]
    packages = dict.fromkeys(["testopt", *required, *_PLUGINS])
    return {
        "format": FORMAT,
        "python": _number(platform.python_version()),
        "implementation": platform.python_implementation(),
        "system": platform.system(),
        "machine": platform.machine(),
        "release": _number(platform.release()),
        "cores": os.cpu_count(),
        "encoding": sys.getfilesystemencoding(),
        "packages": {name: _package(name) for name in sorted(packages)},
    }


def _match(line: str) -> re.Match[str] | None:
    return _REQUIREMENT.match(line)


def _package(name: str) -> str | None:
    try:
        return _number(metadata.version(name))
    except metadata.PackageNotFoundError:
        return None


def _number(version: str) -> str:
    """Return the numbers of a version: what else stands in it may be a name."""
    found = _VERSION.search(version)
    return found[0] if found else ""


def _settings(settings: Settings) -> dict[str, Any]:
    origins = {"environment", "command line", "pyproject.toml", "testopt.toml"}
    return {
        f.name: {
            "value": _scrubbed(getattr(settings, f.name)),
            "from": settings.origin.get(f.name, "default")
            if settings.origin.get(f.name, "") in origins
            else "default",
        }
        for f in fields(settings)
        if f.name != "origin"
    }


def _scrubbed(value: Any) -> Any:
    """Return numbers and words of testopt as they are, of the rest the kind."""
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, tuple):
        return {"patterns": len(value)}
    text = str(value)
    if not text or text in _WORDS:
        return text
    return f"<{_place(text)}>" if "://" in text or "/" in text else "<text>"


def _place(url: str) -> str:
    scheme = url.partition("://")[0] if "://" in url else ""
    return f"{scheme} URL" if scheme in _SCHEMES else "URL" if scheme else "path"


def _repository(top: Path) -> dict[str, Any]:
    bare = is_bare(top)
    names = b"" if bare else run_git(top, "ls-files", "-z")
    paths = [os.fsdecode(name) for name in names.split(b"\0") if name]
    return {
        "git": _number(run_git(top, "version").decode("ascii", "replace")),
        "shallow": is_shallow(top),
        "bare": bare,
        "commits": int(run_git(top, "rev-list", "--count", "HEAD")),
        "files": dict(sorted(Counter(map(language_of, paths)).items())),
    }


def _store(store: Store) -> dict[str, Any]:
    info = store.info()
    columns = ["kind", "source", "job", "branch", "commit", "cases", "complete"]
    runs = store.read("runs", columns=columns).to_pylist()
    cases = sorted(run["cases"] for run in runs)
    return {
        "place": _place(store.url),
        "format": info.schema_version,
        "locks": info.has_locks,
        "bytes": info.disk_bytes,
        "tables": {
            t.table: {"version": t.version, "rows": t.rows, "files": t.files, "bytes": t.bytes}
            for t in info.tables
        },
        "runs": len(runs),
        "incomplete": sum(run["complete"] is False for run in runs),
        "by_kind": _counted((run["kind"] for run in runs), _RUN_KINDS),
        "by_source": _counted((run["source"] for run in runs), _SOURCES),
        "different": {name: len({r[name] for r in runs}) for name in ("job", "branch", "commit")},
        "cases_of_a_run": [cases[0], median(cases), cases[-1]] if cases else [],
    }


def _counted(values: Any, known: Sequence[str]) -> dict[str, int]:
    return dict(Counter(value if value in known else "other" for value in values))


def _files(store: Store) -> list[dict[str, Any]]:
    """Return the sizes of plain files; a bundle is its number."""
    found = []
    for folder in ("state", "models", "damaged"):
        for name in store.blobs(folder):
            known = _FILES.match(name)
            kind = next((part for part in known.groups() if part), "") if known else "other"
            size = len(store.read_blob(name) or b"")
            found.append({"folder": folder, "kind": kind, "bytes": size})
    return found


def _check(store: Store) -> list[dict[str, Any]]:
    counts = Counter((p.kind, p.table if p.table in TABLES else "") for p in store.check())
    return [{"kind": kind, "table": table, "count": n} for (kind, table), n in counts.items()]


def _profile(call: Callable[[], object], steps: _Steps) -> list[dict[str, Any]]:
    """Return which functions of testopt took longest, with those that they called."""
    profile = cProfile.Profile()
    profile.enable()
    try:
        steps.take("make a plan", call, None)
    finally:
        profile.disable()
    rows = []
    for (filename, _, name), (_, calls, own, total, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        if where := _own(filename):
            row = {"function": f"{where}:{name}", "calls": calls}
            rows.append(row | {"own_s": round(own, 4), "total_s": round(total, 4)})
    return sorted(rows, key=lambda row: -row["total_s"])[:_SHOWN]
