"""Object stores: which URLs are one, how they are reached, and what their errors mean in words."""

from __future__ import annotations

import os
import random
import re
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from testopt.errors import SettingsError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")

AMAZON: Final = ("s3", "s3a")
GOOGLE: Final = ("gs",)
AZURE: Final = ("az", "azure", "abfs", "abfss", "adl")
OPTIONS: Final = "TESTOPT_STORAGE_OPTIONS"
# The defaults of Delta's client, 30 s a request and 180 s in all, kept a command waiting for 210 s
# at a server that accepts connections and never answers (pyarrow's own: 99 s). These make it 20 s:
# one request that hangs, and one more. 10 retries, its default, were over after 1.8 to 3.7 s of a
# server that says SlowDown; 30 bridge 20 s.
_DEFAULTS: Final = {
    "connect_timeout": "5s",
    "timeout": "10s",
    "retry_timeout": "20s",
    "max_retries": "30",
}
_SECONDS: Final = re.compile(r"(\d+(?:\.\d+)?)s")
_ENDPOINTS: Final = {
    "AWS_ENDPOINT_URL_S3": AMAZON,
    "AWS_ENDPOINT_URL": AMAZON,
    "AWS_ENDPOINT": AMAZON,
    "AZURE_STORAGE_ENDPOINT": AZURE,
    "AZURE_ENDPOINT": AZURE,
    "GOOGLE_BASE_URL": GOOGLE,
}
_CHECK: Final = (
    "check the network and the endpoint, then repeat: what the store acknowledged is kept"
)


def check_url(url: str) -> None:
    """Make sure that a URL names an object store, and holds no credentials.

    Raises
    ------
    UsageError
        Where it does not; nothing that could be a secret is repeated.
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # as of an address in brackets
        raise UsageError(
            "the URL of the store cannot be read", "write s3://bucket/prefix, gs://… or az://…"
        ) from None
    at = "@" in parts.netloc
    # a secret may hold a slash, behind which all is path: no bucket and no account has a colon
    if parts.query or parts.fragment or ":" in parts.netloc or (at and parts.scheme not in AZURE):
        raise UsageError(
            f"the {parts.scheme}:// URL of the store holds credentials, a port or options",
            "name the bucket and a prefix only; the rest goes into the environment",
        )
    if parts.scheme not in {*AMAZON, *GOOGLE, *AZURE} or not parts.netloc:
        raise UsageError(
            f"{url} is not a store URL", "use a folder, s3://bucket/prefix, gs://… or az://…"
        )


def options_of(url: str) -> dict[str, str]:
    """Return the options under which Delta reaches an object store.

    Commits go by conditional put, never by unsafe rename.
    """
    options = {**_DEFAULTS, **_given()}
    if urlsplit(url).scheme in AMAZON:
        options["aws_conditional_put"] = "etag"
    return options


def _given() -> dict[str, str]:
    """Return the options that the user's environment names."""
    found = {}
    for word in os.environ.get(OPTIONS, "").replace(",", " ").split():
        name, _, value = word.partition("=")
        sound = value.isdecimal() if name == "max_retries" else _SECONDS.fullmatch(value)
        if name not in _DEFAULTS or not sound:
            raise SettingsError(
                f"{OPTIONS} does not take {name!r} so",
                f"write {' '.join(f'{n}={v}' for n, v in _DEFAULTS.items())}",
            )
        found[name] = value
    return found


def seconds(options: dict[str, str], name: str) -> float:
    """Return an option that is a time."""
    return float(options[name].removesuffix("s"))


def endpoint_of(url: str) -> str:
    """Return the server that the environment names for a URL, without credentials."""
    return redact(_endpoint(url))


def _endpoint(url: str) -> str:
    scheme = urlsplit(url).scheme
    named = (os.environ.get(name, "") for name, of in _ENDPOINTS.items() if scheme in of)
    return next(filter(None, named), "")


def filesystem(url: str) -> tuple[Any, str]:
    """Return the file system of an object store, and the path of the store in it.

    Amazon's is pyarrow's: it writes a small file in one request, where Delta's client takes the
    three of a multipart upload, and more on stores that only speak like S3. The others are
    reached by Delta's client, so that files and tables need the same configuration.
    """
    from pyarrow import fs

    options, parts = options_of(url), urlsplit(url)
    if parts.scheme not in AMAZON:
        return fs.PyFileSystem(_delta_files(url, options)), ""
    server = urlsplit(_endpoint(url))
    where = {"scheme": server.scheme, "endpoint_override": server.netloc} if server.netloc else {}
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if region is None and not where:
        with suppress(OSError):  # the first request says what is wrong
            region = fs.resolve_s3_region(parts.netloc)
    system = fs.S3FileSystem(
        **where,
        region=region,
        connect_timeout=seconds(options, "connect_timeout"),
        request_timeout=seconds(options, "timeout"),
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=2),  # see `retried`
        allow_delayed_open=True,
        check_directory_existence_before_creation=False,
    )
    return system, f"{parts.netloc}{parts.path}".rstrip("/")


def _delta_files(url: str, options: dict[str, str]) -> Any:
    from deltalake.fs import DeltaStorageHandler

    class Handler(DeltaStorageHandler):
        def open_output_stream(self, path: str, metadata: dict[str, str] | None = None) -> Any:
            import pyarrow as pa

            return pa.PythonFile(_Bytes(self._handler.open_output_stream(path, metadata)))

    return Handler(url, options)


