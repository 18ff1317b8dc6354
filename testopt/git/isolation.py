"""How git is called so that it answers the same for everybody and runs no program but itself.

Three things could make it differ: variables around us (a hook, ``git rebase --exec`` and CI systems
set some), the configuration of the user, the machine and the repository, and the programs that a
configuration names: filters, hooks, differs, monitors, transports. None of them reaches git here.

What stays is what says which files are changed or ignored: ``core.autocrlf``, ``core.eol``,
``core.fileMode``, ``core.excludesFile``, sparse checkouts; and the folders that the user trusts
(``safe.directory``), wherever it is said. ``safe.bareRepository`` guards against programs of a
repository that somebody else wrote; as none of them is run, any repository may be looked at.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

# All other variables of git's are taken away; see `git rev-parse --local-env-vars`, and those that
# change output: GIT_DIFF_OPTS, GIT_EXTERNAL_DIFF, GIT_LITERAL_PATHSPECS, GIT_ATTR_SOURCE, …
_KEPT: Final = frozenset(
    {
        "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_EXEC_PATH",
        "GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM", "GIT_AUTHOR_NAME",
        "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL",
    }
)  # fmt: skip
_KEPT_PREFIX: Final = "GIT_TEST_"  # git's own switches for tests, such as of foreign owners
_NOTHING: Final = "TESTOPT_NOTHING"  # an empty variable
_SET: Final = {
    _NOTHING: "",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_PAGER": "cat",
    "LC_ALL": "C",
    # objects that a partial clone has not got stay away; older gits only know the second way
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "",
    "GIT_ATTR_NOSYSTEM": "1",
}
_GLOBAL: Final = (
    "core.quotepath=off", "core.fsmonitor=false", f"core.hooksPath={os.devnull}",
    "core.abbrev=auto", "safe.bareRepository=all",
    "submodule.recurse=false", "i18n.commitEncoding=UTF-8", "i18n.logOutputEncoding=UTF-8",
)  # fmt: skip
_DIFF: Final = (
    "core.bigFileThreshold=512m", "color.ui=false", "color.diff=false", "diff.algorithm=default",
    "diff.autoRefreshIndex=true", "diff.colorMoved=no", "diff.context=3", "diff.external=",
    "diff.indentHeuristic=true", "diff.interHunkContext=0", "diff.mnemonicPrefix=false",
    "diff.noprefix=false", f"diff.orderFile={os.devnull}", "diff.relative=false",
    "diff.renameLimit=1000", "diff.renames=true", "diff.submodule=short",
    "diff.suppressBlankEmpty=false", "diff.wsErrorHighlight=none",
)  # fmt: skip
_MAILMAP: Final = ("mailmap.file=", "mailmap.blob=HEAD:.mailmap")
_LOG: Final = (
    *_DIFF, *_MAILMAP, "format.pretty=medium", "log.abbrevCommit=false", "log.date=default",
    "log.decorate=false", "log.diffMerges=separate", "log.follow=false", "log.mailmap=true",
    "log.showRoot=true", "log.showSignature=false",
)  # fmt: skip
_BLAME: Final = (
    "blame.blankBoundary=false", "blame.coloring=none", "blame.date=iso",
    "blame.markIgnoredLines=false", "blame.markUnblamableLines=false", "blame.showEmail=false",
    "blame.showRoot=false", "color.ui=false", "core.bigFileThreshold=512m",
    "diff.algorithm=default", "diff.indentHeuristic=true", "diff.renames=true", *_MAILMAP,
)  # fmt: skip
_SETTINGS: Final = {
    "diff": _DIFF, "diff-tree": _DIFF, "log": _LOG, "show": _LOG, "rev-list": _LOG,
    "blame": _BLAME,
}  # fmt: skip
_NO_PROGRAMS: Final = ("--no-ext-diff", "--no-textconv")
_OPTIONS: Final = {
    # a submodule's own files would be compared by a git process with its configuration
    "diff": (*_NO_PROGRAMS, "--ignore-submodules=dirty"),
    "diff-tree": _NO_PROGRAMS,
    "log": _NO_PROGRAMS,
    "show": _NO_PROGRAMS,
    "blame": ("--no-textconv", "--ignore-revs-file="),
}
_HASH: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_DRIVER: Final = re.compile(rb"filter\.(.*)\.(?:clean|smudge|process|required)", re.DOTALL)


def git_environment(
    environ: Mapping[str, str], changes: Mapping[str, str | None] | None = None
) -> dict[str, str]:
    """Return the environment of a git process.

    Parameters
    ----------
    environ : mapping
        Our own environment.
    changes : mapping, optional
        Variables to set; None takes one away.
    """
    env = {
        name: value
        for name, value in environ.items()
        if not name.startswith("GIT_") or name in _KEPT or name.startswith(_KEPT_PREFIX)
    }
    trusted = list(_trusted(environ))
    if trusted:
        env["GIT_CONFIG_COUNT"] = str(len(trusted))
        for index, folder in enumerate(trusted):
            env[f"GIT_CONFIG_KEY_{index}"] = "safe.directory"
            env[f"GIT_CONFIG_VALUE_{index}"] = folder
    for name, value in {**_SET, **(changes or {})}.items():
        if value is not None:
            env[name] = value
        else:
            env.pop(name, None)
    return env


def _trusted(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the folders that variables name as trusted, as jobs in containers set them."""
    count = environ.get("GIT_CONFIG_COUNT", "")
    for index in range(min(int(count), 1_000) if count.isdecimal() else 0):
        if environ.get(f"GIT_CONFIG_KEY_{index}", "").lower() == "safe.directory":
            yield environ.get(f"GIT_CONFIG_VALUE_{index}", "")


