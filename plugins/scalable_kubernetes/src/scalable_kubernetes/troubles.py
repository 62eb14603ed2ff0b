"""What a cluster says of pods that wait although a node has them: their events, asked for seldom and of few."""

from __future__ import annotations

from collections.abc import Sequence

from scalable_kubernetes.api import Api, ApiError, path
from scalable_kubernetes.builders import Document
from scalable_kubernetes.observe import is_unexplained

#: Seconds between two questions about one pod; pods that are asked about at one time. What goes wrong for many
#: goes wrong in the same way.
ASK_EVERY, ASK_FOR = 8.0, 3
#: Seconds for which one question is asked again.
PATIENCE = 2.0


class Troubles:
    """Knows what was said last of pods that do not start.

    Args:
        api: The API server.
        namespace: Where the pods are.
    """

    def __init__(self, api: Api, namespace: str) -> None:
        self._api, self._namespace = api, namespace
        self._asked: dict[str, float] = {}
        self._words: dict[str, str | None] = {}

    def words(self, pod: Document) -> str | None:
        """Return what was said of a pod; None while that is nothing bad."""
        return self._words.get(pod["metadata"]["uid"])

    async def look_into(self, pods: Sequence[Document], now: float) -> None:
        """Ask about those whose own status does not explain why they wait.

        Args:
            pods: That have waited for a while.
            now: Seconds since 1970.
        """
        due = [
            pod
            for pod in pods
            if is_unexplained(pod) and now - self._asked.get(pod["metadata"]["uid"], 0) > ASK_EVERY
        ]
        uids = [pod["metadata"]["uid"] for pod in due]
        for uid in sorted(uids, key=lambda uid: self._asked.get(uid, 0.0))[:ASK_FOR]:
            self._asked[uid] = now
            try:
                self._words[uid] = await self._api.call(self._ask, uid)
            except ApiError:
                pass  # who may not know why can go on all the same

    def _ask(self, uid: str) -> str | None:
        query = [("fieldSelector", f"involvedObject.uid={uid}")]
        where = path("v1", "events", self._namespace)
        return last_words(self._api.request("GET", where, query=query, patience=PATIENCE)["items"])


def last_words(events: Sequence[Document]) -> str | None:
    """Return why a pod waits by its events: pure.

    A pull that failed counts as long as there are new tries, which say no more than that they wait; any other
    warning only as long as nothing has happened since.

    Args:
        events: Of one pod.
    """
    told = sorted(events, key=_time)
    if not told:
        return None
    if told[-1]["reason"] in ("BackOff", "Failed"):
        failed = [e["message"] for e in told if e["reason"] == "Failed"]
        causes = [text for text in failed if not text.startswith("Error: ")]
        return str(causes[-1]) if causes else None
    last = told[-1]
    return f"{last['reason']}: {last['message']}" if last.get("type") == "Warning" else None


def _time(event: Document) -> str:
    return str(
        event.get("lastTimestamp") or event.get("eventTime") or event.get("firstTimestamp") or ""
    )
