"""Write docs/schemas/*.json: what each command prints with --json, by the types of its values.

    python scripts/schemas.py

Descriptions are those of the classes. Run it after a change of what a command prints, and look at
what git shows: within one "version" fields may be added, and none removed or given another meaning.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
import types
import typing
from collections import Counter
from dataclasses import fields, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import testopt
from testopt.cli.common import JSON_VERSION

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "schemas"
PLAIN: dict[Any, Any] = {
    str: {"type": "string"}, int: {"type": "integer"}, float: {"type": "number"},
    bool: {"type": "boolean"}, type(None): {"type": "null"}, Any: {},
    datetime: {"type": "string", "format": "date-time"}, Path: {"type": "string"},
}  # fmt: skip
TEXT = PLAIN[str]
NUMBER = PLAIN[int]


def classes() -> dict[str, Any]:
    """Return the classes of testopt by module and name, and by name where no other has it."""
    found: dict[str, Any] = {}
    for module in pkgutil.walk_packages(testopt.__path__, "testopt."):
        if "pytest_plugin" in module.name or "__main__" in module.name:
            continue
        own = vars(importlib.import_module(module.name)).items()
        mine = {k: v for k, v in own if inspect.isclass(v) and v.__module__ == module.name}
        found |= {f"{module.name}.{name}": value for name, value in mine.items()}
    bare = Counter(value.__name__ for value in found.values())
    found |= {v.__name__: v for v in list(found.values()) if bare[v.__name__] == 1}
    names = ("Mapping", "Sequence", "Iterable", "Collection", "Callable")
    abc = importlib.import_module("collections.abc")
    return found | {"datetime": datetime, "Path": Path} | {n: getattr(abc, n) for n in names}


NAMES = classes()


class Schema:
    """One document: its fields, and the definitions that they use."""

    def __init__(self) -> None:
        self.defs: dict[str, Any] = {}

    def of(self, kind: Any) -> dict[str, Any]:
        """Return the schema of a type."""
        if isinstance(kind, dict) or kind in PLAIN:
            return kind if isinstance(kind, dict) else dict(PLAIN[kind])
        origin, args = typing.get_origin(kind), typing.get_args(kind)
        if origin in (typing.Union, types.UnionType):
            return self._union([self.of(arg) for arg in args])
        if origin is not None:
            return self._container(origin, args)
        if is_dataclass(kind):
            self.define(kind)
            return {"$ref": f"#/$defs/{kind.__name__}"}
        if inspect.isclass(kind) and issubclass(kind, tuple):
            hints = typing.get_type_hints(kind, globalns=self._names(kind))
            return self._items([self.of(hint) for hint in hints.values()])
        raise TypeError(f"no schema for {kind!r}")

    def _container(self, origin: Any, args: tuple[Any, ...]) -> dict[str, Any]:
        if origin is typing.Literal:
            return {"enum": list(args)}
        if issubclass(origin, typing.Mapping):
            return {"type": "object", "additionalProperties": self.of(args[1])}
        if origin is tuple and args[-1] is not Ellipsis:
            return self._items([self.of(arg) for arg in args])
        return {"type": "array", "items": self.of(args[0])}

    @staticmethod
    def _items(items: list[dict[str, Any]]) -> dict[str, Any]:
        n = len(items)
        return {"type": "array", "prefixItems": items, "minItems": n, "maxItems": n}

    @staticmethod
    def _union(parts: list[dict[str, Any]]) -> dict[str, Any]:
        if all(set(part) == {"type"} for part in parts):
            return {"type": [part["type"] for part in parts]}
        return {"anyOf": parts}

    @staticmethod
    def _names(kind: Any) -> dict[str, Any]:
        return {**NAMES, **vars(importlib.import_module(kind.__module__))}

    def define(self, kind: Any) -> None:
        """Add the definition of a dataclass."""
        if kind.__name__ not in self.defs:
            self.defs[kind.__name__] = {}
            self.defs[kind.__name__] = self.record(kind)

    def record(self, kind: Any, drop: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
        """Return the schema of a dataclass without some fields, and with others."""
        hints = typing.get_type_hints(kind, globalns=self._names(kind))
        texts = attributes(kind)
        found = {
            field.name: self.of(hints[field.name])
            | ({"description": texts[field.name]} if field.name in texts else {})
            for field in fields(kind)
            if field.name not in {*drop, *more}
        }
        return self.object({**found, **more}, prose(kind))

    def object(self, properties: dict[str, Any], text: str = "") -> dict[str, Any]:
        """Return the schema of an object that has all of some fields, and no others."""
        return {
            **({"description": text} if text else {}),
            "type": "object",
            "properties": {name: self.of(kind) for name, kind in properties.items()},
            "required": list(properties),
            "additionalProperties": False,
        }

    def rows(self, name: str) -> dict[str, Any]:
        """Return the schema of an array of a class."""
        return {"type": "array", "items": self.of(NAMES[name])}

    def list_of(self, properties: dict[str, Any]) -> dict[str, Any]:
        """Return the schema of an array of objects."""
        return {"type": "array", "items": self.object(properties)}


def prose(kind: Any) -> str:
    """Return what the docstring of a class says before its sections, on one line."""
    text = re.split(r"\n\n\s*\w+\n\s*-{3}", inspect.getdoc(kind) or "")[0]
    return " ".join(text.replace("``", "").split())


def attributes(kind: Any) -> dict[str, str]:
    """Return what the section Attributes of a docstring says of each name."""
    text = (inspect.getdoc(kind) or "").partition("Attributes\n----------\n")[2]
    text = re.split(r"\n\n\w+\n-{3}", text)[0]
    found = {}
    for names, body in re.findall(r"^(\w[\w, ]*) :.*\n((?:    .*\n?)*)", text, re.MULTILINE):
        said = " ".join(body.replace("``", "").split())
        found |= {name.strip(): said for name in names.split(",") if said}
    return found


def maybe(kind: Any) -> Any:
    """Return a type, or null."""
    return kind | None


def map_of(kind: Any) -> dict[str, Any]:
    """Return the schema of an object whose keys are data."""
    return {"type": "object", "additionalProperties": kind}


def write(name: str, title: str, build: typing.Callable[[Schema], list[dict[str, Any]]]) -> None:
    """Write one schema; of several documents any one may be printed."""
    schema = Schema()
    documents = build(schema)
    for document in documents:
        document["properties"] = {"version": {"const": JSON_VERSION}, **document["properties"]}
        document["required"] = ["version", *document["required"]]
    whole = documents[0] if len(documents) == 1 else {"anyOf": documents}
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}
    text = json.dumps({**head, **whole, "$defs": schema.defs}, indent=1, ensure_ascii=True)
    (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def counts(check: Schema) -> dict[str, Any]:
    """Return the schema of a plan that was kept, and what came back of it."""
    part = check.list_of({"part": str, "cases": int})
    cause = check.object({"kind": str, "words": str})
    return check.object(
        {
            "run_id": str,
            "ok": bool,
            "planned": int,
            "unplanned": int,
            "missing": list[str],
            "gone": list[str],
            "to_come": part,
            "cause": {"anyOf": [{"type": "null"}, cause]},
        },
        prose(NAMES["PlanCheck"]),
    )


def case() -> dict[str, Any]:
    """Return the fields of a case of a plan."""
    return {
        "case_id": str,
        "rank": int,
        "probability": maybe(float),
        "cost_s": float,
        "selected": bool,
        "reason": str,
        "score": float,
        "propensity": float,
        "must_run": bool,
        "runs": bool,
    }


def planned(s: Schema) -> list[dict[str, Any]]:
    """`rank` and `select`."""
    change = {"base": maybe(str), "head": maybe(str), "known": bool, "files": list[str]}
    return [
        s.object(
            {
                "mode": {"enum": ["rank", "select", "shadow"]},
                "policy": TEXT | {"description": "bundle ID, untrained, or none"},
                "note": str,
                "degraded": PLAIN[bool] | {"description": "whether the order is the original one"},
                "calibrated": PLAIN[bool] | {"description": "whether probability is given"},
                "promise": maybe(NAMES["Promise"]),
                "explored": bool,
                "shard": maybe(str),
                "change": s.object(change),
                "cases": s.list_of(case()),
            }
        )
    ]


def why(s: Schema) -> list[dict[str, Any]]:
    """`why`."""
    did = {
        "name": str, "changes": int, "failures": int, "last_commit": maybe(str), "variants": bool,
    }  # fmt: skip
    more = {
        "past": s.record(NAMES["CasePast"], changes=s.list_of(did)),
        "affected": str,
        "clear": str,
        "nearest": s.list_of({"path": str, "rarity": float, "words": list[str]}),
        "covers": s.rows("Covered"),
        "last_plan": maybe(NAMES["LastPlace"]),
        "base": maybe(float),
        "contributions": s.rows("Contribution"),
        "of": NUMBER | {"description": "cases of the plan"},
        "note": str,
        "policy": str,
        "degraded": bool,
        "promise": maybe(NAMES["Promise"]),
        "explored": bool,
    }
    return [s.object({**case(), **more})]


def ingested(s: Schema) -> list[dict[str, Any]]:
    """`ingest`: of results, and of coverage."""
    file = s.record(NAMES["FileReport"], ("ignored",))
    results = {
        "files": {"type": "array", "items": file},
        "runs": list[str],
        "new_runs": int,
        "added": map_of(NUMBER),
        "unresolved": int,
        "warnings": list[str],
        "plans": {"type": "array", "items": counts(s)},
        "waiting": s.rows("WaitingPlan"),
    }
    return [s.object(results), s.record(NAMES["CoverageReport"])]


def several(s: Schema, fields_of_one: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a document with --repositories."""
    place = {"repository": str, "store": str}
    failed = s.object({**place, "error": str})
    one = s.object({**place, **fields_of_one})
    return s.object({"repositories": {"type": "array", "items": {"anyOf": [one, failed]}}})