def subcommand(args: Sequence[str]) -> str:
    """Return the git command among arguments that may begin with options of git itself."""
    return next((arg for arg in args if not arg.startswith("-")), "")


def git_arguments(args: Sequence[str], drivers: Iterable[str] = ()) -> list[str]:
    """Return the arguments of git for a command: settings first, then the command's own options.

    Parameters
    ----------
    args : sequence of str
        Command and arguments; options of its own come later, so they win.
    drivers : iterable of str
        Names of filters to switch off.
    """
    name = subcommand(args)
    at = args.index(name) + 1 if name else len(args)
    chosen = [*_GLOBAL, *_SETTINGS.get(name, ())]
    if name != "check-attr":  # which is asked for the filters that the user has
        chosen.append(f"core.attributesFile={os.devnull}")
    settings = [part for each in chosen for part in ("-c", each)]
    for driver in drivers:
        settings += _switched_off(driver)
    return ["--no-pager", *settings, *args[:at], *_OPTIONS.get(name, ()), *args[at:]]


def _switched_off(driver: str) -> Iterator[str]:
    """Yield settings that make a filter pass everything as it is."""
    for key in ("clean", "smudge", "process"):
        if "=" in driver:  # `-c` ends a name at the first of them
            yield f"--config-env=filter.{driver}.{key}={_NOTHING}"
        else:
            yield from ("-c", f"filter.{driver}.{key}=")
    if "=" in driver:
        yield f"--config-env=filter.{driver}.required={_NOTHING}"
    else:
        yield from ("-c", f"filter.{driver}.required=false")


def may_filter(args: Sequence[str]) -> bool:
    """Tell whether a command may send files of the working tree through filters.

    A ``diff`` does unless both its ends are commits, which are given as full hashes.
    """
    name = subcommand(args)
    if name == "diff":
        revisions = args[: args.index("--")] if "--" in args else args
        return sum(bool(_HASH.fullmatch(arg)) for arg in revisions) < 2  # noqa: PLR2004 - two ends
    return name in {"checkout", "status", "add", "stash", "reset", "restore", "worktree"}


def filter_drivers(names: bytes) -> list[str]:
    """Return the filters that ``git config -z --name-only --get-regexp ^filter`` lists."""
    found = (_DRIVER.fullmatch(name) for name in names.split(b"\0"))
    return sorted({os.fsdecode(match[1]) for match in found if match})
