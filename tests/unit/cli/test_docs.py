"""Every command, option and setting is documented, and no text shows how it was typed."""

import subprocess
import sys
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import click
import pytest

from testopt.cli import COMMANDS, cli
from testopt.settings import Settings

ROOT = Path(__file__).resolve().parents[3]


def commands(name, command, path=()):
    """Yield (name, command) of a command and all below it."""
    path = (*path, name)
    yield " ".join(path), command
    if isinstance(command, click.Group):
        for below in command.list_commands(click.Context(command)):
            yield from commands(below, command.get_command(click.Context(command), below), path)


ALL = [
    each
    for name, module in COMMANDS.items()
    for each in commands(name, import_module(module).command)
]
LEAVES = [(name, command) for name, command in ALL if not isinstance(command, click.Group)]


def options(command):
    return [p for p in command.params if isinstance(p, click.Option)]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_readme_names_every_command(name):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"`testopt {name}" in text


@pytest.mark.parametrize(("name", "command"), ALL, ids=[name for name, _ in ALL])
def test_help_has_an_example_that_calls_the_command(name, command):
    text = command.get_help(click.Context(command, info_name=f"testopt {name}"))
    assert "Example" in text
    example = text.partition("Example")[2]
    called = [line for line in example.splitlines() if "testopt" in line and name in line]
    assert called
    assert "\b" not in text
    assert "\\b" not in text
    assert "``" not in text


@pytest.mark.parametrize(("name", "command"), [("", cli), *ALL], ids=lambda x: str(x)[:20])
def test_help_fits_on_a_terminal(name, command):
    size = {"terminal_width": 80, "max_content_width": 80}
    text = command.get_help(click.Context(command, info_name=f"testopt {name}".strip(), **size))
    assert [line for line in text.splitlines() if len(line) > 80] == []
    listed = text.partition("Commands:\n")[2]
    assert [line for line in listed.splitlines() if line.endswith("...")] == []


@pytest.mark.parametrize(("name", "command"), LEAVES, ids=[name for name, _ in LEAVES])
def test_every_command_speaks_json(name, command):
    assert any("--json" in option.opts for option in options(command))


@pytest.mark.parametrize(("name", "command"), [("testopt", cli), *ALL], ids=lambda x: str(x)[:20])
def test_every_option_is_explained(name, command):
    for option in options(command):
        assert option.help, option.opts
        assert option.help.endswith((".", ")")), option.opts


@pytest.mark.parametrize(
    "field", [f for f in fields(Settings) if f.name != "origin"], ids=lambda f: f.name
)
def test_every_setting_is_explained(field):
    assert len(field.metadata["help"]) > 10


def test_the_listed_commands_and_no_others_are_found():
    context = click.Context(cli)
    assert cli.list_commands(context) == sorted(COMMANDS)
    for name in COMMANDS:
        command = import_module(f"testopt.cli.{name}").command
        assert cli.get_command(context, name) is command
    assert cli.get_command(context, "absent") is None


@pytest.mark.integration
@pytest.mark.parametrize(
    ("args", "loaded"), [(None, []), (["--version"], []), (["mine", "--help"], ["mine"])]
)
def test_a_command_is_loaded_when_it_is_called(args, loaded):
    code = f"""
import sys
from testopt.cli import COMMANDS, main
try:
    {args!r} and main({args!r})
except SystemExit as end:
    assert not end.code, end.code
print(*(name for name, module in COMMANDS.items() if module in sys.modules), sep=",")
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].split(",") == (loaded or [""])
