"""Where work is done: in this process, or where the user says."""

import socket
import sys
import threading
import time

import pytest

from testopt.errors import UsageError, WorkersError
from testopt.pool import THIS_PROCESS, in_order, open_pool


def test_without_a_scheduler_nothing_of_dask_is_imported(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)  # an import would fail
    with open_pool(None) as pool:
        assert pool is THIS_PROCESS
        first = pool.submit(len, "abc")
        assert pool.submit(max, first, 2).result() == 3


def test_tasks_of_this_process_are_done_one_by_one():
    done = []
    tasks = (THIS_PROCESS.submit(done.append, i) for i in range(3))
    for i, _ in enumerate(in_order(tasks, THIS_PROCESS)):
        assert done == list(range(i + 1))


class Many:
    workers = 2


def test_few_tasks_are_asked_for_ahead_of_time():
    asked = []

    def tasks():
        for i in range(20):
            asked.append(i)
            yield THIS_PROCESS.submit(int, i)

    for i, value in enumerate(in_order(tasks(), Many())):
        assert value == i
        assert len(asked) <= i + 5
    assert asked == list(range(20))


@pytest.mark.parametrize(
    "name", ["local:0", "local", "local:-1", "localhost:8786", "tcp://", "", "x"]
)
def test_what_names_no_scheduler_is_refused(name):
    with (
        pytest.raises(UsageError, match="is not the address of a scheduler") as caught,
        open_pool(name),
    ):
        pass
    assert "local:N" in caught.value.hint
    assert caught.value.exit_code == 2


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match="Dask") as caught, open_pool("local:2"):
        pass
    assert caught.value.hint == "pip install 'testopt[distributed]'"


def test_a_scheduler_that_is_not_there_is_told_soon(monkeypatch):
    pytest.importorskip("distributed")
    from testopt.pool import dask_pool

    assert dask_pool.CONNECT_S <= 12
    monkeypatch.setattr(dask_pool, "CONNECT_S", 0.3)
    started = time.monotonic()
    refused = pytest.raises(UsageError, match=r"tcp://127\.0\.0\.1:9 cannot be reached")
    with refused as caught, open_pool("tcp://127.0.0.1:9"):
        pass
    assert time.monotonic() - started < 5
    assert "dask scheduler" in caught.value.hint


def test_what_is_no_scheduler_is_told(monkeypatch):
    pytest.importorskip("distributed")
    from testopt.pool import dask_pool

    monkeypatch.setattr(dask_pool, "CONNECT_S", 4.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=say_no, args=(server,), daemon=True)
        thread.start()
        refused = pytest.raises(UsageError, match="cannot be reached: what answers there is no")
        with refused as caught, open_pool(f"tcp://127.0.0.1:{server.getsockname()[1]}"):
            pass
        thread.join(5)
    assert caught.value.exit_code == 2


def say_no(server):
    """Answer as a web server does, in words that Dask takes for a length."""
    client, _ = server.accept()
    with client:
        client.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n" * 4)


class Failed:
    """A future of which an error came out."""

    def __init__(self, error):
        self.error = error

    def result(self):
        raise self.error


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (TimeoutError("no answer"), WorkersError),
        (ConnectionRefusedError(111, "Connection refused"), WorkersError),
        (OSError(28, "No space left on device"), OSError),
        (PermissionError(13, "Permission denied", "/data"), PermissionError),
    ],
)
def test_what_a_task_lacked_is_not_told_as_the_loss_of_its_worker(error, raised):
    pytest.importorskip("distributed")
    from testopt.pool.dask_pool import _DaskTask

    with pytest.raises(raised):
        _DaskTask(Failed(error)).result()
