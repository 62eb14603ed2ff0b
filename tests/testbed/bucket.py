"""A bucket of an S3 server on this machine, which clients find through the environment."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def s3_bucket(name: str = "shelf") -> Iterator[str]:
    """Give the URI of a bucket that is there."""
    server = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    thread = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    thread.start()
    host, port = thread.get_host_and_port()
    url = f"http://{host}:{port}"
    words = {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    before = {word: os.environ.get(word) for word in words}
    os.environ.update(words)
    urllib.request.urlopen(urllib.request.Request(f"{url}/{name}", method="PUT")).close()
    try:
        yield f"s3://{name}"
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
        for word, value in before.items():
            os.environ.pop(word, None)
            if value is not None:
                os.environ[word] = value
        thread.stop()
