"""Carries a run's rows from the scheduler to the run's folder, as they come and once more at the end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scalable_core.records import RunFolder

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger("scalable")

#: Seconds between fetches: what a kill of this process may cost.
INTERVAL = 0.5

Hear = Callable[[Mapping[str, Sequence[Mapping[str, Any]]], float], None]


class Recorder(threading.Thread):
    """Fetches ``scalable_rows`` of the scheduler until it is closed.

    Args:
        client: A client of a scheduler that has a `RunPlugin`.
        folder: Where the rows go.
        hear: Also told of the rows, by table, and of the epoch seconds until which they are complete.
    """

    def __init__(self, client: Client, folder: RunFolder, hear: Hear | None = None) -> None:
        super().__init__(name="scalable-recorder", daemon=True)
        self._client = client
        self._folder = folder
        self._hear = hear
        self._there: dict[str, str | None] = {}
        self._done = threading.Event()
        self.start()

    def run(self) -> None:
        """Fetch now and then."""
        while not self._done.wait(INTERVAL):
            try:
                self._fetch()
            except Exception as error:
                if self._client.status != "running":
                    return  # the scheduler is gone; close() says so
                # Whatever it was: the rows to come must be fetched, and the budget be watched, all the same.
                logger.warning("rows of the run could not be fetched: %r", error)

    def close(self) -> None:
        """Fetch what is left, so that no row is lost however soon this comes after the last result."""
        self._done.set()
        self.join()
        if self._client.status == "running":
            self._fetch()

    def release(self, moment: float) -> list[dict[str, Any]]:
        """Note that the workers which were there at the end are gone; return their rows.

        Args:
            moment: Epoch seconds.
        """
        rows = [
            {"time": moment, "event": "removed", "name": name, "component": component}
            for name, component in self._there.items()
        ]
        self._there.clear()
        self._folder.append("workers", rows)
        return rows

    def _fetch(self) -> None:
        moment = time.time()
        rows = self._client.sync(self._client.scheduler.scalable_rows)
        for table, new in rows.items():
            self._folder.append(table, new)
        for row in rows.get("workers", ()):
            if row["event"] == "added":
                self._there[row["name"]] = row.get("component")
            else:
                self._there.pop(row["name"], None)
        if self._hear is not None:
            self._hear(rows, moment)
