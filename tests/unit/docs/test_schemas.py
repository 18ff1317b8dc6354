"""What every command prints with --json is described; tests/conftest.py holds documents to it."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from jsonschema import Draft202012Validator
from schemas import checked_text

from testopt.cli import COMMANDS, cli
from testopt.cli.common import JSON_VERSION, json_text

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "schemas"


def leaves():
    """Return the names of all commands that are no groups, as files are named."""
    found = set()
    for name in COMMANDS:
        command = cli.get_command(None, name)
        below = command.commands if isinstance(command, click.Group) else {"": None}
        found |= {f"{name}-{sub}".rstrip("-") for sub in below}
    return found


def test_every_command_has_a_schema_and_every_schema_a_command():
    assert {path.stem for path in FOLDER.glob("*.json")} == leaves()


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_a_schema_is_one_and_names_the_version(path):
    schema = json.loads(path.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    assert schema["title"] == f"testopt {path.stem.replace('-', ' ')} --json"
    for document in schema.get("anyOf", [schema]):
        assert document["properties"]["version"] == {"const": JSON_VERSION}
        assert "version" in document["required"]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"table": "runs", "path": "a.csv", "rows": "many"}, "rows: 'many' is not of type"),
        ({"table": "runs", "path": "a.csv"}, "'rows' is a required property"),
        ({"table": "runs", "path": "a.csv", "rows": 1, "more": 1}, "'more' was unexpected"),
        ({"table": "runs", "path": "a.csv", "rows": float("nan")}, "rows: None is not of type"),
    ],
)
def test_a_document_that_is_not_described_fails_the_test_that_prints_it(document, said):
    context = click.Context(cli)
    for name in ("store", "export"):
        context = click.Context(cli, parent=context, info_name=name)
    with context:
        checked_text(json_text)({"version": 1, "table": "runs", "path": "a", "rows": 1})
        with pytest.raises(AssertionError, match=said):
            checked_text(json_text)({"version": 1, **document})
