"""The local AWS as tests use it: a process of its own, and words to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any


class Testbed:
    """Starts ``python tests/testbed/aws``, as a context manager.

    Args:
        folder: For its logs.
        **options: Of its command line, such as ``provision=5`` or ``hive=True``.
    """

    __test__ = False

    def __init__(self, folder: Path, **options: Any) -> None:
        words = [sys.executable, str(Path(__file__).parent), "--folder", str(folder)]
        for name, value in options.items():
            words += [f"--{name}"] if value is True else [f"--{name}", str(value)]
        environ = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        self.folder = folder
        self._clients: dict[str, Any] = {}
        self._turn = threading.Lock()
        with (folder / "server.log").open("wb") as log:
            self.process = subprocess.Popen(
                words, stdout=subprocess.PIPE, stderr=log, text=True, env=environ
            )
        assert self.process.stdout is not None
        lines = [self.process.stdout.readline() for _ in range(5)]
        assert lines[4], (folder / "server.log").read_text()
        pairs = [word.partition("=") for line in lines for word in line.split()[1:]]
        #: What is to be exported.
        self.environment = {name: value for name, _, value in pairs}
        self.url = self.environment["AWS_ENDPOINT_URL"]

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

    def tell(self, word: str, data: Any = None) -> Any:
        """Say something below ``/testbed/``."""
        body = json.dumps(data).encode()
        post = urllib.request.Request(f"{self.url}/testbed/{word}", data=body, method="POST")
        with urllib.request.urlopen(post, timeout=60) as answer:
            return json.loads(answer.read())

    def reset(self) -> None:
        """Begin with nothing: an empty account, no faults, no limits."""
        urllib.request.urlopen(f"{self.url}/moto-api/reset", data=b"", timeout=60).close()
        for word, data in (("forget", None), ("capacity", {}), ("faults", [])):
            self.tell(word, data)

    def calls(self, key: str | None = "testing") -> list[dict[str, Any]]:
        """Return the calls so far of one user, or of all; S3 is left out."""
        return [
            call
            for call in self.get("calls")
            if key in (None, call["key"]) and call["service"] != "s3"
        ]

    def count(self, key: str | None = "testing") -> Counter[str]:
        """Return how often each call was made."""
        return Counter(f"{call['service']}:{call['action']}" for call in self.calls(key))

    def client(self, service: str) -> Any:
        """Return a client of boto3 whose calls are told apart from those of drivers."""
        import boto3

        with self._turn:
            if service not in self._clients:
                self._clients[service] = boto3.client(
                    service,
                    endpoint_url=self.url,
                    region_name="us-east-1",
                    aws_access_key_id="observer",
                    aws_secret_access_key="observer",
                )
            return self._clients[service]

    def tasks(self, cluster: str) -> list[dict[str, Any]]:
        """Return all tasks of a cluster that have not stopped."""
        ecs = self.client("ecs")
        arns = []
        for status in ("RUNNING", "STOPPED"):
            for page in ecs.get_paginator("list_tasks").paginate(
                cluster=cluster, desiredStatus=status
            ):
                arns += page["taskArns"]
        tasks = []
        for start in range(0, len(arns), 100):
            tasks += ecs.describe_tasks(cluster=cluster, tasks=arns[start : start + 100])["tasks"]
        return [task for task in tasks if task["lastStatus"] != "STOPPED"]
