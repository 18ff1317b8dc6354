"""Loads ``Settings``: ``[tool.testopt]`` or ``testopt.toml`` < ``TESTOPT_*`` < command line.

Each value knows where it came from.
"""

from __future__ import annotations

import math
import os
import re
import tomllib
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from testopt.errors import SettingsError
from testopt.shares import parse_share

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFAULT_STORE = ".testopt"
PYPROJECT = "pyproject.toml"  # with [tool.testopt]
FILE = "testopt.toml"  # the same settings at its top
PROJECT: Final = "{project}"  # in the URL of a store that several repositories share
_PROJECT_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_PLACES: Final = ("store", "project", "command")
_BY_THE_USER: Final = ("environment", "command line")


def _setting(default: Any, text: str, *, share: bool = False) -> Any:
    return field(default=default, metadata={"help": text, "share": share})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of testopt.

    Use `Settings.load`; constructing one directly is for tests and embedding.

    Examples
    --------
    >>> from testopt import Settings
    >>> Settings(recall=0.9).explore
    0.05
    """

    store: str = _setting(
        "",
        "store: a folder in the repository (empty: .testopt); any other folder or URL is named by "
        "TESTOPT_STORE or --store",
    )
    project: str = _setting(
        "",
        "what {project} in the store's URL stands for, where several repositories share one: named "
        "by TESTOPT_PROJECT or --project alone (empty: owner.name of the remote origin)",
    )
    command: str = _setting("", "command that starts the engine for the pytest plugin")
    mode: str = _setting("off", "what pytest does by default: off, record, rank, select or shadow")
    granularity: str = _setting("auto", "what stays together in pytest: case, module or auto")
    engine_timeout_s: float = _setting(10.0, "seconds after which pytest stops waiting for a plan")
    seed: int = _setting(0, "seed of all random choices")
    fix_pattern: str = _setting(
        "", "regular expression for the subjects of fixing commits (empty: built-in rules)"
    )
    promote: str = _setting(
        "gradual",
        "when select leaves cases out: gradual (a share that grows in steps, then what shadow has "
        "shown right), auto (only the latter), always, never",
    )
    shadow_days: float = _setting(14.0, "fewest days in shadow before select leaves cases out")
    shadow_regressions: int = _setting(
        30, "fewest regressions judged in shadow before select does so"
    )
    rollback_level: float = _setting(
        0.05, "significance level at which misses send a selection back into shadow", share=True
    )
    canary: float = _setting(
        0.1, "share of changes that a better model plans before it becomes live", share=True
    )
    author_features: bool = _setting(True, "use metrics of the author for risk")
    recall: float = _setting(
        0.95, "share of regressions that a selection must catch: 0.95 or 95%", share=True
    )
    explore: float = _setting(0.05, "share of changes for which every case runs", share=True)
    refresh: float = _setting(0.01, "share of the cases left out that run all the same", share=True)
    must_run: tuple[str, ...] = _setting((), "globs of cases or test files that always run")
    run_all_on: tuple[str, ...] = _setting(
        (),
        "globs of changed files for which every case runs, added to the built-in ones; !GLOB "
        "removes one",
    )
    run_all: bool = _setting(False, "run every case, whatever a selection would leave out")
    shard_durations: str = _setting(
        "", "file of durations that makes parts equally long (rank --format durations writes it)"
    )
    compact_files: int = _setting(64, "number of small files in a table that starts a compaction")
    retention_days: float = _setting(7.0, "days before replaced files of the store are removed")
    origin: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)

    @classmethod
    def load(
        cls,
        repo: Path | None = None,
        *,
        env: Mapping[str, str] | None = None,
        overrides: Mapping[str, Any] | None = None,
        on_wrong: Callable[[SettingsError], None] | None = None,
    ) -> Settings:
        """Read the settings of a repository.

        Parameters
        ----------
        repo : Path, optional
            Folder whose ``pyproject.toml`` or ``testopt.toml`` is read.
        env : mapping, optional
            Environment; default ``os.environ``. ``TESTOPT_STORE`` sets ``store``, and so on.
        overrides : mapping, optional
            Values from the command line; None means not given.
        on_wrong : callable, optional
            Takes each error; what is wrong then counts as not given, but for the store: nothing
            is to be written to another one.

        Returns
        -------
        Settings
            ``origin`` maps the name of each set value to where it came from.

        Raises
        ------
        SettingsError
            For an unknown name or a value of the wrong type; a file that cannot be read.
        """
        values: dict[str, Any] = {}
        origin: dict[str, str] = {}
        environ = os.environ if env is None else env
        known = {f.name for f in fields(cls)} - {"origin"}
        for source, given in (
            _from_files(repo),
            ("environment", _from_env(environ, known)),
            ("command line", {k: v for k, v in (overrides or {}).items() if v is not None}),
        ):
            for name, value in given.items():
                try:
                    values[name] = _value(name, value, source, known)
                except SettingsError as error:
                    if on_wrong is None or name in {"store", "project"}:
                        raise
                    on_wrong(error)
                    continue
                origin[name] = source
        return replace(cls(**values), origin=MappingProxyType(origin))

    def changed(self) -> dict[str, Any]:
        """Return what is not as by default, but for places and commands, which may name hosts."""
        named = (f.name for f in fields(self) if f.name not in {*_PLACES, "origin"})
        return {n: getattr(self, n) for n in named if getattr(self, n) != getattr(_DEFAULTS, n)}

    def project_in(self, place: str, of_remote: Callable[[], str]) -> str | None:
        """Return what ``{project}`` in the URL of a store stands for; None where it has none.

        Parameters
        ----------
        place : str
        of_remote : callable
            Returns the name that the remote gives the repository; empty where there is none.

        Raises
        ------
        SettingsError
            When nobody says the name, it could leave its folder, or a file of the repository says
            it: whoever writes a repository must not choose the history of another one.
        """
        if PROJECT not in place:
            return None
        source = self.origin.get("project", "")
        if self.project and source not in _BY_THE_USER:
            raise SettingsError(
                f"the project {self.project!r}, which {source} names, may be another's",
                f"name it yourself where you trust it: TESTOPT_PROJECT={self.project!r}",
            )
        name = self.project or of_remote()
        if not name:
            raise SettingsError(
                f"the store {place!r} is shared, and no remote origin tells which project this is",
                "name it: --project NAME, or TESTOPT_PROJECT",
            )
        if not _PROJECT_NAME.fullmatch(name):
            raise SettingsError(
                f"{name!r} is not a valid project name",
                "use up to 100 letters, digits, _, - and ., no . or - at the start",
            )
        return name

    def with_project(self, place: str, of_remote: Callable[[], str]) -> str:
        """Return the URL of a store with the name of the project; see `project_in`."""
        return place.replace(PROJECT, self.project_in(place, of_remote) or PROJECT)

    def store_url(self, repo: Path, of_remote: Callable[[], str] = str) -> str:
        """Return the URL of the store: the configured one, else ``.testopt`` below `repo`.

        Parameters
        ----------
        repo : Path
        of_remote : callable
            As for `project_in`.

        Raises
        ------
        SettingsError
            When a file of the repository, or a link in it, names a store outside of it: whoever
            writes a repository must not choose where testopt writes. As `project_in`.
        """
        place = self.with_project(self.store or DEFAULT_STORE, of_remote)
        own = self.origin.get("store") not in _BY_THE_USER
        url = place if "://" in place else str((repo / place).absolute())
        if own and ("://" in place or not _is_inside(repo, url)):
            source = self.origin.get("store", "the link .testopt")
            raise SettingsError(
                f"the store {place!r}, which {source} names, lies outside of the repository",
                f"name it yourself where you trust it: TESTOPT_STORE={place!r}",
            )
        return url


def _is_inside(repo: Path, path: str) -> bool:
    try:
        return Path(path).resolve().is_relative_to(repo.resolve())
    except (OSError, RuntimeError):  # a link to itself
        return False


_DEFAULTS = Settings()
_SHARES = frozenset(f.name for f in fields(Settings) if f.metadata.get("share"))


def _from_files(repo: Path | None) -> tuple[str, dict[str, Any]]:
    """Return the file that holds the settings of a repository, and what it says."""
    if repo is None:
        return PYPROJECT, {}
    tool = _read_toml(repo / PYPROJECT).get("tool")
    table = tool.get("testopt") if isinstance(tool, dict) else None
    own = _read_toml(repo / FILE)
    if own and table:
        raise SettingsError(
            f"both {FILE} and [tool.testopt] of {PYPROJECT} hold settings", "keep only one of them"
        )
    if table is not None and not isinstance(table, dict):
        raise SettingsError(f"tool.testopt in {PYPROJECT} is not a table", "write [tool.testopt]")
    values = own or table or {}
    return FILE if own else PYPROJECT, {k.replace("-", "_"): v for k, v in values.items()}


def _read_toml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingsError(f"{path} cannot be read: {error}", "correct the file") from error


def _from_env(env: Mapping[str, str], known: set[str]) -> dict[str, Any]:
    names = {f"TESTOPT_{name.upper()}": name for name in known}
    return {names[key]: value for key, value in env.items() if key in names and value != ""}


def _value(name: str, value: Any, source: str, known: set[str]) -> Any:
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}"
        raise SettingsError(f"unknown setting {name!r} in {source}", hint)
    return _convert(name, value, getattr(_DEFAULTS, name), source)


def _share(name: str, value: Any, source: str) -> float:
    try:
        return parse_share(str(value), zero=True)
    except ValueError as error:
        raise SettingsError(f"setting {name!r} in {source}: {error}") from None


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(value)
    return number


def _convert(name: str, value: Any, default: Any, source: str) -> Any:
    expected = type(default)
    if name in _SHARES:
        return _share(name, value, source)
    try:
        if expected is tuple:
            parts = value.split(",") if isinstance(value, str) else value
            return tuple(str(p).strip() for p in parts if str(p).strip())
        if isinstance(value, bool) != (expected is bool) and not isinstance(value, str):
            raise TypeError
        if expected is bool and isinstance(value, str):
            return {"true": True, "1": True, "false": False, "0": False}[value.lower()]
        if expected is str and not isinstance(value, str):
            raise TypeError
        return _finite(value) if expected is float else expected(value)
    except (TypeError, ValueError, KeyError, OverflowError):
        raise SettingsError(
            f"setting {name!r} in {source} is {value!r}", f"it takes a {expected.__name__}"
        ) from None
