"""Values of options that no name, number or file is: one line, exit code 2 or 3, nothing hangs."""

import os

import pytest
from builders import make_record, new_store

from testopt import input_files
from testopt.cli import main

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("no_ci")]


@pytest.fixture
def place(make_repo, monkeypatch):
    """A repository with what users do not name by mistake."""
    repo = make_repo()
    repo.commit(files={"a.py": "a = 1\n"})
    monkeypatch.chdir(repo.path)
    monkeypatch.setattr(input_files, "_WAIT_S", 0.01)
    os.mkfifo("pipe")
    (repo.path / "bytes").write_bytes(b"\xff\xfe\0\x1b[31m\n" * 9)
    (repo.path / "loop").symlink_to("loop")
    (repo.path / "folder").mkdir()
    return repo.path


def test_a_retention_beyond_all_bounds(tmp_path):
    new_store(tmp_path, records=[make_record("r", ["t.py::a"])]).compact(retention_days=1e300)


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        ("select --cases /dev/zero", 3, "/dev/zero is a device that never ends"),
        ("select --cases pipe", 3, "pipe is a pipe, and nothing was written to it"),
        ("why t.py::a --diff pipe", 3, "pipe is a pipe, and nothing was written to it"),
        ("select --diff a\0b", 2, "holds a character NUL"),
        ("select --diff loop", 3, "loop cannot be read"),
        ("szz --fixes /dev/zero", 3, "/dev/zero is a device that never ends"),
        ("szz --issues pipe", 3, "pipe is not a file"),
        ("szz --issues bytes", 3, "bytes cannot be read"),
        ("szz --output s3://[x", 2, "cannot tell the format"),
        ("szz --repositories folder", 2, "folder cannot be read"),
        ("szz \x1b[31mred\x07", 2, r"extra argument (\x1b[31mred\x07)"),
        ("store re\x9b", 2, r"No such command 're\x9b'"),
        ("risk --fail-over 1e400", 2, "Invalid share '1e400'"),
        ("store compact --retention-days nan", 2, "'nan' is not a finite number"),
        ("train --as-of 99999", 2, "Invalid time '99999'"),
    ],
)
def test_hostile_values(place, capsys, args, code, words):
    before = sorted(path.name for path in place.iterdir())
    with pytest.raises(SystemExit) as ended:
        main(args.split(" "))
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (code, "")
    assert words in said.err
    assert all(c.isprintable() for c in said.err.replace("\n", ""))
    assert sorted(path.name for path in place.iterdir()) == before
