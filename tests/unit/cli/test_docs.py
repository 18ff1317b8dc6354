"""Every command, option and setting is documented, and no text shows how it was typed."""

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


def test_commands_are_loaded_when_they_are_called():
    assert sorted(COMMANDS) == cli.list_commands(click.Context(cli))
    assert set(COMMANDS.values()) == {import_module(m).__name__ for m in COMMANDS.values()}
    assert cli.get_command(click.Context(cli), "absent") is None