def mined(s: Schema) -> list[dict[str, Any]]:
    """`mine`."""
    one = s.record(NAMES["MineReport"])
    return [one, several(s, s.record(NAMES["MineReport"])["properties"])]


def traced(s: Schema) -> list[dict[str, Any]]:
    """`szz`: of all fixes, of one, and of many repositories."""
    count = {"fixes": int, "found": int, "known": int}
    answers = {"missing": list[str], "answers": s.rows("TracedFix")}
    return [
        s.object({**count, **answers}),
        s.record(NAMES["TracedFix"]),
        several(s, {**count, "unread": int}),
    ]


def risky(s: Schema) -> list[dict[str, Any]]:
    """`risk`: of changes, --history, --fairness."""
    people = map_of({"type": "array", "items": TEXT})
    alarms = s.object(
        {
            **s.record(NAMES["AlarmCounts"])["properties"],
            "precision": maybe(float),
            "recall": maybe(float),
        },
        prose(NAMES["AlarmCounts"]),
    )
    limit = {"anyOf": [s.object({"over": float}), s.object({"over_percentile": float})]}
    told = {
        "alarm": limit,
        "last_alarms": alarms,
        "all": alarms,
        "months": map_of(alarms),
        "changes": s.rows("PastScore"),
    }
    fair = s.record(NAMES["GroupFigures"])
    fair["properties"] |= {name: s.of(maybe(float)) for name in ("false_alarms", "missed", "auc")}
    figures = {"groups": {"type": "array", "items": fair}, "auc": maybe(float)}
    figures["auc_without_authors"] = maybe(float)
    report = s.record(NAMES["RiskReport"], people=people, reviewers=people, subjects=map_of(TEXT))
    return [report, s.object(told), s.record(NAMES["FairnessReport"], **figures)]


