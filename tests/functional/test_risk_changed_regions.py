"""Places of a change, and who knows its files, read from real repositories."""

import os
from pathlib import Path

import pytest

from testopt.git.change import find_change
from testopt.risk.changed_regions import find_changed_regions, read_changed_files
from testopt.risk.reviewers import file_experts, likely_reviewers

pytestmark = pytest.mark.integration

MODULE = "import os\n\n\ndef first():\n    return 1\n\n\ndef second():\n    return 2\n"


@pytest.fixture
def repo(make_repo, no_ci):
    repo = make_repo()
    repo.commit("one", {"pkg/a.py": MODULE, "notes.md": "# x\n", "gone.py": "def f():\n    pass\n"})
    return repo


def places(repo, **revisions):
    change = find_change(repo.path, **revisions)
    changed = read_changed_files(repo.path, change, change.files)
    return find_changed_regions(changed, change, change.files)


def test_lines_are_told_by_the_function_around_them(repo):
    text = MODULE.replace("return 1", "return 3").replace("return 2", "x = 2\n    return x")
    (repo.path / "gone.py").unlink()
    head = repo.commit("two", {"pkg/a.py": text, "notes.md": "# y\nz\n"})
    found = places(repo, head=head)
    first, second = found["pkg/a.py"]
    assert (first.name, first.first, first.last, first.added, first.deleted) == (
        "first",
        5,
        5,
        1,
        1,
    )
    assert (second.name, second.first, second.last, second.added) == ("second", 9, 10, 2)
    (notes,) = found["notes.md"]
    assert (notes.name, notes.added) == ("", 2)
    (gone,) = found["gone.py"]
    assert (gone.name, gone.added, gone.deleted) == ("f", 0, 2)


def test_uncommitted_and_untracked_files(repo):
    repo.write("pkg/a.py", MODULE.replace("return 2", "return 4"))
    repo.write("pkg/new.py", "x = 1\ny = 2\n")
    found = places(repo)
    assert [p.name for p in found["pkg/a.py"]] == ["second"]
    (new,) = found["pkg/new.py"]
    assert (new.first, new.last, new.added) == (1, 2, 2)


def test_the_root_commit_and_odd_names(repo):
    odd = os.fsencode("pkg/") + b"caf\xe9 [x]*.py"
    repo.write(odd, "def f():\n    return 1\n")
    head = repo.commit("odd")
    (path,) = places(repo, head=head)
    assert path == "pkg/caf\\xe9 [x]*.py"
    root = repo.git("rev-list", "--max-parents=0", "HEAD")
    assert set(places(repo, head=root)) == {"pkg/a.py", "notes.md", "gone.py"}


def test_a_renamed_file_has_the_places_of_its_new_name(repo):
    repo.git("mv", "pkg/a.py", "pkg/b.py")
    repo.write("pkg/b.py", MODULE.replace("return 1", "return 5"))
    found = places(repo, head=repo.commit("move"))
    assert [p.name for p in found["pkg/b.py"]] == ["first"]


def test_git_fails(tmp_path, repo):
    change = find_change(repo.path, head=repo.commit("x", {"pkg/a.py": MODULE + "y = 1\n"}))
    changed = read_changed_files(tmp_path, change, change.files)
    assert find_changed_regions(changed, change, change.files) == {}
    assert file_experts(tmp_path, ["pkg/a.py"], None) == {}


def person(name, year):
    date = f"{year}-06-01T00:00:00 +0000"
    both = {"NAME": name, "EMAIL": f"{name}@example.org", "DATE": date}
    return {f"GIT_{w}_{k}": v for w in ("AUTHOR", "COMMITTER") for k, v in both.items()}


def test_who_knows_a_file(repo):
    for n, (name, year) in enumerate([("Zoe", 2025)] * 3 + [("Bob", 2025)] * 2 + [("Old", 2015)]):
        repo.commit(f"c{n}", {"pkg/a.py": f"x = {n}\n"}, env=person(name, year))
    known = file_experts(repo.path, ["pkg/a.py", "notes.md", "none.py"], None)
    assert known == {"pkg/a.py": ("Bob", "Zoe"), "notes.md": ("Ann",)}


def test_who_may_review_a_change(repo):
    text = "".join(f"x{i} = {i}\n" for i in range(9))
    repo.commit("all", {"pkg/a.py": text}, env=person("Zoe", 2024))
    repo.commit("some", {"pkg/a.py": text.replace("x8 = 8", "x8 = 0")}, env=person("Bob", 2024))
    repo.commit("bot", {"pkg/a.py": text}, env=person("renovate[bot]", 2024))
    repo.commit("map", {".mailmap": "Zoe Real <Zoe@example.org>\n"})
    head = repo.commit("mine", {"pkg/a.py": text[7:]}, env=person("Eve", 2025))
    change = find_change(repo.path, head=head)
    reviewers = likely_reviewers(repo.path, change)
    assert "Zoe Real" in reviewers  # wrote the line that is gone
    assert not {"Eve", "renovate[bot]"} & set(reviewers)
    by_zoe = repo.commit("hers", {"pkg/a.py": "x = 1\n"}, env=person("Zoe", 2025))
    assert "Zoe Real" not in likely_reviewers(repo.path, find_change(repo.path, head=by_zoe))
    repo.write("pkg/a.py", "x = 2\n")
    assert "Zoe Real" in likely_reviewers(repo.path, find_change(repo.path))
    assert likely_reviewers(repo.path.parent, change) == ()


def test_a_mailmap_is_respected(repo):
    repo.commit("map", {".mailmap": "Anna Real <ann@example.org>\n"})
    assert file_experts(repo.path, ["pkg/a.py"], None) == {"pkg/a.py": ("Anna Real",)}


def test_names_are_stored_nowhere(repo, testopt):
    repo.commit("fix", {"pkg/a.py": "x = 1\n"}, env=person("Zebediah", 2025))
    assert testopt("--repo", repo.path, "mine").code == 0
    for path in Path(repo.path / ".testopt").rglob("*"):
        assert path.is_dir() or b"Zebediah" not in path.read_bytes()
