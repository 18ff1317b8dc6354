"""The schemas of what commands print with --json, and which of them some document was held to."""

from __future__ import annotations

import json
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from jsonschema import Draft202012Validator, FormatChecker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "schemas"

FORMATS = FormatChecker(formats=())
_ROWS = 50
CHECKED: set[str] = set()  # commands of which a document was checked


@FORMATS.checks("date-time", raises=ValueError)
def is_moment(text: object) -> bool:
    """Tell whether a text is a moment of ISO 8601, with its zone."""
    is_text = isinstance(text, str)
    return not is_text or ("T" in text and datetime.fromisoformat(text).tzinfo is not None)


def command_name() -> str:
    """Return the command that is running, such as "store info"."""
    names: list[str] = []
    context = click.get_current_context()
    while context.parent is not None:
        names.insert(0, context.info_name or "")
        context = context.parent
    return " ".join(names)


@cache
def validator(name: str) -> Draft202012Validator:
    """Return what checks the documents of a command."""
    text = (FOLDER / f"{name.replace(' ', '-')}.json").read_text(encoding="utf-8")
    return Draft202012Validator(json.loads(text), format_checker=FORMATS)


def checked_text(text_of: Callable[[Mapping[str, Any]], str]) -> Callable[[Mapping[str, Any]], str]:
    """Return the same function, which fails where a document does not fit its schema."""

    def json_text(document: Mapping[str, Any]) -> str:
        text, name = text_of(document), command_name()
        found = _short(json.loads(text))
        errors = [f"{e.json_path}: {e.message:.300}" for e in validator(name).iter_errors(found)]
        CHECKED.add(name)
        assert not errors, (
            f"what testopt {name} prints is not what docs/schemas says "
            f"(python scripts/schemas.py writes it anew): {errors[:3]}"
        )
        return text

    return json_text


def _short(value: Any) -> Any:
    """Return a document whose lists hold their first rows alone: the others are alike."""
    if isinstance(value, dict):
        return {name: _short(one) for name, one in value.items()}
    return [_short(one) for one in value[:_ROWS]] if isinstance(value, list) else value


def unchecked() -> list[str]:
    """Return the commands of which no document was checked."""
    named = {path.stem for path in FOLDER.glob("*.json")}
    return sorted(named - {name.replace(" ", "-") for name in CHECKED})