def hot(s: Schema) -> list[dict[str, Any]]:
    """`hotspots`."""
    one = {
        "path": str,
        "function": maybe(str),
        "first_line": maybe(int),
        "expected_fixes": float,
        "chance_of_fix": float,
        "lines": int,
        "per_1000_lines": float,
        "trend": str,
        "expected_before": maybe(float),
    }
    whole = {
        "days": float,
        "per_line": bool,
        "window_days": float,
        "files": int,
        "fixed_in_last_window": int,
        "validation": {"anyOf": [{"type": "null"}, map_of(PLAIN[float])]},
        "validation_windows": int,
        "hotspots": s.list_of(one),
    }
    return [s.object(whole)]


def found(s: Schema) -> list[dict[str, Any]]:
    """`init`."""
    settings = {
        "file": str, "written": bool, "added": str,
        "present": {"type": ["object", "null"]}, "why": str,
    }  # fmt: skip
    whole = {
        "root": str,
        "default_branch": maybe(str),
        "languages": map_of(NUMBER),
        "runners": s.rows("FoundRunner"),
        "ci": s.rows("CiSystem"),
        "reports": list[str],
        "settings": s.object(settings),
        "next": s.rows("NextCommands"),
    }
    return [s.object(whole)]


def validation(s: Schema) -> dict[str, Any]:
    """Return the schema of how a bundle did on runs that it had not seen."""
    methods = map_of(s.of(NAMES["Quality"]))
    checked = s.object({"failing_runs": int, "calibration_error": float, "methods": methods})
    return {"anyOf": [{"type": "null"}, checked]}


def fitted() -> dict[str, Any]:
    """Return the fields of a training."""
    return {
        "bundle": str,
        "promoted": PLAIN[bool] | {"description": "whether it is the live model now"},
        "step": TEXT | {"description": "what became of it"},
        "why": str,
        "runs": int,
        "failing_runs": int,
        "cases": int,
        "rows": int,
        "disturbed_runs": int,
        "first": datetime,
        "last": datetime,
    }


def quality(s: Schema) -> dict[str, Any]:
    """Return the schema of a report on the data."""
    return s.record(NAMES["QualityReport"], ok=PLAIN[bool])


def trained(s: Schema) -> list[dict[str, Any]]:
    """`train`, and `train --check`."""
    whole = {**fitted(), "validation": validation(s), "quality": quality(s)}
    return [s.object(whole), quality(s)]


