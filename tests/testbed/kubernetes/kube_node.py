"""Stands in for a node: runs the command of each of its pods as a real process with an address of its own.

Usage: kube_node.py '{"server": ..., "ca": ..., "token": ..., "name": ..., "number": ..., "net": "127.3",
"capacity": {...}, "labels": {...}, "folder": ..., "cert": ..., "key": ...}'

What differs from a real node: images are not pulled (one whose name begins with ``missing.invalid`` cannot be),
there are no limits on memory, and a pod sees the machine's own files: where a word of its command or its
environment begins with the path of a mount, the folder stands there that the mount would show.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from kube_api import Api
from kube_pod import Pod, now
from kube_streams import serve_streams

#: Seconds between two signs of life.
BEAT = 1.5


class Node:
    """Registers itself, says that it lives, and runs pods."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.api = Api(settings["server"], settings["ca"], settings["token"])
        self.name, self.number = settings["name"], settings["number"]
        self.capacity, self.net = settings["capacity"], settings["net"]
        self.labels = settings["labels"]
        self.folder = Path(settings["folder"])
        self.folder.mkdir(parents=True, exist_ok=True)
        self.pods: dict[str, Pod] = {}
        self._count = 0
        self._port = serve_streams(self.find, settings["cert"], settings["key"])

    def find(self, namespace: str, name: str) -> Pod | None:
        """Return the pod of that name."""
        for pod in reversed(list(self.pods.values())):
            if (pod.namespace, pod.name) == (namespace, name):
                return pod
        return None

    def register(self) -> None:
        """Say what there is."""
        labels = {"kubernetes.io/hostname": self.name, "kubernetes.io/os": "linux"}
        labels |= {"kubernetes.io/arch": "amd64", **self.labels}
        node: dict[str, Any] = {"metadata": {"name": self.name, "labels": labels}}
        if self.number > 1:  # only the first node takes pods that do not ask for another
            taint = {"key": "testbed/node", "value": self.name, "effect": "NoSchedule"}
            node["spec"] = {"taints": [taint]}
        self.api.insist("POST", "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", **node})
        self._beat()

    def live(self) -> None:
        """Say again and again that this node is ready."""
        while True:
            time.sleep(BEAT)
            self._beat()

    def run(self) -> None:
        """Start what is placed here, and end what is deleted."""
        for kind, document in self.api.watch(
            "/api/v1/pods", f"fieldSelector=spec.nodeName={self.name}"
        ):
            meta = document["metadata"]
            pod = self.pods.get(meta["uid"])
            if kind == "DELETED":
                if pod is not None:
                    self.pods.pop(meta["uid"]).end(0)
            elif meta.get("deletionTimestamp"):
                pod = pod or Pod(self.api, document, "", self.folder, self.name)
                pod.end(meta.get("deletionGracePeriodSeconds", 30))
            elif pod is None and document["status"].get("phase") not in ("Succeeded", "Failed"):
                self._count += 1
                address = f"{self.net}.{self._count // 250}.{self._count % 250 + 1}"
                pod = Pod(self.api, document, address, self.folder, self.name)
                self.pods[meta["uid"]] = pod
                pod.start()

    def kill_all(self) -> None:
        """End all processes at once, and tell nobody."""
        for pod in self.pods.values():
            pod.kill()

    def _beat(self) -> None:
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "it is"}
        status = {
            "capacity": self.capacity,
            "allocatable": self.capacity,
            "conditions": [{**ready, "lastHeartbeatTime": now(), "lastTransitionTime": now()}],
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._port}},
        }
        self.api.insist(
            "PATCH",
            f"/api/v1/nodes/{self.name}/status",
            {"status": status},
            "application/strategic-merge-patch+json",
        )


def main() -> None:
    """Be a node until SIGTERM; SIGUSR1 is the end of the machine."""
    node = Node(json.loads(sys.argv[1]))

    def vanish(*_: Any) -> None:
        node.kill_all()
        os._exit(0)

    signal.signal(signal.SIGTERM, vanish)
    signal.signal(signal.SIGUSR1, vanish)
    node.register()
    threading.Thread(target=node.live, daemon=True).start()
    node.run()


if __name__ == "__main__":
    main()
