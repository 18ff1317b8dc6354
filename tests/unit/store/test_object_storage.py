"""The store on object storage: the contract of every store, and what a server may do to it."""

import json
import time
from contextlib import suppress

import pytest
from s3 import USUAL_FAULTS, new_url
from test_store import StoreContract, record

from testopt.errors import ServerError, SettingsError, StoreError, UsageError
from testopt.store import Store
from testopt.store.location import Location, explain
from testopt.store.remote import endpoint_of, may_pass, options_of, redact

COMMIT = r"PUT .*/results/_delta_log/\d+\.json"
SLOW = [pytest.mark.slow, pytest.mark.integration]


def whole(url, runs):
    """Each run is there once, with all of its results, and nothing is wrong."""
    store = Store.open(url)
    assert sorted(store.read("runs")["run_id"].to_pylist()) == sorted(runs)
    counts = store.read("results", columns=["run_id"])["run_id"].value_counts().to_pylist()
    assert {c["values"]: c["counts"] for c in counts} == dict.fromkeys(runs, 20)
    assert store.check() == []


class TestS3(StoreContract):
    pytestmark = SLOW

    @pytest.fixture
    def url(self, s3):
        return new_url()


class TestS3UnderFire(StoreContract):
    """One request of 15 fails."""

    pytestmark = SLOW
    # take long, and do nothing that others do not
    test_filters = test_many_small_files_are_merged_by_themselves = None

    @pytest.fixture
    def url(self, s3):
        s3.fail(*USUAL_FAULTS, share=0.07, seed=7)
        return new_url()