def retrained(s: Schema) -> list[dict[str, Any]]:
    """`retrain`."""
    none = {"type": "null"}
    whole = {
        "needed": bool,
        "reasons": list[str],
        "why_not": maybe(str),
        "runs": int,
        "busy": bool,
        "settled": {"anyOf": [none, s.record(NAMES["testopt.selection.takeover.Outcome"])]},
        "trained": {
            "anyOf": [
                none,
                s.object({**fitted(), "validation": validation(s), "quality": quality(s)}),
            ]
        },
    }
    return [s.object(whole)]


def monitored(s: Schema) -> list[dict[str, Any]]:
    """`monitor`."""
    waiting = s.rows("WaitingPlan")
    checks = {"type": "array", "items": counts(s)}
    kept = {"plans": int, "unanswered": checks, "waiting": waiting, "open": waiting}
    return [s.record(NAMES["Monitor"], kept=s.object(kept))]


def health(s: Schema) -> list[dict[str, Any]]:
    """`doctor`."""
    return [s.record(NAMES["Health"], ok=PLAIN[bool], project=s.of(maybe(str)))]


def store_info(s: Schema) -> list[dict[str, Any]]:
    """`store info`."""
    numbers = s.record(NAMES["RunCounts"])["properties"]
    return [s.record(NAMES["StoreInfo"], project=s.of(maybe(str)), **numbers)]


def forgotten(s: Schema) -> list[dict[str, Any]]:
    """`store forget`."""
    whole = {
        "done": PLAIN[bool] | {"description": "whether it is forgotten; else what would be"},
        "authors": s.list_of({"author": str, "addresses": list[str], "commits": int}),
        "cases": list[str],
        "rows": map_of(NUMBER),
        "runs": int,
        "bundles": list[str],
    }
    return [s.object(whole)]


def decision(s: Schema) -> dict[str, Any]:
    """Return the schema of a decision."""
    fields_of_one = {
        "decision_id": str,
        "time": datetime,
        "kind": str,
        "bundle": maybe(str),
        "before": maybe(str),
        "author": str,
        "why": str,
        "details": {"type": "object"},
    }
    return s.object(fields_of_one, prose(NAMES["Decision"]))


def model(s: Schema) -> dict[str, Any]:
    """Return the fields of a model."""
    return {
        "bundle": str,
        "place": str,
        "trouble": maybe(str),
        "trained": maybe(datetime),
        "parents": list[str],
        "data": {"type": "object"},
        "metrics": map_of(PLAIN[float]),
        "bytes": int,
        "code": {"type": "object"},
        "parameters": {"type": "object"},
        "settings": {"type": "object"},
        "validation": validation(s),
        "files": {"type": "object"},
        "decisions": {"type": "array", "items": decision(s)},
    }


def models(s: Schema) -> list[dict[str, Any]]:
    """`models list`."""
    brief = ("bundle", "place", "trouble", "trained", "parents", "data", "metrics", "bytes")
    whole = model(s)
    return [s.object({"models": s.list_of({name: whole[name] for name in brief})})]


def moved(s: Schema) -> list[dict[str, Any]]:
    """`models promote` and `models rollback`."""
    return [s.object({"bundle": maybe(str), "before": maybe(str), "decision": decision(s)})]


DOCUMENTS: dict[str, typing.Callable[[Schema], list[dict[str, Any]]]] = {
    "backfill": lambda s: [s.record(NAMES["BackfillReport"])],
    "backtest": lambda s: [s.record(NAMES["BacktestReport"])],
    "doctor": health,
    "hotspots": hot,
    "ingest": ingested,
    "init": found,
    "mine": mined,
    "models diff": lambda s: [s.record(NAMES["Comparison"])],
    "models gc": lambda s: [s.record(NAMES["Cleaning"], dry_run=PLAIN[bool])],
    "models list": models,
    "models promote": moved,
    "models rollback": moved,
    "models show": lambda s: [s.object(model(s))],
    "monitor": monitored,
    "rank": planned,
    "retrain": retrained,
    "risk": risky,
    "select": planned,
    "store check": lambda s: [s.object({"ok": bool, "problems": s.rows("Problem")})],
    "store compact": lambda s: [s.record(NAMES["CompactReport"])],
    "store export": lambda s: [s.object({"table": str, "path": str, "rows": int})],
    "store forget": forgotten,
    "store info": store_info,
    "store merge": lambda s: [s.object({"stores": s.rows("MergeReport")})],
    "szz": traced,
    "train": trained,
    "why": why,
}


def main() -> None:
    """Write all schemas."""
    FOLDER.mkdir(exist_ok=True)
    for name, build in DOCUMENTS.items():
        write(name.replace(" ", "-"), f"testopt {name} --json", build)


if __name__ == "__main__":
    main()
