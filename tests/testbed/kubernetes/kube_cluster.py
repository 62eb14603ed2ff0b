"""A real Kubernetes on this machine: etcd, API server, controllers, scheduler, and nodes that are stand-ins.

The programs are found through ``KUBEBUILDER_ASSETS`` or in ``.testbed/kubernetes/bin`` of the checkout, etcd
also on the path. Only loopback addresses are used: pods have 127.x addresses, and so have services.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import urllib3
from kube_pki import make_pki

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
#: Who may ask, with a token of the same name and ``-token`` behind it; only admin may do anything at first.
USERS = {"admin": "system:masters", "alice": "people", "bob": "people", "carol": "people"}
#: Controllers that these tests need; those for endpoints refuse loopback addresses.
CONTROLLERS = (
    "garbagecollector,nodelifecycle,podgc,resourcequota,serviceaccount,serviceaccount-token"
)
CONTROLLERS += ",namespace,disruption,root-ca-cert-publisher,job"


def find_programs(names: Sequence[str] = PROGRAMS) -> dict[str, Path] | str:
    """Return the path of each program, or a sentence that says which one is missing."""
    folders = [os.environ.get("KUBEBUILDER_ASSETS"), ROOT / ".testbed" / "kubernetes" / "bin"]
    found = {}
    for name in names:
        paths = [Path(folder) / name for folder in folders if folder]
        path = next((each for each in paths if each.is_file()), None) or shutil.which(name)
        if path is None:
            return f"there is no {name} in KUBEBUILDER_ASSETS or .testbed/kubernetes/bin"
        found[name] = Path(path)
    return found


def free_ports(count: int) -> list[int]:
    """Return ports of this machine that nobody listens on, and that no connection is given by itself."""
    places: list[socket.socket] = []
    while len(places) < count:
        with contextlib.suppress(OSError):
            places.append(socket.create_server(("127.0.0.1", random.randrange(15000, 32000))))
    ports = [place.getsockname()[1] for place in places]
    for place in places:
        place.close()
    return ports


def claim_net() -> tuple[int, socket.socket]:
    """Return the second number of addresses that no other testbed's pods have, and what keeps it so."""
    for number in range(100, 250, 10):
        try:
            return number, socket.create_server((f"127.{number}.255.254", 8786))
        except OSError:
            continue
    raise AssertionError("there are too many testbeds on this machine")


