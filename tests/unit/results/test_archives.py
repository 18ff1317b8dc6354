"""Which files are read of what the user names, and how often archives are opened."""

import os
import time
import zipfile
from pathlib import Path

import pytest

from testopt.errors import WorkspaceError
from testopt.results import junit_rows
from testopt.results.archives import RejectedPath, ReportFile, find_report_files
from testopt.results.case_resolver import CaseResolver
from testopt.workspace import remove_left_workspaces, workspace

REPORT = b'<testsuite name="a"><testcase name="t"/></testsuite>'


def test_a_zip_archive_is_opened_once_for_many_reports(tmp_path, monkeypatch):
    path = tmp_path / "reports.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(30):
            archive.writestr(f"TEST-{number:02}.xml", REPORT)
    found = list(find_report_files([str(path)], workdir=tmp_path / "work"))
    opened = []
    real = zipfile.ZipFile.__init__

    def counted(self, *args, **kwargs):
        opened.append(args)
        real(self, *args, **kwargs)

    monkeypatch.setattr(zipfile.ZipFile, "__init__", counted)
    assert [one.open().read() for one in found] == [REPORT] * 30
    assert len(opened) == 1


def test_members_of_two_archives_in_turn(tmp_path):
    for name in ("a", "b"):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            for number in range(2):
                archive.writestr(f"{number}.xml", f"{name}{number}")
    paths = [str(tmp_path / "a.zip"), str(tmp_path / "b.zip")]
    found = list(find_report_files(paths, workdir=tmp_path))
    streams = [found[n].open() for n in (0, 2, 1, 3)]
    assert [stream.read() for stream in streams] == [b"a0", b"b0", b"a1", b"b1"]


def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.xml")
    (tmp_path / "TEST-a.xml").write_bytes(REPORT)
    report, pipe = find_report_files([str(tmp_path)], workdir=tmp_path / "w")
    assert report.name.endswith("TEST-a.xml")
    assert pipe == RejectedPath(
        str(tmp_path / "pipe.xml"), "is not a file but a pipe, a socket, a device or a folder"
    )


def test_no_room_for_temporary_files_is_no_fault_of_the_report(tmp_path, monkeypatch):
    path = tmp_path / "TEST-a.xml"
    path.write_bytes(REPORT)
    monkeypatch.setattr(junit_rows, "_IN_MEMORY", 0)
    source = ReportFile(str(path), path)
    with pytest.raises(WorkspaceError, match="temporary files cannot be written to"):
        junit_rows.read_report_file(source, CaseResolver(), spill=tmp_path / "gone" / "x")


def test_old_temporary_folders_of_killed_processes_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    old, young, other = (tmp_path / n for n in ("testopt-tmp-a", "testopt-tmp-b", "other"))
    for folder in (old, young, other):
        folder.mkdir()
        (folder / "x.arrow").touch()
    for folder in (old, other):
        os.utime(folder, (time.time() - 90_000,) * 2)
    (tmp_path / "testopt-tmp-link").symlink_to(other)
    remove_left_workspaces()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "other", "testopt-tmp-b", "testopt-tmp-link",
    ]  # fmt: skip
    with workspace() as folder:
        assert Path(folder).parent == tmp_path
    assert not folder.exists()
