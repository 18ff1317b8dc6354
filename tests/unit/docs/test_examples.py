"""The examples of the documentation run, and every command in it is one."""

from __future__ import annotations

import doctest
import re
import shlex
import shutil
from importlib import import_module
from pathlib import Path

import click
import numpy as np
import pytest
from _pytest.config.argparsing import Parser

import testopt as public
from testopt.cli import cli
from testopt.pytest_plugin import pytest_addoption

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page, *kinds):
    """Return the blocks of a page that are of some kinds."""
    return [text for kind, text in _BLOCK.findall(page.read_text("utf-8")) if kind in kinds]


def helps(command, name="testopt"):
    """Yield the help of a command and of all below it."""
    yield command.help or ""
    if isinstance(command, click.Group):
        for below in command.list_commands(click.Context(command)):
            yield from helps(command.get_command(click.Context(command), below), below)


def called(text):
    """Yield the commands of an example that start with testopt or pytest."""
    for line in text.splitlines():
        shell = re.sub(r"\s#.*", "", line.strip().removeprefix("- run: ").removeprefix("$ "))
        quoted = re.findall(r"'[^']*'", shell)
        for part in re.split(r"\|\||&&|[|;]", re.sub(r"'[^']*'", "\0", shell)):
            command = re.sub(r">\s*\S+|<\s*\S+", "", part).strip()
            while "\0" in command:
                command = command.replace("\0", quoted.pop(0), 1)
            if re.match(r"(TESTOPT_\w+=\S+ )*(testopt|pytest) ", command):
                yield command


def texts():
    for page in PAGES:
        for text in blocks(page, "sh", "console", "yaml", ""):
            yield from ((page.name, command) for command in called(text))
    for text in helps(cli):
        yield from (("--help", command) for command in called(text.partition("Example")[2]))


EXAMPLES = sorted(set(texts()))


def parse(words):
    """Let click parse the words of a command, and call nothing."""
    context = cli.make_context("testopt", list(words))
    command = cli
    while isinstance(command, click.Group):
        name, command, rest = command.resolve_command(
            context, context._protected_args + context.args
        )
        context = command.make_context(name, rest, parent=context)
    return command


def test_there_are_examples():
    pages = [page for page, _ in EXAMPLES]
    assert len(EXAMPLES) > 60
    assert {"README.md", "tutorial.md", "ci.md", "selection.md", "risk.md", "--help"} <= set(pages)


@pytest.mark.parametrize(("page", "command"), EXAMPLES)
def test_every_command_of_the_documentation_is_one(page, command):
    words = [word for word in shlex.split(command) if not word.startswith("TESTOPT_")]
    if words[0] == "testopt":
        parse(words[1:])
        return
    parser = Parser(_ispytest=True)
    pytest_addoption(parser)
    _, unknown = parser.parse_known_and_unknown_args([w for w in words[1:] if w[0] != "@"])
    assert [word for word in unknown if "testopt" in word] == []


@pytest.mark.parametrize("name", [name for name in public.__all__ if name != "__version__"])
def test_every_public_name_has_an_example_that_runs(name):
    thing = getattr(public, name)
    module = import_module(thing.__module__)
    found = doctest.DocTestFinder(exclude_empty=True).find(thing, name, module, globs={})
    examples = [one for one in found if one.examples]
    assert examples, f"{name} has no example"
    said: list[str] = []
    for one in examples:
        doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(one, out=said.append)
    assert "".join(said) == ""


def test_the_example_of_a_notebook_runs(trained, tmp_path, monkeypatch):
    shutil.copytree(trained / "store", tmp_path / ".testopt")
    monkeypatch.chdir(tmp_path)
    (text,) = blocks(ROOT / "docs" / "api.md", "python")
    names: dict = {}
    exec(compile(text, "api.md", "exec"), names)  # noqa: S102 - our own page
    ours, built_in = (
        plan.to_pandas().set_index("case_id")["probability"]
        for plan in (
            names["plan"],
            public.rank(*(names[t] for t in ("runs", "results", "changes"))),
        )
    )
    assert len(ours) == 15
    assert ours.between(0, 1).all()
    assert not np.allclose(ours, built_in[ours.index])
    assert len(names["x"]) == len(names["y"]) > 800
