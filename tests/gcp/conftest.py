"""Cloud Storage as a process of its own on loopback, which can be told to fail."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scalable_core.types import Event, HookContext

sys.path.insert(0, str(Path(__file__).parents[1] / "testbed"))

from gcp.testbed import Testbed

SERVER = Path(__file__).parents[1] / "testbed" / "gcp" / "storage.py"
MIB = 1024 * 1024


class Service:
    """The service, and what a test may ask of it beside the protocol."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, what: str, data: object = None) -> Any:
        body = None if data is None else json.dumps(data).encode()
        with urllib.request.urlopen(f"{self.url}/__sim__/{what}", body, timeout=30) as answer:
            return json.load(answer)

    def fault(self, **fault: object) -> None:
        """Plant a fault; `tests/testbed/gcp/storage.py` says which there are."""
        self.ask("fault", fault)

    def requests(self, method: str, path: str = "") -> list[int]:
        """How requests so far were answered."""
        return [status for verb, url, status in self.ask("log") if verb == method and path in url]

    @property
    def uploads(self) -> dict[str, int]:
        """Unfinished uploads, and how many bytes of each are kept."""
        return dict(self.ask("uploads"))

    def describe(self, name: str) -> dict[str, Any]:
        """What the service says of an object, asked without the product."""
        address = f"{self.url}/storage/v1/b/bucket/o/{name}"
        with urllib.request.urlopen(address, timeout=30) as answer:
            return json.load(answer)


@pytest.fixture(scope="session")
def server() -> Iterator[Service]:
    process = subprocess.Popen([sys.executable, SERVER], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield Service(process.stdout.readline().strip())
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture
def gcs(server: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    """The service, empty but for the bucket named `bucket`."""
    server.ask("reset")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
    return server


class Events(list[Event]):
    """A sink that keeps what it is told."""

    emit = list.append


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def context(events: Events) -> HookContext:
    return HookContext(events=events)


@pytest.fixture(scope="session")
def local_google(server: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Testbed]:
    """The local Google Cloud, whose members keep objects in the Cloud Storage beside it."""
    with Testbed(tmp_path_factory.mktemp("google"), STORAGE_EMULATOR_HOST=server.url) as testbed:
        yield testbed


@pytest.fixture
def google(local_google: Testbed, monkeypatch: pytest.MonkeyPatch) -> Iterator[Testbed]:
    """The local Google Cloud, with nothing in it, as the one that this process means.

    Whatever a test does, no rule lets the whole world in.
    """
    local_google.tell("reset")
    for name, value in local_google.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("scalable_gcp.cloud.FIRST_PAUSE", 0.05)
    yield local_google
    rules = [call["body"] for call in local_google.get("calls") if "/firewalls" in call["path"]]
    assert not any("0.0.0.0/0" in rule["sourceRanges"] for rule in rules if rule)
