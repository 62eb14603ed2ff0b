"""What the testbed's own parts say to the API server: one request, and one watch that never gives up."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import urllib3


class Api:
    """Talks to the API server as admin.

    Args:
        server: Its URL.
        ca: File of the authority that has signed its certificate.
        token: Of the admin.
    """

    def __init__(self, server: str, ca: str, token: str) -> None:
        self.server = server
        self._http = urllib3.PoolManager(ca_certs=ca, maxsize=32)
        self._headers = {"Authorization": f"Bearer {token}"}

    def ask(
        self, method: str, path: str, body: Any = None, kind: str = "application/json"
    ) -> tuple[int, Any]:
        """Return the status and the document of an answer."""
        answer = self._http.request(
            method,
            self.server + path,
            body=None if body is None else json.dumps(body),
            headers={**self._headers, "Content-Type": kind},
            timeout=30,
        )
        return answer.status, json.loads(answer.data)

    def insist(self, *request: Any) -> tuple[int, Any]:
        """Ask until there is an answer: the API server may be away for a while."""
        while True:
            try:
                status, document = self.ask(*request)
                if status < 500 and status != 429:
                    return status, document
            except urllib3.exceptions.HTTPError:
                pass
            time.sleep(0.3)

    def watch(self, path: str, query: str = "") -> Iterator[tuple[str, Any]]:
        """Yield what is there and what becomes of it; after a break, what is there once more."""
        while True:
            try:
                status, listed = self.ask("GET", f"{path}?{query}")
                if status == 200:
                    for item in listed["items"]:
                        yield "ADDED", item
                    yield from self._changes(path, query, listed["metadata"]["resourceVersion"])
            except (urllib3.exceptions.HTTPError, ValueError) as error:
                print("watch", error, file=sys.stderr, flush=True)
            time.sleep(0.3)

    def _changes(self, path: str, query: str, version: str) -> Iterator[tuple[str, Any]]:
        answer = self._http.request(
            "GET",
            f"{self.server}{path}?{query}&watch=1&resourceVersion={version}",
            headers=self._headers,
            timeout=urllib3.Timeout(connect=10, read=300),
            preload_content=False,
        )
        rest = b""
        for chunk in answer.stream(65536):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                yield event["type"], event["object"]