@pytest.mark.slow
@pytest.mark.integration
class TestAnswers:
    @pytest.fixture
    def url(self, s3):
        url = new_url()
        Store.open(url, create=True, compact_files=1000).append_runs([record(0), record(1)])
        return url

    @pytest.mark.parametrize("fault", ["lost", "lost 500"])
    @pytest.mark.parametrize("table", ["results", "runs"])
    def test_an_append_whose_answer_is_lost_is_recognised(self, url, s3, fault, table):
        s3.fail(fault, on=COMMIT.replace("results", table), times=1)
        assert Store.open(url).append_runs([record(2)]) == 1
        assert sum(line.startswith(fault) for line in s3.requests()) == 1
        whole(url, ["run-0", "run-1", "run-2"])

    @pytest.mark.parametrize("fault", ["lost", "lost 500"])
    def test_a_compaction_whose_answer_is_lost_removes_no_live_file(self, url, s3, fault):
        Store.open(url, compact_files=1000).append_runs([record(2)])
        s3.fail(fault, on=COMMIT, times=1)
        report = {t.table: t for t in Store.open(url).compact().tables}["results"]
        assert (report.files_after, report.busy) == (1, False)
        whole(url, ["run-0", "run-1", "run-2"])

    def test_listings_that_are_cut_short_are_asked_for_again(self, url, s3):
        Store.open(url, compact_files=1000).append_runs([record(2)])
        s3.fail("truncate", on="list-type", share=0.15, seed=1)
        store = Store.open(url)
        assert {t.busy for t in store.compact(retention_days=0).tables} == {False}
        assert store.check() == []
        assert any(line.startswith("truncate") for line in s3.requests())
        s3.fail()
        whole(url, ["run-0", "run-1", "run-2"])

    def test_a_removal_whose_answer_is_lost_is_recognised(self, url, s3):
        log = Store.open(url)._logs["results"]
        handle = log.refresh()
        s3.fail("lost", on=COMMIT, times=1)
        assert log.rewrite(handle, add=[], remove=log.files(handle))
        assert Store.open(url).read("results").num_rows == 0

    def test_files_that_another_process_replaced_are_not_replaced_again(self, url):
        Store.open(url, compact_files=1000).append_runs([record(2)])
        log = Store.open(url)._logs["results"]
        files = log.files(log.refresh())
        Store.open(url).compact()
        assert not log.rewrite(log.refresh(), add=[], remove=files)
        whole(url, ["run-0", "run-1", "run-2"])

    def test_a_commit_that_arrives_after_its_error_finds_its_files(self, url, s3, monkeypatch):
        monkeypatch.setenv("TESTOPT_STORAGE_OPTIONS", "retry_timeout=1s max_retries=2")
        s3.fail("late", on=COMMIT)
        with pytest.raises(StoreError, match="is out of order"):
            Store.open(url).append_runs([record(2)])
        s3.fail()
        time.sleep(3)
        assert Store.open(url).append_runs([record(2)]) == 1
        whole(url, ["run-0", "run-1", "run-2"])

    @pytest.mark.parametrize(
        ("fault", "said"),
        [
            ("hang", "does not answer in time"),
            ("reset", "cannot be reached, or breaks off"),
            ("truncate", "cannot be reached, or breaks off"),
            ("500", "is out of order"),
            ("503", "asks to slow down"),
            ("slow down", "asks to slow down"),
            ("403", "denies access"),
        ],
    )
    @pytest.mark.parametrize("on", ["format.json", "_delta_log", "part-"])
    def test_errors_say_which_server_and_what_to_do(self, url, s3, monkeypatch, fault, said, on):
        monkeypatch.setenv("TESTOPT_STORAGE_OPTIONS", "timeout=1s retry_timeout=2s")
        s3.fail(fault, on=f"GET .*{on}|HEAD .*{on}")
        began = time.monotonic()
        with pytest.raises(StoreError) as caught:
            Store.open(url).read("results")
        assert time.monotonic() - began < 12
        assert f"the server {s3.url} {said}" in caught.value.message
        assert ("credentials" if fault == "403" else "repeat") in caught.value.hint
        s3.fail()
        whole(url, ["run-0", "run-1"])

    @pytest.mark.parametrize("fault", ["500", "403", "reset", "truncate"])
    def test_a_repair_calls_no_file_damaged_while_the_server_fails(
        self, url, s3, monkeypatch, fault
    ):
        monkeypatch.setenv("TESTOPT_STORAGE_OPTIONS", "timeout=1s retry_timeout=1s")
        s3.fail(fault, on=r"(GET|HEAD) .*/part-")
        with pytest.raises(ServerError):
            Store.open(url).check(repair=True)
        s3.fail()
        whole(url, ["run-0", "run-1"])

    def test_a_check_reads_again_what_was_read_before(self, url):
        store, location = Store.open(url), Location(url)
        assert store.read("results").num_rows == 40
        name = next(name for name in location.list("results/part-"))
        location.write(name, lambda stream: stream.write(b"PAR1"))
        assert "damaged" in {problem.kind for problem in store.check()}

    def test_a_file_that_grows_while_it_is_read_is_read_again(self, url, s3, monkeypatch):
        store, location = Store.open(url), Location(url)
        store.write_blob("state/x", b"old")
        files = location._remote[0]
        asked = []

        class Files:
            def open_input_file(self, name):
                stream = files.open_input_file(name)  # knows the size now
                if not asked:
                    store.write_blob("state/x", b"new and longer")
                asked.append(name)
                return stream

            def __getattr__(self, name):
                return getattr(files, name)

        monkeypatch.setitem(vars(location), "_remote", (Files(), location._remote[1]))
        assert location.read("state/x") == b"new and longer"
        assert len(asked) == 2

    def test_a_bucket_that_is_not_there(self, s3):
        with pytest.raises(StoreError, match="has no such bucket") as caught:
            Store.open("s3://no-such-bucket/x", create=True)
        assert "create it" in caught.value.hint

    @pytest.mark.parametrize("fault", ["500", "reset", "lost"])
    def test_a_blob_is_old_or_new(self, url, s3, monkeypatch, fault):
        monkeypatch.setenv("TESTOPT_STORAGE_OPTIONS", "retry_timeout=1s")
        store = Store.open(url)
        store.write_blob("state/x", b"old")
        s3.fail(fault, on="PUT .*state/x")
        with suppress(StoreError):
            store.write_blob("state/x", b"new")
        s3.fail()
        assert store.read_blob("state/x") == (b"new" if fault == "lost" else b"old")


@pytest.mark.slow
@pytest.mark.integration
class TestConditionalPut:
    @pytest.mark.parametrize("variable", ["", "AWS_S3_ALLOW_UNSAFE_RENAME"])
    def test_a_server_that_lets_all_writers_win_is_refused(self, s3, monkeypatch, variable):
        if variable:
            monkeypatch.setenv(variable, "true")
        s3.ignore_conditions()
        url = new_url()
        store = Store.open(url, create=True)
        with pytest.raises(
            StoreError, match=r"several writers win.* ignores If-None-Match"
        ) as error:
            store.append_runs([record(1)])
        assert "docs/object-storage.md" in error.value.hint
        assert Location(url).list("probe/") == []
        assert Store.open(url).read("runs").num_rows == 0

    def test_a_store_of_before_is_tried_too(self, s3):
        url = new_url()
        Store.open(url, create=True).append_runs([record(1)])
        location = Location(url)
        plain = json.loads(location.read("format.json"))
        del plain["conditional_put"]
        location.write("format.json", lambda stream: stream.write(json.dumps(plain).encode()))
        s3.ignore_conditions()
        with pytest.raises(StoreError, match="If-None-Match"):
            Store.open(url).append_runs([record(2)])

    def test_a_server_is_tried_once(self, s3):
        url = new_url()
        Store.open(url, create=True).append_runs([record(1)])
        assert any("/probe/" in line for line in s3.requests(forget=True))
        Store.open(url).append_runs([record(2)])
        assert not any("/probe/" in line for line in s3.requests())
        assert Location(url).list("probe/") == []