class _Bytes:
    """A stream of Delta's client, which takes bytes and nothing else of that kind."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, data: Any) -> int:
        return int(self._stream.write(bytes(data)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def retried(
    url: str, action: Callable[[], _T], *, failures: tuple[type[Exception], ...] = (OSError,)
) -> _T:
    """Do something with an object store, again and again while its server is out of order.

    Parameters
    ----------
    url : str
        Of the store.
    action : callable
        May be repeated, whether it happened or not.
    failures : tuple of type
        What it raises where the server is at fault.
    """
    deadline = time.monotonic() + seconds(options_of(url), "retry_timeout")
    for attempt in range(1_000_000):
        try:
            return action()
        except FileNotFoundError:
            raise
        except failures as error:
            if not may_pass(error, url) or time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(0.05, min(2.0, 0.1 * 2 ** min(attempt, 8))))  # noqa: S311
    raise AssertionError


def may_pass(error: BaseException, url: str) -> bool:
    """Tell whether an error is one of a server that may be in order a moment later."""
    said = in_words(error, url)
    return said is not None and said[1] == _CHECK


def in_words(error: BaseException, what: str) -> tuple[str, str] | None:
    """Return what a server's error means and what to do about it.

    Parameters
    ----------
    error : BaseException
    what : str
        What was tried, with the URL of the store.

    Returns
    -------
    tuple of str or None
        None where the store is no object store, or the error not one of its server.
    """
    url = _URL.search(what)
    if url is None:
        return None
    text = _without_names(said_by(error).lower(), url.group().lower())
    found = next((said for pattern, *said in _MEANINGS if pattern.search(text)), None)
    if found is None:
        return None
    server = endpoint_of(url.group()) or _server_in(text)
    return f"the server {server} {found[0]}".replace("  ", " "), found[1]


def said_by(error: BaseException) -> str:
    """Return the text of an error, without the frames that RUST_BACKTRACE adds to Delta's."""
    return _BACKTRACE.split(str(error), maxsplit=1)[0].rstrip()


def _without_names(text: str, url: str) -> str:
    """Return a text without the place of the store: its names may be words of an error."""
    parts = urlsplit(url.rstrip(":,"))
    bucket, path = re.escape(parts.netloc), re.escape(parts.path.strip("/"))
    if not path:
        return text
    return re.sub(rf"(?<![\w.-])(?:{bucket}/{path}(?![\w.-])|{path}(?=/))", "…", text)


_BACKTRACE: Final = re.compile(r"\n[^\S\n]*(?:stack backtrace:|0: )", re.IGNORECASE)
_URL: Final = re.compile(rf"\b({'|'.join((*AMAZON, *GOOGLE, *AZURE))})://\S+")
_NO_BUCKET: Final = re.compile(r"no_?such_?bucket|no_?such_?container|container_?not_?found")
_DENIED: Final = re.compile(
    r"\b40[13]\b|access.?denied|necessary privileges|invalid_?access_?key|signature_?does_?not"
)
_MEANINGS: Final = (
    (_NO_BUCKET, "has no such bucket", "create it, or check the URL of the store"),
    (
        re.compile(
            r"permanent_?redirect|status\D{0,7}301\b|redirect without location|specified endpoint"
            r"|authorization_?header_?malformed"
        ),
        "has the bucket in another region",
        "set AWS_REGION to the region of the bucket",
    ),
    (
        re.compile(
            r"169\.254\.169\.254|no credentials|metadata\.google|oauth|account must be specified"
        ),
        "needs credentials, and the environment has none",
        "docs/object-storage.md tells their names",
    ),
    (_DENIED, "denies access", "check the credentials in the environment, and what they may do"),
    (re.compile(r"timed out|timeout was reached|too slow"), "does not answer in time", _CHECK),
    (re.compile(r"slow_?down|\b503\b|\b429\b"), "asks to slow down", _CHECK),
    (
        re.compile(r"\b50[0-9]\b|internal_?(server )?error|internal_failure"),
        "is out of order",
        _CHECK,
    ),
    (
        re.compile(
            r"connect|reset by peer|error sending request|response body|curlcode|dns|\beof\b"
        ),
        "cannot be reached, or breaks off",
        _CHECK,
    ),
    (re.compile(r"aws error|generic (s3|gcs|microsoftazure) error"), "is out of order", _CHECK),
)
_SERVER: Final = re.compile(r"https?://[^/\s?]+")


def _server_in(text: str) -> str:
    found = _SERVER.search(text)
    return redact(found.group()) if found else ""


_USER: Final = re.compile(r"(?<=://)[^/\s@:]*:[^/\s@]*@")
_ADDRESS: Final = re.compile(r"https?://[^\s\"']+")
_SECRET_NAME: Final = re.compile(r"SECRET|TOKEN|PASSWORD|_KEY\b|_KEY_ID\b|SAS|CONNECTION_STRING")
_SHORTEST: Final = 6  # shorter values stand in words of any text


def _without_query(found: re.Match[str]) -> str:
    head, mark, query = found[0].partition("?")
    _, bracket, rest = query.partition(")")  # of a text around it
    return f"{head}?…{bracket}{rest}" if mark and query else found[0]


def redact(text: str) -> str:
    """Return a text without the credentials in its URLs, and without those of the environment."""
    text = _ADDRESS.sub(_without_query, _USER.sub("…@", text))
    for name, value in os.environ.items():
        if len(value) >= _SHORTEST and value in text and _is_secret(name):
            text = text.replace(value, "…")
    return text


def _is_secret(name: str) -> bool:
    return name.startswith(("AWS_", "AZURE_", "GOOGLE_")) and bool(_SECRET_NAME.search(name))
