"""Files beside the tables reach the disk, on macOS too."""

import fcntl
import os

import pytest

from testopt.store.location import Location, explain

FULL = 51  # fcntl.F_FULLFSYNC of macOS


@pytest.fixture
def synced(monkeypatch):
    """How files are synced from now on, as on a system that has F_FULLFSYNC."""
    calls = []
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", FULL, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", lambda _, what: calls.append(what))
    monkeypatch.setattr(os, "fsync", lambda _: calls.append("fsync"))
    return calls


def write(folder):
    Location(str(folder)).write("a", lambda stream: stream.write(b"x"))
    assert (folder / "a").read_bytes() == b"x"


def test_where_fsync_stops_at_the_cache_of_the_disk_the_stronger_one_is_used(tmp_path, synced):
    write(tmp_path)
    assert synced == [FULL, FULL]  # the file, and its folder


def test_a_file_system_without_the_stronger_one_is_synced_as_elsewhere(
    tmp_path, synced, monkeypatch
):
    def refuse(*_):
        raise OSError(45, "Operation not supported")

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    write(tmp_path)
    assert synced == ["fsync", "fsync"]


def test_what_delta_lake_says_is_one_line():
    told = "Generic error\n   \x1b[31m↳\x1b[0m Unable to open x#1\n  \x1b[31m↳\x1b[0m {}\n"
    odd = explain(OSError(told.format("No locks (os error 37)")), "t cannot be appended to")
    assert odd.message == (
        "t cannot be appended to: Generic error: Unable to open x#1: No locks (os error 37)"
    )
    denied = explain(OSError(told.format("Operation not permitted (os error 1)")), "t")
    assert denied.message == "t: permission denied or read-only"
