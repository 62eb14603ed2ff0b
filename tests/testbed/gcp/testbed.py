"""The local Google Cloud as tests use it: a process of its own, and words to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

#: Methods whose permission has another name, by how they end; None for those that need none.
PERMISSIONS = {
    "secrets.addVersion": "secretmanager.versions.add",
    "projects.testIamPermissions": None,
    "serviceAccounts.testIamPermissions": None,
    "projects.get": "resourcemanager.projects.get",
    "entries.list": "logging.logEntries.list",
}
VERBS = {"insert": "create", "aggregatedList": "list", "wait": "get"}


class Testbed:
    """Starts ``python tests/testbed/gcp``, as a context manager.

    Args:
        folder: For its files.
        hive: All members are in one process.
        apart: Each instance has a group of users of its own.
        **environment: What all instances have in theirs.
    """

    __test__ = False

    def __init__(
        self, folder: Path, *, hive: bool = False, apart: bool = False, **environment: str
    ) -> None:
        words = [sys.executable, str(Path(__file__).parent), "--folder", str(folder)]
        words += [*(["--hive"] if hive else []), *(["--apart"] if apart else [])]
        with (folder / "server.log").open("wb") as log:
            self.process = subprocess.Popen(
                words,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **environment},
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, (folder / "server.log").read_text()
        said = json.loads(line)
        self.url: str = said["url"]
        #: What is to be exported.
        self.environment: dict[str, str] = said["environment"]

    def __enter__(self) -> Testbed:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(60)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def get(self, word: str) -> Any:
        """Ask for something below ``/testbed/``."""
        with urllib.request.urlopen(f"{self.url}/testbed/{word}", timeout=60) as answer:
            return json.loads(answer.read())

    def tell(self, word: str, **data: Any) -> Any:
        """Say something below ``/testbed/``."""
        body = json.dumps(data).encode()
        post = urllib.request.Request(f"{self.url}/testbed/{word}", data=body, method="POST")
        with urllib.request.urlopen(post, timeout=60) as answer:
            return json.loads(answer.read())

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The requests of drivers so far."""
        return [call for call in self.get("calls") if call["who"] == "driver"]

    @property
    def state(self) -> dict[str, Any]:
        """What there is."""
        found: dict[str, Any] = self.get("state")
        return found


def permission_of(method: str) -> str | None:
    """The permission that a method needs."""
    *_, resource, verb = method.split(".")
    if f"{resource}.{verb}" in PERMISSIONS:
        return PERMISSIONS[f"{resource}.{verb}"]
    return f"{method.partition('.')[0]}.{resource}.{VERBS.get(verb, verb)}"
