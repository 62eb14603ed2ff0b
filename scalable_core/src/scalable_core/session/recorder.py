"""Carries a run's rows from the scheduler to the run's folder, as they come and once more at the end."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from scalable_core.records import RunFolder

if TYPE_CHECKING:
    from distributed import Client

#: Seconds between fetches: what a kill of this process may cost.
INTERVAL = 0.5


class Recorder(threading.Thread):
    """Fetches ``scalable_rows`` of the scheduler until it is closed.

    Args:
        client: A client of a scheduler that has a `RunPlugin`.
        folder: Where the rows go.
    """

    def __init__(self, client: Client, folder: RunFolder) -> None:
        super().__init__(name="scalable-recorder", daemon=True)
        self._client = client
        self._folder = folder
        self._done = threading.Event()
        self.start()

    def run(self) -> None:
        """Fetch now and then."""
        while not self._done.wait(INTERVAL):
            try:
                self._fetch()
            except Exception:
                return  # the scheduler is gone; close() says so

    def close(self) -> None:
        """Fetch what is left, so that no row is lost however soon this comes after the last result."""
        self._done.set()
        self.join()
        if self._client.status == "running":
            self._fetch()

    def _fetch(self) -> None:
        rows = self._client.sync(self._client.scheduler.scalable_rows)
        for table, new in rows.items():
            self._folder.append(table, new)
