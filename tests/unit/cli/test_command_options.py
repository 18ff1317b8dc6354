"""Every command takes its parameters as one frozen object, with a field for each of them."""

from __future__ import annotations

import dataclasses
import inspect
import sys

import click
import pytest

from testopt.cli import COMMANDS, cli


def leaves():
    """Return the commands that are no groups, by their full names."""
    found = {}
    for name in COMMANDS:
        command = cli.get_command(None, name)
        if isinstance(command, click.Group):
            found |= {f"{name} {sub}": command.commands[sub] for sub in command.commands}
        else:
            found[name] = command
    return found


@pytest.mark.parametrize("name", leaves())
def test_parameters_and_fields_agree(name):
    command = leaves()[name]
    function = inspect.unwrap(command.callback)
    options = vars(sys.modules[function.__module__])[function.__annotations__["options"]]
    assert options.__dataclass_params__.frozen
    assert {f.name for f in dataclasses.fields(options)} == {p.name for p in command.params}


@pytest.mark.parametrize("name", leaves())
@pytest.mark.parametrize("value", ["nan", "inf", "1e400", "-1", "x"])
def test_no_option_takes_a_number_that_is_none(name, value):
    for option in leaves()[name].params:
        if isinstance(option.type, click.FloatRange | click.IntRange):
            with pytest.raises(click.BadParameter):
                option.type.convert(value, option, None)


@pytest.mark.parametrize("option", ["commits", "mutants", "repeat", "jobs"])
def test_backfill_starts_no_endless_number_of_things(option):
    (found,) = (one for one in leaves()["backfill"].params if one.name == option)
    with pytest.raises(click.BadParameter, match="not in the range"):
        found.type.convert("9" * 400, found, None)
