"""Many processes and the real commands on object storage behind a server that fails."""

import os
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from s3 import KEY_ID, SECRET, TOKEN, USUAL_FAULTS, new_url
from test_store_processes import assert_whole, finish, killed, start

from testopt.errors import EmptyStoreError
from testopt.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.integration]
CANARIES = (KEY_ID, SECRET, TOKEN, "canary")


def test_sixteen_writers_a_compaction_and_a_reader_under_fire(s3):
    url, processes, count = new_url(), 16, 3
    Store.open(url, create=True)
    s3.fail(*USUAL_FAULTS, share=0.02, seed=5)
    children = [start(url, f"p{i}", count) for i in range(processes)]
    while any(child.poll() is None for child in children):
        store = Store.open(url)
        runs = store.read("runs")["run_id"].to_pylist()
        results = store.read("results", columns=["run_id"])["run_id"].unique().to_pylist()
        assert set(runs) <= set(results)
        store.compact()
    finish(children)
    s3.fail()
    assert_whole(url, [f"p{i}-{j}" for i in range(processes) for j in range(count)])


def test_repairs_beside_writers_drop_nothing(s3):
    url = new_url()
    children = [start(url, f"p{i}", 4) for i in range(4)]
    while any(child.poll() is None for child in children):
        with suppress(EmptyStoreError):  # there is none yet
            assert Store.open(url).check(repair=True) == []
    finish(children)
    assert_whole(url, [f"p{i}-{j}" for i in range(4) for j in range(4)])


def test_killed_writers_lose_nothing_that_was_acknowledged(s3):
    url = new_url()
    said = killed(url, 4, seed=3)
    store = Store.open(url)
    assert said <= store.run_ids()
    assert {p.kind for p in store.check(repair=True)} <= {"leftover"}
    runs = Store.open(url).run_ids()
    assert said <= runs
    counts = Store.open(url).read("results", columns=["run_id"])["run_id"].value_counts()
    assert {c["values"].as_py(): c["counts"].as_py() for c in counts} == dict.fromkeys(runs, 200)


def command(*arguments, cwd, url):
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=cwd,
        env={**os.environ, "TESTOPT_STORE": url},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr, time.monotonic() - began


def test_no_credentials_in_anything_that_is_printed_or_stored(s3, tmp_path, monkeypatch):
    monkeypatch.setenv("TESTOPT_STORAGE_OPTIONS", "timeout=1s retry_timeout=1s max_retries=1")
    (tmp_path / "j.xml").write_text('<testsuite><testcase classname="t" name="a"/></testsuite>')
    url, said = new_url(), []
    commands = (
        ("ingest", "j.xml", "--run-id", "1"),
        ("store", "info", "--json"),
        ("store", "check"),
        ("doctor",),
    )
    for fault in ("", "403", "reset"):
        if fault:
            s3.fail(fault)
        for arguments in commands:
            said.append(command("testopt", "--debug", *arguments, cwd=tmp_path, url=url)[1])
            if arguments[0] == "store":
                said.append(command("testopt", *arguments, cwd=tmp_path, url=url)[1])
    s3.fail()
    host = s3.url.removeprefix("http://")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://user:canary-word@{host}")
    said.append(command("testopt", "--debug", "store", "info", cwd=tmp_path, url=url)[1])
    secret = f"s3://{KEY_ID}:{SECRET}@bucket/x"
    said.append(command("testopt", "--debug", "store", "info", cwd=tmp_path, url=secret)[1])
    assert "Traceback" in "".join(said)
    assert [text for text in said if any(word in text for word in CANARIES)] == []


def test_a_server_that_hangs_delays_no_test_run(s3, tmp_path):
    (tmp_path / "test_a.py").write_text("def test_a():\n    pass\n")
    url = new_url()
    Store.open(url, create=True)
    s3.fail("hang")
    code, said, took = command(
        "pytest", "-p", "no:cacheprovider", "--testopt=rank", cwd=tmp_path, url=url
    )
    assert (code, "1 passed" in said) == (0, True), said
    assert took < 40
    code, said, took = command("testopt", "rank", cwd=tmp_path, url=url)
    assert (code, took < 60) == (3, True), said
    assert f"the server {s3.url} does not answer in time" in said
