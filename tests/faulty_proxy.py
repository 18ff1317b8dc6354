"""A server of object storage behind a proxy that fails on demand, in a process of its own.

``start_s3`` runs moto's S3 server and the proxy; ``Proxy.fail`` says what goes wrong from now on.
Requests are counted, and what clients send is kept for tests that look for secrets.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SLOW_DOWN = (
    b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)
INTERNAL = b"<Error><Code>InternalError</Code><Message>We encountered an error.</Message></Error>"
DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
# What the server says instead of answering: the request never reaches the store.
ANSWERS = {
    "500": (500, INTERNAL),
    "503": (503, b""),
    "slow down": (503, SLOW_DOWN),
    "403": (403, DENIED),
}
# made by scripts/install_object_storage: moto needs older packages than testopt
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
MOTO = Path(os.environ.get("TESTOPT_MOTO") or _CACHE / "testopt-moto") / "bin" / "python"
HANG_S = 600.0
LATE_S = 2.0
CONTROL = "/-/"  # no name of a bucket


class _State:
    """The plan of faults, and what was seen; shared by all connections."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.rules: list[dict] = []
        self.chance = random.Random(0)
        self.requests: list[str] = []
        self.unconditional = False
        self.closing = threading.Event()

    def plan(self, document: dict) -> None:
        with self.lock:
            self.rules = [dict(rule) for rule in document["rules"]]
            self.chance = random.Random(document["seed"])
            self.unconditional = document["unconditional"]
            self.closing.set()  # whoever hangs is let go
            self.closing = threading.Event()

    def fault(self, line: str) -> str | None:
        """Return what goes wrong with a request, by the first rule that applies to it."""
        with self.lock:
            for rule in self.rules:
                if rule["times"] == 0 or not re.search(rule["on"], line):
                    continue
                if rule["after"] > 0:
                    rule["after"] -= 1
                    continue
                if self.chance.random() < rule["share"]:
                    rule["times"] -= 1
                    return str(self.chance.choice(rule["kinds"]))
            return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: _State
    upstream: tuple[str, int]
    server_version = "proxy"

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.way: http.client.HTTPConnection | None = None

    def finish(self) -> None:
        if self.way is not None:
            self.way.close()
        with suppress(OSError):
            super().finish()

    def log_message(self, *args: object) -> None:
        pass

    def _handle(self) -> None:
        body = self._body()
        if self.path.startswith(CONTROL):
            self._control(body)
            return
        line = f"{self.command} {self.path}"
        fault = self.state.fault(line)
        with self.state.lock:
            self.state.requests.append(f"{fault or 'ok'} {line}")
        if fault in ANSWERS:
            self._answer(*ANSWERS[fault])
        elif fault == "reset":
            self._reset()
        elif fault == "hang":
            self.state.closing.wait(HANG_S)
            self._reset()
        elif fault == "late":  # the answer is an error, and the request arrives all the same
            self._send(500, [("Connection", "close")], INTERNAL, len(INTERNAL))
            self.connection.shutdown(socket.SHUT_WR)
            self.close_connection = True
            time.sleep(LATE_S)
            self._forward(body)
        else:
            if fault == "slow":
                time.sleep(self.state.chance.uniform(0, 0.2))
            self._pass_on(body, fault)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = _handle  # noqa: N815

    def _pass_on(self, body: bytes, fault: str | None) -> None:
        status, headers, content = self._forward(body)
        headers = [header for header in headers if header[0].lower() != "connection"]
        if fault == "lost":  # it happened, and nobody is told
            self._reset()
        elif fault == "lost 500":
            self._answer(*ANSWERS["500"])
        elif fault == "truncate" and len(content) > 1:
            self._send(status, headers, content[: len(content) // 2], len(content))
            self._reset()
        else:
            self._send(status, headers, content, len(content))

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            content = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return content
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        sent = {
            k: v
            for k, v in self.headers.items()
            if k.lower() not in {"connection", "expect", "transfer-encoding", "content-length"}
            and not (self.state.unconditional and k.lower() in {"if-none-match", "if-match"})
        }
        for again in (True, False):
            fresh = self.way is None
            self.way = self.way or http.client.HTTPConnection(*self.upstream, timeout=60)
            try:
                self.way.request(self.command, self.path, body or None, sent)
                response = self.way.getresponse()
                return response.status, response.getheaders(), response.read()
            except (OSError, http.client.HTTPException):
                self.way.close()
                self.way = None
                if fresh or not again or self.command not in {"GET", "HEAD"}:
                    raise
        raise AssertionError

    def _answer(self, status: int, content: bytes) -> None:
        self._send(status, [("Content-Type", "application/xml")], content, len(content))

    def _send(
        self, status: int, headers: list[tuple[str, str]], content: bytes, length: int
    ) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in {"transfer-encoding", "content-length"}:
                self.send_header(name, value)
        told = {k.lower(): v for k, v in headers}.get("content-length", str(length))
        self.send_header("Content-Length", told if self.command == "HEAD" else str(length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def _control(self, body: bytes) -> None:
        if self.command == "PUT":
            self.state.plan(json.loads(body))
        with self.state.lock:
            content = json.dumps(self.state.requests).encode()
            if self.command == "DELETE":
                self.state.requests.clear()
        self._answer(200, content)


class _Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True

    def handle_error(self, *args: object) -> None:
        pass  # clients that go away


@dataclass
class Proxy:
    """The proxy as a test sees it.

    Parameters
    ----------
    port : int
    child : subprocess.Popen
    """

    port: int
    child: subprocess.Popen[str]

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"http://127.0.0.1:{self.port}"

    def fail(
        self,
        *kinds: str,
        on: str = ".",
        times: int = -1,
        share: float = 1.0,
        after: int = 0,
        seed: int = 0,
    ) -> None:
        """Let requests fail from now on.

        Parameters
        ----------
        kinds : str
            500, 503, "slow down", 403, reset, hang, truncate, slow; lost, "lost 500": it happens,
            and the answer does not arrive; late: an error, and it happens a little later.
            None of them: all is well again.
        on : str
            Regular expression that method and path match.
        times : int
            How often; -1 always.
        share : float
            Of the requests, drawn with the seed.
        after : int
            So many are served first.
        seed : int
        """
        rule = {"kinds": kinds, "on": on, "times": times, "share": share, "after": after}
        self._plan([rule] if kinds else [], seed=seed)

    def ignore_conditions(self) -> None:
        """Be a server that knows no conditional put: each one succeeds."""
        self._plan([], unconditional=True)

    def requests(self, *, forget: bool = False) -> list[str]:
        """Return "fault method path" of the requests so far."""
        return list(self._ask("DELETE" if forget else "GET"))

    def stop(self) -> None:
        """End the process."""
        self.child.kill()
        self.child.communicate()

    def _plan(self, rules: list[dict], *, seed: int = 0, unconditional: bool = False) -> None:
        plan = {"rules": rules, "seed": seed, "unconditional": unconditional}
        self._ask("PUT", json.dumps(plan))

    def _ask(self, method: str, body: str | None = None) -> list[str]:
        way = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        way.request(method, CONTROL, body)
        answer = json.loads(way.getresponse().read())
        way.close()
        return answer


def start_s3(bucket: str) -> Proxy:
    """Start moto's S3 server with a bucket, and the proxy in front of it."""
    return start("s3", bucket)


def start_in_front_of(host: str, port: int) -> Proxy:
    """Start the proxy in front of a server that runs already."""
    return start(host, str(port))


def start(*arguments: str) -> Proxy:
    """Start this file as a process."""
    child = subprocess.Popen(
        [str(MOTO if MOTO.exists() else sys.executable), __file__, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"},
    )
    assert child.stdout is not None
    for line in child.stdout:
        if line.startswith("port "):
            return Proxy(int(line.split()[1]), child)
    raise RuntimeError("the server did not start")


def _moto(bucket: str) -> tuple[str, int]:
    import logging

    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ThreadedMotoServer("127.0.0.1", port, verbose=False).start()
    way = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    way.request("PUT", f"/{bucket}", headers={"Host": f"127.0.0.1:{port}"})
    assert way.getresponse().status == 200
    return "127.0.0.1", port


def _main(first: str, second: str) -> None:
    upstream = _moto(second) if first == "s3" else (first, int(second))
    handler = type("Handler", (_Handler,), {"state": _State(), "upstream": upstream})
    server = _Server(("127.0.0.1", 0), handler)
    print(f"port {server.server_port}", flush=True)  # noqa: T201
    server.serve_forever()


if __name__ == "__main__":
    _main(*sys.argv[1:])
