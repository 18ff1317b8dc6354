"""Workers of Dask: processes of this machine, or those of a scheduler that runs elsewhere."""

from __future__ import annotations

import logging
import re
import warnings
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from testopt import __version__
from testopt.errors import TestoptError, UsageError, WorkersError
from testopt.pluralize import pluralize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from testopt.pool import Task

Value = TypeVar("Value")

CONNECT_S: Final = 10.0
_ADDRESS: Final = re.compile(r"(tcp|tls|ucx|ws|wss)://[^/\s]+")
_LOCAL: Final = re.compile(r"local:([1-9]\d{0,2})")
_HINT: Final = "local:N for N processes here, or the address of a Dask scheduler: tcp://host:port"


@contextmanager
def open_dask(scheduler: str) -> Iterator[DaskPool]:
    """Connect to a scheduler, or start one with its workers here; see `open_pool`."""
    local = _LOCAL.fullmatch(scheduler)
    if not local and not _ADDRESS.fullmatch(scheduler):
        raise UsageError(f"{scheduler!r} is not the address of a scheduler", _HINT)
    try:
        import distributed
    except ImportError as error:
        raise UsageError(
            "--scheduler needs Dask, which is not installed", "pip install 'testopt[distributed]'"
        ) from error
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters is raised
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sending large graph")
        if local:
            with _local_cluster(int(local[1])) as cluster, distributed.Client(cluster) as client:
                yield DaskPool(client, int(local[1]))
        else:
            if not _reached(scheduler)["workers"]:
                raise UsageError(
                    f"the scheduler {scheduler} has no workers",
                    f"start some: dask worker {scheduler}",
                )
            with distributed.Client(scheduler, timeout=CONNECT_S) as client:
                yield DaskPool(client, _checked_workers(client, scheduler))


def _local_cluster(workers: int) -> Any:
    """Start worker processes; each may have its share of the memory, and spills what is more."""
    import dask
    import distributed

    # the profile of the workers, which nobody looks at here, costs some CPU time all along
    dask.config.set({"distributed.worker.profile.enabled": False})
    return distributed.LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",  # None would take a port that others like
        silence_logs=logging.CRITICAL,
    )


def _reached(address: str) -> dict[str, Any]:
    """Return what the scheduler says of itself, before a client waits for it in earnest.

    Raises
    ------
    UsageError
        When nothing answers there in time, or what answers is no scheduler.
    """
    import asyncio

    try:
        identity = asyncio.run(asyncio.wait_for(_identity(address), CONNECT_S))
        if identity["type"] != "Scheduler":
            raise ValueError(f"it is a {identity['type']}")
    except Exception as error:  # whatever answers there may say anything
        known = isinstance(error, OSError | TypeError)  # not there; no certificates
        why = str(error).partition("\n")[0] or f"no answer within {CONNECT_S:g} s"
        why = why if known else "what answers there is not a Dask scheduler"
        raise UsageError(
            f"the scheduler {address} cannot be reached: {why}",
            "is `dask scheduler` running there?",
        ) from error
    return dict(identity)


async def _identity(address: str) -> Any:
    from distributed.comm import connect
    from distributed.security import Security

    arguments = Security().get_connection_args("client")
    comm = await connect(address, timeout=CONNECT_S / 2, **arguments)
    try:
        await comm.write({"op": "identity", "reply": True, "close": True})
        return await comm.read()
    finally:
        comm.abort()


def _checked_workers(client: Any, address: str) -> int:
    """Return how many tasks the workers do at a time; all must have this version of testopt."""
    found = client.run(_version, on_error="return")
    other = sorted(name for name, version in found.items() if version != __version__)
    if other:
        raise UsageError(
            f"{pluralize(len(other), 'worker')} of {address} ({other[0]}, …) "
            f"cannot run testopt {__version__}",
            f"install it there: pip install 'testopt[distributed]=={__version__}'",
        )
    return int(sum(client.nthreads().values()))


def _version() -> str:
    from testopt import __version__ as version

    return version


class DaskPool:
    """Does tasks on the workers of a client; one that dies has its tasks done by another."""

    def __init__(self, client: Any, workers: int) -> None:
        self._client = client
        self.workers = workers

    def submit(self, function: Callable[..., Value], /, *arguments: Any) -> Task[Value]:
        """Ask for ``function(*arguments)``; an argument may be a task of this pool."""
        plain = [a.future if isinstance(a, _DaskTask) else a for a in arguments]
        return _DaskTask(self._client.submit(function, *plain, pure=False))


class _DaskTask:
    def __init__(self, future: Any) -> None:
        self.future = future

    def result(self) -> Any:
        """Wait for the task; what it raised is raised here."""
        from distributed import KilledWorker
        from distributed.client import FutureCancelledError
        from distributed.comm import CommClosedError

        try:
            return self.future.result()
        except TestoptError:
            raise
        except KilledWorker as error:
            raise WorkersError(
                "a task ended several workers, most likely because they ran out of memory",
                "give the workers more memory, or start fewer of them on each machine",
            ) from error
        except (FutureCancelledError, CommClosedError, ConnectionError, TimeoutError) as error:
            raise WorkersError(
                f"the workers are gone: {error}", "nothing was written; try again"
            ) from error
        finally:
            with suppress(Exception):
                self.future.release()
