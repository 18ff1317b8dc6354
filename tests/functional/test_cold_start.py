"""A repository never seen: no store, no history, and still the related case comes first."""

import shutil

import pytest

from testopt.git.change import find_change
from testopt.git.pending_run import PendingRun
from testopt.plan import plan
from testopt.plan.inputs import PlanInputs
from testopt.similarity import pretrained
from testopt.similarity.case_sources import Sources

AREAS = ("invoice", "parcel", "weather", "violin")

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("no_ci")]


def source(area: str, factor: int = 2) -> str:
    return (
        f"def {area}_total(items):\n    return sum(items) * {factor}\n\n\n"
        f"def {area}_label(name):\n    return name.title()\n"
    )


def cases_of(area: str) -> str:
    return (
        f"from shop.{area} import {area}_label, {area}_total\n\n\n"
        f"def test_{area}_total_of_items():\n    assert {area}_total([1, 2]) == 6\n\n\n"
        f"def test_{area}_label_has_capitals():\n    assert {area}_label('a b') == 'A B'\n"
    )


@pytest.fixture
def fresh(make_repo):
    """A repository with four modules and their tests, committed, and no store."""
    repo = make_repo()
    files = {f"shop/{area}.py": source(area) for area in AREAS}
    repo.commit("all", files | {f"tests/test_{area}.py": cases_of(area) for area in AREAS})
    return repo


def ids() -> bytes:
    return "".join(
        f"tests/test_{area}.py::test_{area}_{what}\n"
        for area in AREAS
        for what in ("total_of_items", "label_has_capitals")
    ).encode()


@pytest.mark.parametrize("area", AREAS)
def test_the_case_of_the_changed_function_comes_first(fresh, testopt, area):
    fresh.write(f"shop/{area}.py", source(area, factor=3))
    done = testopt("--repo", fresh.path, "rank", "--cases", "-", "--json", stdin=ids())
    assert done.code == 0, done.err
    made = done.document
    order = [case["case_id"] for case in made["cases"]]
    assert order[0] == f"tests/test_{area}.py::test_{area}_total_of_items"
    assert order[1] == f"tests/test_{area}.py::test_{area}_label_has_capitals"
    assert sorted(order) == sorted(ids().decode().split())
    assert made["policy"] == "untrained"
    assert "closeness to the change" in made["note"]
    assert (
        f"by the model {pretrained.load_pretrained().name} that comes with testopt" in made["note"]
    )
    assert not made["degraded"]


def test_the_same_holds_for_a_committed_change(fresh, testopt):
    fresh.commit("triple", {"shop/weather.py": source("weather", factor=3)})
    done = testopt(
        "--repo", fresh.path, "rank", "--base", "HEAD^", "--head", "HEAD",
        "--cases", "-", "--format", "pytest", stdin=ids(),
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.out.splitlines()[0] == "tests/test_weather.py::test_weather_total_of_items"


@pytest.mark.parametrize("how", ["edited", "added"])
def test_a_case_that_the_change_edits_or_adds_comes_before_those_close_to_it(fresh, testopt, how):
    fresh.write("shop/weather.py", source("weather", factor=3))
    old, cases = cases_of("violin"), ids()
    if how == "edited":
        wanted = "tests/test_violin.py::test_violin_label_has_capitals"
        fresh.write("tests/test_violin.py", old.replace("'A B'", "'A  B'"))
    else:
        wanted = "tests/test_violin.py::test_later"
        text = "def test_later():\n    subprocess.run(['sleep', '9'], check=True)\n"
        fresh.write("tests/test_violin.py", f"import subprocess\n{old}\n\n{text}")
        cases += f"{wanted}\n".encode()
    done = testopt("--repo", fresh.path, "rank", "--cases", "-", "--json", stdin=cases)
    first = [case["case_id"] for case in done.document["cases"][:2]]
    # what is added right behind a case stands in its lines too
    assert wanted in (first if how == "added" else first[:1])


@pytest.mark.parametrize("damage", ["altered", "missing"])
def test_without_a_sound_model_hand_set_weights_serve(
    fresh, testopt, tmp_path, monkeypatch, damage
):
    folder = tmp_path / "models"
    folder.mkdir()
    for file in pretrained.pretrained_folder().iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    if damage == "altered":
        (folder / "forest.npz").write_bytes(b"PK" + (folder / "forest.npz").read_bytes()[2:] + b"0")
    else:
        (folder / "manifest.json").unlink()
    monkeypatch.setattr(pretrained, "pretrained_folder", lambda: folder)
    fresh.write("shop/parcel.py", source("parcel", factor=3))
    done = testopt("--repo", fresh.path, "rank", "--cases", "-", "--json", stdin=ids())
    assert done.code == 0, done.err
    first = done.document["cases"][0]["case_id"]
    assert first == "tests/test_parcel.py::test_parcel_total_of_items"
    said = {"altered": "forest.npz of the bundle is damaged", "missing": "has no manifest.json"}
    assert said[damage] in done.document["note"]
    assert "hand-set weights" in done.document["note"]
    assert "\n" not in done.document["note"]


class Contrary:
    """A model that takes what is near for far."""

    @staticmethod
    def closeness(columns):
        return 1.0 - columns["prior"]


def test_what_weighs_closeness_decides_on_the_order(fresh):
    fresh.write("shop/violin.py", source("violin", factor=3))
    change, cases = find_change(fresh.path), ids().decode().split()
    orders = [
        [
            case.case_id
            for case in plan(
                PlanInputs(PendingRun(change), cases, sources=Sources(fresh.path, pretrained=one))
            ).cases
        ]
        for one in (
            pretrained.PretrainedModel(),
            pretrained.PretrainedModel(Contrary(), "contrary", 1),
        )
    ]
    related = "tests/test_violin.py::test_violin_total_of_items"
    assert orders[0][0] == orders[1][-1] == related


def test_training_compares_with_the_order_before_it(testopt, trained, tmp_path):
    shutil.copytree(trained / "store", tmp_path / "store")
    at = ("--repo", tmp_path, "--store", tmp_path / "store")
    done = testopt(*at, "train", "--json")
    assert done.code == 0, done.err
    methods = done.document["validation"]["methods"]
    assert methods["random"]["apfdc"] < methods["before training"]["apfdc"] <= 1.0
    note = testopt(*at, "rank", "--json").document["note"]
    assert f"ordered by bundle {done.document['bundle']}" in note


def test_a_plan_leaves_nothing_in_the_repository(fresh, testopt):
    fresh.write("shop/violin.py", source("violin", factor=3))
    assert testopt("--repo", fresh.path, "rank", "--cases", "-", stdin=ids()).code == 0
    assert fresh.git("status", "--porcelain") == "M shop/violin.py"
    assert not (fresh.path / ".testopt").exists()