class KubernetesCluster:
    """The whole of it, as a context manager; ready when entered.

    Args:
        folder: For certificates, logs and what pods write.
        programs: From `find_programs`.
        nodes: Name of each node to what it has, such as ``{"cpu": "64", "memory": "256Gi"}``.
        authenticator: URL of who is asked whose a token is that is not of `USERS`; None for nobody.
        labels: Name of a node to labels that it has beside those of every node.
        services: Addresses of services.
        silence: Seconds for which a node may be silent before its pods are taken from it.
    """

    def __init__(
        self,
        folder: Path,
        programs: dict[str, Path],
        nodes: dict[str, dict[str, str]],
        *,
        authenticator: str | None = None,
        labels: dict[str, dict[str, str]] | None = None,
        services: str = "127.96.0.0/16",
        silence: int = 6,
    ) -> None:
        self.folder, self.programs, self.nodes = folder, programs, nodes
        self.authenticator, self.labels = authenticator, labels or {}
        self.services, self.silence = services, silence
        self.pki = make_pki(folder / "pki")
        names = ("etcd", "peer", "api", "controllers", "scheduler")
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        self._net, self._claim = claim_net()
        self.server = f"https://127.0.0.1:{self.ports['api']}"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._http = urllib3.PoolManager(ca_certs=str(self.pki / "ca.crt"), maxsize=4)
        said = subprocess.run(
            [programs["kube-apiserver"], "--version"], capture_output=True, text=True, check=True
        )
        self.minor = int(re.search(r"v1\.(\d+)", said.stdout)[1])

    def __enter__(self) -> KubernetesCluster:
        rows = [f'{user}-token,{user},{user},"{group}"' for user, group in USERS.items()]
        (self.folder / "tokens.csv").write_text("\n".join(rows) + "\n")
        try:
            self._start_etcd()
            self.start_api()
            self._start_controllers()
            for name in self.nodes:
                self.start_node(name)
            self._run("proxy", [sys.executable, HERE / "kube_proxy.py", self._admin()])
            for name in self.nodes:
                self.wait_for(lambda name=name: self.node_ready(name), f"node {name}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *ignored: object) -> None:
        for name in [each for each in self.processes if each.startswith("node-")]:
            self._end(name, signal.SIGTERM)
        for name in list(self.processes):
            self._end(name, signal.SIGKILL)
        self._claim.close()
        shutil.rmtree(self._memory(), ignore_errors=True)

    # -- what tests ask for ------------------------------------------------------------------------------

    def kubeconfig(self, user: str = "admin", **more: Any) -> Path:
        """Write the kubeconfig of a user and return its path."""
        path = self.folder / f"{user}.kubeconfig"
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "testbed",
                    "cluster": {
                        "server": more.get("server", self.server),
                        "certificate-authority": str(self.pki / "ca.crt"),
                    },
                }
            ],
            "users": [{"name": user, "user": more.get("user", {"token": f"{user}-token"})}],
            "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": user}}],
            "current-context": "testbed",
        }
        path.write_text(json.dumps(document))
        return path

    def ask(self, method: str, path: str, body: Any = None, *, ok: bool = True) -> Any:
        """Ask the API server as admin, outside of everything that is tested."""
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        answer = self._http.request(
            method,
            self.server + path,
            body=None if body is None else json.dumps(body),
            headers={"Authorization": "Bearer admin-token", "Content-Type": kind},
            timeout=30,
        )
        if ok and answer.status >= 300:
            raise AssertionError(f"{method} {path}: {answer.status} {answer.data.decode()}")
        return json.loads(answer.data)

    def make_namespace(self, name: str) -> str:
        """Make a namespace and wait until pods can be made in it."""
        self.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        path = f"/api/v1/namespaces/{name}/serviceaccounts/default"
        self.wait_for(lambda: "secrets" in self.ask("GET", path, ok=False) or self.minor > 23, path)
        return name

    def pods(self, namespace: str) -> list[dict[str, Any]]:
        """Return the pods of a namespace."""
        return self.ask("GET", f"/api/v1/namespaces/{namespace}/pods")["items"]

    def node_ready(self, name: str) -> bool:
        """Return whether a node says that it is ready."""
        node = self.ask("GET", f"/api/v1/nodes/{name}", ok=False)
        conditions = node["status"].get("conditions", []) if "spec" in node else []
        return any((c["type"], c["status"]) == ("Ready", "True") for c in conditions)

    def wait_for(self, condition: Any, what: str, timeout: float = 90.0) -> Any:
        """Wait until a condition is true."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            for name, process in self.processes.items():
                if process.poll() is not None and not name.startswith("node-"):
                    raise AssertionError(f"{name} has ended: {self._log(name).read_text()[-2000:]}")
            if answer := condition():
                return answer
            time.sleep(0.1)
        raise AssertionError(f"{what} did not come in {timeout:g} s")

    # -- parts that tests end and start again ------------------------------------------------------------

    def start_api(self) -> None:
        """Start the API server and wait until it is ready."""
        pki, port = self.pki, str(self.ports["api"])
        self._run("api", [
            self.programs["kube-apiserver"],
            f"--etcd-servers=http://127.0.0.1:{self.ports['etcd']}",
            "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", f"--secure-port={port}",
            f"--tls-cert-file={pki / 'server.crt'}", f"--tls-private-key-file={pki / 'server.key'}",
            f"--client-ca-file={pki / 'ca.crt'}", f"--token-auth-file={self.folder / 'tokens.csv'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-signing-key-file={pki / 'server.key'}",
            f"--service-account-key-file={pki / 'server.crt'}",
            f"--service-cluster-ip-range={self.services}", "--authorization-mode=RBAC",
            f"--kubelet-client-certificate={pki / 'server.crt'}",
            f"--kubelet-client-key={pki / 'server.key'}",
            "--kubelet-preferred-address-types=InternalIP", "--endpoint-reconciler-type=none",
            "--default-unreachable-toleration-seconds=3", "--default-not-ready-toleration-seconds=3",
            *self._webhook(),
        ])  # fmt: skip
        self.wait_for(self._ready, "the API server")

    def stop_api(self) -> None:
        """End the API server at once."""
        self._end("api", signal.SIGKILL)

    def start_node(self, name: str) -> None:
        """Start a node."""
        settings = json.loads(self._admin())
        settings |= {
            "name": name,
            "capacity": {"pods": "300", **self.nodes[name]},
            "labels": self.labels.get(name, {}),
            "number": 1 + list(self.nodes).index(name),
            "net": f"127.{self._net + list(self.nodes).index(name)}",
            "folder": str(self.folder / f"pods-{name}"),
            "cert": str(self.pki / "server.crt"),
            "key": str(self.pki / "server.key"),
        }
        words = [sys.executable, HERE / "kube_node.py", json.dumps(settings)]
        self._run(f"node-{name}", words)

    def lose_node(self, name: str) -> None:
        """Take a node away with everything that runs on it, as when its machine is cut off."""
        os.kill(self.processes[f"node-{name}"].pid, signal.SIGUSR1)
        self._end(f"node-{name}", None)

    # -- inside ------------------------------------------------------------------------------------------

    def _webhook(self) -> list[str]:
        if self.authenticator is None:
            return []
        config = self.folder / "authenticator.kubeconfig"
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "webhook", "cluster": {"server": self.authenticator}}],
            "contexts": [{"name": "webhook", "context": {"cluster": "webhook", "user": "api"}}],
            "users": [{"name": "api", "user": {}}],
            "current-context": "webhook",
        }
        config.write_text(json.dumps(document))
        return [
            f"--authentication-token-webhook-config-file={config}",
            "--authentication-token-webhook-version=v1",
            "--authentication-token-webhook-cache-ttl=1s",
        ]

    def _start_etcd(self) -> None:
        client, peer = (f"http://127.0.0.1:{self.ports[name]}" for name in ("etcd", "peer"))
        self._run("etcd", [
            self.programs["etcd"], "--data-dir", self._memory(), "--listen-client-urls", client,
            "--advertise-client-urls", client, "--listen-peer-urls", peer,
            "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}",
        ])  # fmt: skip

    def _start_controllers(self) -> None:
        config = f"--kubeconfig={self.kubeconfig()}"
        plain = ["--port=0"] if self.minor < 23 else []
        self._run("controllers", [
            self.programs["kube-controller-manager"], config, "--leader-elect=false",
            "--bind-address=127.0.0.1", f"--secure-port={self.ports['controllers']}", *plain,
            f"--controllers={CONTROLLERS}", "--kube-api-qps=200", "--kube-api-burst=400",
            f"--service-account-private-key-file={self.pki / 'server.key'}",
            f"--root-ca-file={self.pki / 'ca.crt'}", "--node-monitor-period=1s",
            f"--node-monitor-grace-period={self.silence}s",
        ])  # fmt: skip
        self._run("scheduler", [
            self.programs["kube-scheduler"], config, "--leader-elect=false",
            "--bind-address=127.0.0.1", f"--secure-port={self.ports['scheduler']}", *plain,
        ])  # fmt: skip

    def _admin(self) -> str:
        words = {"server": self.server, "ca": str(self.pki / "ca.crt"), "token": "admin-token"}
        return json.dumps(words)

    def _memory(self) -> Path:
        shm = Path("/dev/shm")
        name = f"etcd-{os.getpid()}-{self.ports['etcd']}"
        return shm / name if os.access(shm, os.W_OK) else self.folder / name

    def _ready(self) -> bool:
        try:
            answer = self._http.request("GET", f"{self.server}/readyz", timeout=5, retries=False)
        except urllib3.exceptions.HTTPError:
            return False
        return answer.status == 200

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _run(self, name: str, words: list[Any]) -> None:
        with self._log(name).open("ab") as log:
            self.processes[name] = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def _end(self, name: str, number: int | None) -> None:
        process = self.processes.pop(name)
        if number is not None:
            process.send_signal(number)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
