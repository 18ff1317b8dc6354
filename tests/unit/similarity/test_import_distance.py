"""How many imports lie between a test file and a changed module."""

import numpy as np
import pytest

from testopt.code.words import name_number
from testopt.similarity.bags import Bags
from testopt.similarity.call_graph import FAR
from testopt.similarity.import_distance import import_hops

FILES = {
    "core": [],
    "shapes": ["core"],
    "draw": ["shapes", "typing"],
    "alone": ["typing"],
    "test_core": ["pytest", "core"],
    "test_draw": ["draw"],
    "test_alone": ["alone"],
    "conftest": ["shapes"],
}


def hops(changed, *, files=FILES, beside=()):
    imported = Bags.of([{name_number(n): 1.0 for n in names} for names in files.values()])
    names = np.array([name_number(name) for name in files], np.uint32)
    found = import_hops(imported, names, np.array([name == changed for name in files]), beside)
    return dict(zip(files, found.tolist(), strict=True))


def test_the_least_number_of_imports_counts():
    found = hops("core")
    assert [found[n] for n in ("core", "shapes", "draw", "test_core", "test_draw")] == [
        0, 1, 2, 1, 3,
    ]  # fmt: skip


def test_what_is_not_reached_is_far():
    assert hops("core")["test_alone"] == FAR
    assert set(hops("nothing").values()) == {FAR}


def test_a_test_file_has_what_the_files_beside_it_have():
    names = list(FILES)
    beside = [(names.index("test_alone"), names.index("conftest"))]
    assert hops("core", beside=beside)["test_alone"] == 2


@pytest.mark.parametrize("changed", ["a", "b"])
def test_imports_in_a_circle_end(changed):
    found = hops(changed, files={"a": ["b"], "b": ["a"], "test": ["a"]})
    assert found[changed] == 0
    assert found["test"] == 1 + (changed == "b")


def test_no_files():
    assert import_hops(Bags.of([]), np.zeros(0, np.uint32), np.zeros(0, bool)).shape == (0,)
