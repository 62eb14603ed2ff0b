"""The pods of one run as they are now, kept up to date by one watch instead of one question after the other."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

from scalable_kubernetes.api import Api, ApiError, path

#: Seconds after which the server ends a watch, and we begin the next where it stopped.
SPAN = 40
#: Seconds without an answer after which what is known is too old to go by.
STALE = 15.0


class PodWatch:
    """Follows the pods that a selector names, in a thread.

    Args:
        api: The API server.
        namespace: Where they are.
        selector: What their labels must be.

    Attributes:
        lists: How often all pods have been listed: once, and after each time that the server had forgotten.
    """

    def __init__(self, api: Api, namespace: str, selector: str) -> None:
        self._api = api
        self._where = path("v1", "pods", namespace)
        self._query = [("labelSelector", selector)]
        self._lock = threading.Lock()
        self._pods: dict[str, dict[str, Any]] = {}
        self._over = threading.Event()
        self._error: ApiError | None = None
        self._seen = time.monotonic()
        self.lists = 0

    def start(self) -> None:
        """List the pods, and follow them from there.

        Raises:
            ApiError: They may not be listed.
        """
        version = self._list()
        threading.Thread(target=self._run, args=(version,), daemon=True).start()

    def stop(self) -> None:
        """Follow no more; the thread ends with its last watch."""
        self._over.set()

    def pods(self) -> list[dict[str, Any]]:
        """Return the pods.

        Raises:
            ApiError: The server has not answered for too long.
        """
        with self._lock:
            if self._error is not None and time.monotonic() - self._seen > STALE:
                raise self._error
            return list(self._pods.values())

    # -- inside ------------------------------------------------------------------------------------------

    def _run(self, version: str) -> None:
        pause = 0.2
        while not self._over.is_set():
            try:
                version = self._follow(version) if version else self._list()
                self._well()
                pause = 0.2
            except ApiError as error:
                if error.status == 410:  # the server has forgotten what became of them since
                    version = ""
                    continue
                with self._lock:
                    self._error = error
                self._over.wait(pause)
                pause = min(5.0, pause * 2)

    def _list(self) -> str:
        found = self._api.get(self._where, self._query)
        self.lists += 1
        with self._lock:
            self._pods = {pod["metadata"]["uid"]: pod for pod in found["items"]}
        self._well()
        version: str = found["metadata"]["resourceVersion"]
        return version

    def _follow(self, version: str) -> str:
        more = [("watch", "true"), ("resourceVersion", version), ("timeoutSeconds", SPAN)]
        more.append(("allowWatchBookmarks", "true"))
        for line in self._api.stream(self._where, [*self._query, *more], silence=SPAN + 20):
            event = json.loads(line)
            kind, pod = event["type"], event["object"]
            if kind == "ERROR":
                raise ApiError(pod.get("code", 500), pod.get("reason", ""), pod.get("message", ""))
            version = pod["metadata"]["resourceVersion"]
            self._well()
            with self._lock:
                if kind == "DELETED":
                    self._pods.pop(pod["metadata"]["uid"], None)
                elif kind != "BOOKMARK":
                    self._pods[pod["metadata"]["uid"]] = pod
            if self._over.is_set():
                break
        return version

    def _well(self) -> None:
        with self._lock:
            self._error, self._seen = None, time.monotonic()
