"""The models that a store holds: which is live, what each was made of, and what was decided."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from testopt.errors import BundleError, UsageError
from testopt.features.run_features import feature_hash
from testopt.selection.bundle_registry import bundle_names, manifest_of
from testopt.selection.decisions import read_decisions
from testopt.selection.standing import read_standing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from testopt.selection.decisions import Decision
    from testopt.selection.standing import Standing
    from testopt.store import Store

__all__ = ["Model", "find_model", "list_models"]

Place = Literal["live", "canary", "challenger", "before", "kept"]
_MIN_PREFIX: Final = 4


@dataclass(frozen=True, slots=True)
class Model:
    """A bundle of the store.

    Attributes
    ----------
    bundle : str
        Its id.
    place : {"live", "canary", "challenger", "before", "kept"}
        Whether plans use it, some of them do, it is on trial, a rollback can reach it, or none.
    trouble : str
        Why it cannot be used; empty where it can.
    manifest : mapping of str to Any
        Empty where it cannot be read.
    decisions : tuple of Decision
        Those about it, oldest first.
    """

    bundle: str
    place: Place
    trouble: str = ""
    manifest: Mapping[str, Any] = field(default_factory=dict)
    decisions: tuple[Decision, ...] = ()

    @property
    def trained(self) -> datetime | None:
        """When it was trained; None where the log does not tell."""
        return next((d.time for d in self.decisions if d.kind == "trained"), None)

    @property
    def last_run(self) -> datetime | None:
        """Time of the last run that it knows."""
        window = self.manifest.get("window")
        return None if window is None else datetime.fromisoformat(window["last"])

    @property
    def parents(self) -> list[str]:
        """Bundles that were live when it was trained."""
        trained = (d for d in self.decisions if d.kind == "trained")
        found = (parent for d in trained for parent in d.details.get("parents", ()))
        return list(dict.fromkeys(map(str, found)))

    @property
    def quality(self) -> Mapping[str, Any]:
        """Its figures in the validation by time; empty where there was too little."""
        validation = self.manifest.get("validation") or {}
        methods = validation.get("methods") or {}
        return dict(methods.get("testopt") or {})

    @property
    def bytes(self) -> int:
        """Size of its files."""
        return sum(int(f.get("bytes", 0)) for f in self.manifest.get("files", {}).values())

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as JSON values, as an experiment tracker takes it."""
        manifest = self.manifest
        code = manifest.get("code") or {}
        validation = manifest.get("validation") or {}
        return {
            "bundle": self.bundle,
            "place": self.place,
            "trouble": self.trouble or None,
            "trained": None if self.trained is None else self.trained.isoformat(),
            "parents": self.parents,
            "data": {
                "digest": manifest.get("data"),
                "tables": manifest.get("tables", {}),
                "window": manifest.get("window", {}),
                "failing_runs": manifest.get("failing_runs"),
            },
            "code": {**code, "libraries": manifest.get("libraries", {})},
            "parameters": {
                **(manifest.get("parameters") or {}),
                "seed": manifest.get("seed"),
                "closeness": manifest.get("closeness"),
                "features": manifest.get("features"),
                "schema": manifest.get("schema"),
            },
            "settings": self._settings(),
            "metrics": _metrics(validation),
            "validation": manifest.get("validation"),
            "files": manifest.get("files", {}),
            "bytes": self.bytes,
            "decisions": [d.as_dict() for d in self.decisions],
        }

    def _settings(self) -> dict[str, Any]:
        trained = [d for d in self.decisions if d.kind == "trained"]
        return dict(trained[-1].details.get("settings", {})) if trained else {}


def _metrics(validation: Mapping[str, Any]) -> dict[str, float]:
    """Return flat names and numbers: trackers take nothing else."""
    found = {
        f"{method}.{name}".replace(" ", "_"): value
        for method, values in (validation.get("methods") or {}).items()
        for name, value in values.items()
    }
    found |= {k: v for k, v in validation.items() if isinstance(v, int | float)}
    return dict(sorted(found.items()))


def list_models(store: Store) -> list[Model]:
    """Return the bundles of a store, those trained last at the end.

    Raises
    ------
    StoreError
        When the store cannot be read.
    BundleError
        When what says which bundle is live is damaged.
    """
    standing, decisions = read_standing(store), read_decisions(store)
    found = [_model(store, name, standing, decisions) for name in bundle_names(store)]
    return sorted(found, key=_age)


def _age(model: Model) -> tuple[float, float, str]:
    trained, last = model.trained, model.last_run
    return (
        0.0 if trained is None else trained.timestamp(),
        0.0 if last is None else last.timestamp(),
        model.bundle,
    )


def find_model(store: Store, name: str = "") -> Model:
    """Return a bundle by its id, or the beginning of it; the live one where none is named.

    Raises
    ------
    UsageError
        When no bundle, or more than one, is meant.
    BundleError
        When none is named, and none is live.
    """
    standing = read_standing(store)
    if not name and not standing.bundle:
        raise BundleError("no model is live", "train one: testopt train")
    bundle = resolve(bundle_names(store), name or standing.bundle)
    return _model(store, bundle, standing, read_decisions(store))


def resolve(names: Sequence[str], name: str) -> str:
    """Return the one id that begins with `name`.

    Raises
    ------
    UsageError
        When none or several do.
    """
    found = [one for one in names if one == name] or [
        one for one in names if one.startswith(name) and len(name) >= _MIN_PREFIX
    ]
    if len(found) == 1:
        return found[0]
    what = "names more than one model" if found else "is not a model of this store"
    raise UsageError(f"{name[:40]!r} {what}", "see the ids: testopt models list")


def _model(store: Store, name: str, standing: Standing, decisions: Sequence[Decision]) -> Model:
    place, own = _place(name, standing), tuple(d for d in decisions if d.bundle == name)
    try:
        manifest = manifest_of(store, name)
    except BundleError as error:
        return Model(name, place, error.message, decisions=own)
    outdated = manifest.get("features") != feature_hash()
    trouble = "it was trained on other features" if outdated else ""
    return Model(name, place, trouble, manifest, own)


def _place(name: str, standing: Standing) -> Place:
    if name == standing.bundle:
        return "live"
    if name == standing.trial.bundle:
        return "canary" if standing.trial.canary else "challenger"
    return "before" if name in standing.before else "kept"