@pytest.mark.parametrize(
    "url",
    [
        "s3://AKIAKEY:topsecret@bucket/x",
        "s3://AKIAKEY@bucket/x",
        "s3://AKIAKEY:topsecret/more@bucket/x",
        "s3://AKIAKEY:topsecret@[bucket/x",
        "s3://bucket/x?secret_key=topsecret",
        "gs://bucket/x#topsecret",
        "az://name:topsecret@account/x",
    ],
)
def test_a_url_with_credentials_is_refused_and_not_repeated(url):
    with pytest.raises(UsageError) as caught:
        Store.open(url)
    assert "AKIAKEY" not in str(caught.value) + caught.value.hint
    assert "topsecret" not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize("url", ["http://host/x", "s3://", "ftp://x/y", "s4://b/x"])
def test_a_url_of_something_else_is_refused(url):
    with pytest.raises(UsageError, match="is not a store URL"):
        Store.open(url)


@pytest.mark.parametrize(
    "said",
    [
        "AWS Error UNKNOWN (HTTP status 301) during HeadObject operation: No response body.",
        "Received redirect without LOCATION, this normally indicates another region",
        "<Code>AuthorizationHeaderMalformed</Code> the region 'us-east-1' is wrong",
    ],
)
def test_a_bucket_of_another_region_is_said_and_not_tried_again(said):
    error = OSError(said)
    assert "AWS_REGION" in explain(error, "s3://b/301 cannot be read").hint
    assert not may_pass(error, "s3://b")
    assert may_pass(OSError("AWS Error UNKNOWN (HTTP status 500) of b/301/x"), "s3://b/301")


def test_the_names_of_a_store_are_no_words_of_an_error():
    url = "s3://slow-down-503/acme.connect/dns"
    missing = OSError(
        "Object at location acme.connect/dns/results/_delta_log/1.json not found: "
        "http://host/slow-down-503/acme.connect/dns/results status 404"
    )
    assert not may_pass(missing, url)
    assert not isinstance(explain(missing, f"table results of {url}"), ServerError)
    assert may_pass(OSError(f"{missing} status 503"), url)
    away = explain(OSError("error sending request for url (http://host:1/b/x)"), "s3://b")
    assert "the server http://host:1 cannot be reached" in away.message


def test_an_account_that_nobody_names():
    error = OSError("Generic MicrosoftAzure error\n ↳ Account must be specified\n")
    assert "needs credentials" in explain(error, "az://box/x cannot be read").message


def test_frames_of_delta_are_no_message():
    frames = "\n   0: <unknown>\n   1: start_thread\n             at ./nptl/pthread_create.c:442:8"
    for head in ("", "\n\nStack backtrace:"):
        error = OSError(f"Json error: cut{head}{frames}")
        assert explain(error, "table x of /store").message == "table x of /store: Json error: cut"


def test_options(monkeypatch):
    assert options_of("s3://b/x")["aws_conditional_put"] == "etag"
    assert "aws_conditional_put" not in options_of("gs://b/x")
    monkeypatch.setenv("TESTOPT_STORAGE_OPTIONS", "timeout=30s, max_retries=3")
    changed = options_of("abfss://box@account.dfs.core.windows.net/x")
    assert (changed["timeout"], changed["max_retries"]) == ("30s", "3")
    for wrong in ("timeout=30", "colour=red", "aws_secret_access_key=canary"):
        monkeypatch.setenv("TESTOPT_STORAGE_OPTIONS", wrong)
        with pytest.raises(SettingsError) as caught:
            options_of("s3://b/x")
        assert "canary" not in str(caught.value)


def test_secrets_are_taken_out_of_texts(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary/secret")
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", "sv=1&sig=canary-sas")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://me:canary-word@host:9000")
    text = (
        "GET https://me:canary-word@host/b/x?X-Amz-Signature=canary-sig&y=1 failed: canary/secret "
        "sv=1&sig=canary-sas"
    )
    assert "canary" not in redact(text)
    assert "https://…@host/b/x?… failed" in redact(text)
    assert endpoint_of("s3://b/x") == "https://…@host:9000"
    assert redact("see https://host/page, 7 of 9 files") == "see https://host/page, 7 of 9 files"
