"""Directives that write what the code knows: settings, tables of the store, JSON of commands."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective

from testopt.schema import KEYS, TABLES
from testopt.settings import Settings

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def table(head: list[str], rows: list[list[str]], *, code: int = 1) -> nodes.table:
    """Return a table; the first `code` columns are code."""
    group = nodes.tgroup(cols=len(head))
    group += [nodes.colspec(colwidth=1) for _ in head]
    group += nodes.thead("", _row(head, code=0))
    group += nodes.tbody("", *(_row(row, code=code) for row in rows))
    return nodes.table("", group)


def _row(cells: list[str], *, code: int) -> nodes.row:
    row = nodes.row()
    for i, text in enumerate(cells):
        inside = nodes.literal(text=text) if i < code and text else nodes.Text(text)
        row += nodes.entry("", nodes.paragraph("", "", inside))
    return row


class SettingsTable(SphinxDirective):
    """``{settings-table}``: name, default and meaning of each setting."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        rows = [
            [field.name, _toml(field.default), field.metadata["help"]]
            for field in fields(Settings)
            if "help" in field.metadata
        ]
        return [table(["Setting", "Default", "Meaning"], rows, code=2)]


class StoreTable(SphinxDirective):
    """``{store-table} NAME``: the columns of a table of the store."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        name = self.arguments[0]
        rows = [
            [column, kind, "no" if required else "yes", "yes" if column in KEYS[name] else ""]
            for column, (kind, required) in TABLES[name].items()
        ]
        return [table(["Column", "Type", "May be null", "Key"], rows, code=2)]


class JsonSchemas(SphinxDirective):
    """``{json-schemas}``: the fields that each command prints with --json, and its schema."""

    def run(self) -> list[nodes.Node]:
        """Return a list of commands."""
        found = nodes.bullet_list()
        for path in sorted(Path(self.env.srcdir, "schemas").glob("*.json")):
            schema = json.loads(path.read_text(encoding="utf-8"))
            target = f"schemas/{path.name}"
            link = addnodes.download_reference(reftarget=target, refdoc=self.env.docname)
            link += nodes.literal(text=schema["title"].removesuffix(" --json"))
            line = nodes.paragraph("", "", link)
            for document in schema.get("anyOf", [schema]):
                names = [name for name in document["properties"] if name != "version"]
                line += nodes.Text("; or: " if len(line) > 1 else ": ")
                line += nodes.Text(", ".join(names))
            found += nodes.list_item("", line)
        return [found]


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else f"{value:g}"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("settings-table", SettingsTable)
    app.add_directive("store-table", StoreTable)
    app.add_directive("json-schemas", JsonSchemas)
    return {"parallel_read_safe": True}
