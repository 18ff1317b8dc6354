"""What tests of stores on object storage share: a server that fails on demand, and its keys."""

from __future__ import annotations

import os
import uuid

import pytest
from faulty_proxy import MOTO, start_s3

BUCKET = "bucket"
# canaries: none of them may show up in anything that is printed or stored
KEY_ID, SECRET, TOKEN = "AKIACANARYCANARY", "canary/secret+0123456789", "canary-session-token-01"
USUAL_FAULTS = ("500", "503", "slow down", "reset", "lost", "lost 500", "truncate")


def new_url() -> str:
    """Return the URL of a store that nobody has used."""
    return f"s3://{BUCKET}/some/{uuid.uuid4().hex}"


def variables(endpoint: str) -> dict[str, str]:
    """Return the environment under which a server is reached."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_SESSION_TOKEN": TOKEN,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@pytest.fixture(scope="session")
def s3_process():
    """A server of object storage."""
    if not MOTO.exists():
        pytest.skip("no server of object storage: sh scripts/install_object_storage")
    proxy = start_s3(BUCKET)
    yield proxy
    proxy.stop()


@pytest.fixture
def s3(s3_process, monkeypatch):
    """The server without faults, reached by this process and by those that it starts."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in variables(s3_process.url).items():
        monkeypatch.setenv(name, value)
    s3_process.fail()
    s3_process.requests(forget=True)
    yield s3_process
    s3_process.fail()
