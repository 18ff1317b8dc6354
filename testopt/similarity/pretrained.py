"""The model that comes with testopt, for repositories that it has never seen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from testopt.code.paths import language_of
from testopt.errors import BundleError
from testopt.learning.forest import Forest
from testopt.similarity import affinity
from testopt.similarity.closeness_model import PRIOR, ClosenessModel
from testopt.store.arrays import dump_arrays, load_arrays
from testopt.store.bundle import bundle_id, pack, read_checked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KIND: Final = "cold start"
LANGUAGE: Final = "python"  # elsewhere nothing shows that it does better than hand-set weights
MAX_BYTES: Final = 2 << 20  # of all files together
_FOREST: Final = "forest.npz"
_MAX_WEIGHT: Final = 1e3
_HINT: Final = "install testopt anew; until then closeness is weighed by hand-set weights"


@dataclass(frozen=True, slots=True)
class PretrainedModel:
    """A model and its id; without one, ``trouble`` says why."""

    model: ClosenessModel | None = None
    name: str = ""
    projects: int = 0
    trouble: str = ""

    def model_for(self, paths: Sequence[str]) -> ClosenessModel | None:
        """Return the model where most of some test files are in the language that it learnt on.

        Parameters
        ----------
        paths : sequence of str
            Paths of the test files of a run.
        """
        known = sum(language_of(path) == LANGUAGE for path in paths)
        return self.model if 2 * known > len(paths) else None


def pretrained_folder() -> Path:
    """Return the folder of the model: inside the package, or beside it in a working copy."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "_models"
    return (inside if inside.is_dir() else package.parent / "models") / "cold_start"


def load_pretrained(folder: Path | None = None) -> PretrainedModel:
    """Load the model that comes with testopt; one that cannot be used is told, not raised.

    Parameters
    ----------
    folder : Path, optional
        Where it lies; default: where testopt keeps it.
    """
    try:
        return _load(pretrained_folder() if folder is None else folder)
    except BundleError as error:
        return PretrainedModel(
            trouble=f"the model that comes with testopt cannot be used: {error.message}"
        )


def _load(folder: Path) -> PretrainedModel:
    def read(name: str) -> bytes | None:
        try:
            with (folder / name).open("rb") as file:
                return file.read(MAX_BYTES + 1)
        except OSError:
            return None

    manifest, files = read_checked(read, [_FOREST])
    names, weight = manifest.get("names"), manifest.get("prior_weight")
    listed = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if manifest.get("kind") != KIND or not isinstance(names, list) or not listed:
        raise BundleError("its manifest is damaged", _HINT)
    if not {PRIOR} <= set(names) <= set(affinity.NAMES):
        raise BundleError("it reads other features than this testopt makes", _HINT)
    if not isinstance(weight, float) or not 0.0 < weight < _MAX_WEIGHT:
        raise BundleError("its manifest is damaged", _HINT)
    forest = Forest.load(load_arrays(files[_FOREST]))
    if forest.n_features != len(names):
        raise BundleError("its forest takes other features", _HINT)
    projects = manifest.get("projects")
    count = len(projects) if isinstance(projects, dict) else 0
    return PretrainedModel(ClosenessModel(tuple(names), forest, weight), bundle_id(manifest), count)


def pack_pretrained(model: ClosenessModel, text: str, facts: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the files of a model.

    Parameters
    ----------
    model : ClosenessModel
    text : str
        Its trees as LightGBM's own text, for those who want to look at them.
    facts : mapping
        What else the manifest tells: ``projects``, how it was measured, libraries, seed.

    Raises
    ------
    BundleError
        When they are larger than allowed.
    """
    manifest = {
        **facts,
        "kind": KIND,
        "names": list(model.names),
        "prior_weight": model.prior_weight,
    }
    files = {_FOREST: dump_arrays(model.forest.dump()), "forest.txt": text.encode()}
    packed = pack(manifest, files)
    size = sum(map(len, packed.values()))
    if size > MAX_BYTES:
        raise BundleError(f"the model takes {size} bytes, {MAX_BYTES} are allowed")
    return packed
