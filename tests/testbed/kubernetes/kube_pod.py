"""One pod of the testbed: its volumes, its process, and what is said of it."""

from __future__ import annotations

import asyncio
import base64
import collections
import contextlib
import datetime
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
import venv
from pathlib import Path
from typing import Any, ClassVar

from kube_api import Api

#: A pod with this annotation has its worker in one process with others, so that there can be hundreds.
IN_PROCESS = "testbed/in-process"
#: Seconds between tries to find what a volume needs.
RETRY = 0.3
#: Where a pod finds who it is. Its libraries look there themselves, so it has to be there.
SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


def now() -> str:
    """Return the time as Kubernetes writes it."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Pod:
    """Runs the first container of a pod, which is never started again.

    Args:
        api: Of the cluster.
        document: The pod.
        address: Its own.
        folder: Of the node.
        node: Its name.
    """

    def __init__(
        self, api: Api, document: dict[str, Any], address: str, folder: Path, node: str
    ) -> None:
        self.namespace = document["metadata"]["namespace"]
        self.name, self.uid = document["metadata"]["name"], document["metadata"]["uid"]
        self.address = address
        self.folder = folder / self.uid
        self.log = self.folder / "log"
        self.process: subprocess.Popen[bytes] | InProcess | None = None
        self._api, self._document, self._node = api, document, node
        self._container = document["spec"]["containers"][0]
        self._ending = threading.Event()
        self._deadline = math.inf
        self._overdue = False
        self._since = now()

    def start(self) -> None:
        """Start it, in a thread."""
        threading.Thread(target=self._live, daemon=True).start()

    def end(self, grace: float) -> None:
        """End it, and remove it from the API server when it has ended; a later word may shorten its time."""
        self._deadline = min(self._deadline, time.monotonic() + grace)
        if not self._ending.is_set():
            self._ending.set()
            threading.Thread(target=self._die, daemon=True).start()

    def kill(self) -> None:
        """End its process at once."""
        self._signal(signal.SIGKILL)

    # -- inside ------------------------------------------------------------------------------------------

    def _live(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        image = self._container["image"]
        if image.startswith("missing.invalid"):
            text = f"rpc error: code = NotFound desc = failed to pull {image}: not found"
            self._say("Pending", {"waiting": {"reason": "ErrImagePull", "message": text}})
            self._tell("Failed", f'Failed to pull image "{image}": {text}')
            self._tell("Failed", "Error: ErrImagePull")
            self._ending.wait(RETRY)
            waits = f'Back-off pulling image "{image}"'
            self._say("Pending", {"waiting": {"reason": "ImagePullBackOff", "message": waits}})
            self._tell("BackOff", waits, "Normal")
            return
        self._say("Pending", {"waiting": {"reason": "ContainerCreating"}})
        mounts = self._mount()
        if mounts is None:
            return
        words = [*self._container.get("command", []), *self._container.get("args", [])]
        environ = self._environ(mounts)
        words = [_inside(word, mounts) for word in words]
        if SERVICE_ACCOUNT in mounts:
            words = [*_with_account(mounts[SERVICE_ACCOUNT]), *words]
        since = now()
        limit = self._document["spec"].get("activeDeadlineSeconds")
        try:
            with self.log.open("ab") as log:
                if IN_PROCESS in self._document["metadata"].get("annotations", {}) and (
                    words[3] == "worker"
                ):
                    if not InProcess.may_start(words, environ, self._ending):
                        self._say("Failed", {"terminated": {"reason": "Error", "exitCode": 1}})
                        return
                    self.process = InProcess(words, environ)
                else:
                    self.process = subprocess.Popen(
                        words,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        cwd=self.folder,
                        env=environ,
                        start_new_session=True,
                    )
        except OSError as error:
            said = {"reason": "StartError", "message": str(error), "exitCode": 128}
            self._say("Failed", {"terminated": said})
            return
        if self._ending.is_set():  # it was told so while there was no process to tell
            self.kill()
        self._say("Running", {"running": {"startedAt": since}})
        try:
            code = self.process.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            self._overdue = True
            self._signal(signal.SIGTERM)
            code = self.process.wait()
        if self.process is not None:
            self._signal(signal.SIGKILL)  # what its process has left
        code = code if code >= 0 else 128 - code
        reason = "Completed" if code == 0 else "Error"
        if (self.folder / "oom").exists():
            reason = "OOMKilled"
        times = {"startedAt": since, "finishedAt": now()}
        ended = {"terminated": {"exitCode": code, "reason": reason, **times}}
        self._say("Succeeded" if code == 0 else "Failed", ended)

    def _die(self) -> None:
        self._signal(signal.SIGTERM)
        while self.process is not None and self.process.poll() is None:
            if time.monotonic() > self._deadline:
                break
            time.sleep(0.05)
        self.kill()
        body = {"gracePeriodSeconds": 0, "preconditions": {"uid": self.uid}}
        self._api.insist("DELETE", f"/api/v1/namespaces/{self.namespace}/pods/{self.name}", body)

    def _signal(self, number: int) -> None:
        if isinstance(self.process, InProcess):
            self.process.signal(number)
        elif self.process is not None:
            # Only the first process of a container is told; all of them are killed.
            send = os.killpg if number == signal.SIGKILL else os.kill
            with contextlib.suppress(ProcessLookupError):
                send(self.process.pid, number)

    def _mount(self) -> dict[str, str] | None:
        """Return the folder for each path at which something is mounted."""
        volumes = {each["name"]: each for each in self._document["spec"].get("volumes", [])}
        folders = {}
        for mount in self._container.get("volumeMounts", []):
            volume = volumes[mount["name"]]
            folder = str(self.folder / "volumes" / mount["name"])
            Path(folder).mkdir(parents=True, exist_ok=True)
            if "hostPath" in volume:
                folder = volume["hostPath"]["path"]
            for kind, word in (("secret", "secretName"), ("configMap", "name")):
                if kind in volume and not self._fill(folder, kind, volume[kind][word]):
                    return None
            folders[mount["mountPath"]] = folder
        return folders

    def _fill(self, folder: str, kind: str, name: str) -> bool:
        path = f"/api/v1/namespaces/{self.namespace}/{kind.lower()}s/{name}"
        said = False
        while not self._ending.is_set():
            status, found = self._api.insist("GET", path)
            if status == 200:
                for key, value in found.get("data", {}).items():
                    data = base64.b64decode(value) if kind == "secret" else value.encode()
                    (Path(folder) / key).write_bytes(data)
                return True
            if not said:
                said = True
                text = f'MountVolume.SetUp failed for volume : {kind.lower()} "{name}" not found'
                self._tell("FailedMount", text)
            time.sleep(RETRY)
        return False

    def _programs(self) -> Path:
        """Return where the image has Python; ``plain-python`` has one without packages."""
        if "plain-python" not in self._container["image"]:
            return Path(sys.executable).parent
        venv.create(self.folder / "plain-python", with_pip=False, symlinks=True)
        return self.folder / "plain-python" / "bin"

    def _environ(self, mounts: dict[str, str]) -> dict[str, str]:
        path = os.pathsep.join([str(self._programs()), os.environ.get("PATH", "")])
        environ = {"PATH": path, "HOME": str(self.folder), "HOSTNAME": self.name}
        host, _, port = self._api.server.partition("://")[2].partition(":")
        if SERVICE_ACCOUNT in mounts:
            environ |= {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
        fields = {
            "status.podIP": self.address,
            "metadata.name": self.name,
            "metadata.namespace": self.namespace,
            "spec.nodeName": self._node,
        }
        for each in self._container.get("env", []):
            value, source = each.get("value", ""), each.get("valueFrom", {})
            if "fieldRef" in source:
                value = fields[source["fieldRef"]["fieldPath"]]
            for kind, word in (("secret", "secretKeyRef"), ("configmap", "configMapKeyRef")):
                if word in source:
                    where = f"/api/v1/namespaces/{self.namespace}/{kind}s/{source[word]['name']}"
                    data = self._api.insist("GET", where)[1].get("data", {})
                    if source[word].get("optional") and source[word]["key"] not in data:
                        break
                    value = data[source[word]["key"]]
                    value = base64.b64decode(value).decode() if kind == "secret" else value
            else:
                environ[each["name"]] = _inside(value, mounts)
        return environ | self._role()

    def _role(self) -> dict[str, str]:
        """Return what EKS puts into the pods of a service account that has a role of IAM."""
        name = self._document["spec"].get("serviceAccountName", "default")
        where = f"/api/v1/namespaces/{self.namespace}/serviceaccounts/{name}"
        meta = {} if name == "default" else self._api.insist("GET", where)[1]["metadata"]
        role = meta.get("annotations", {}).get("eks.amazonaws.com/role-arn")
        if role is None:
            return {}
        wanted = {"spec": {"audiences": ["sts.amazonaws.com"], "expirationSeconds": 3600}}
        said = self._api.insist("POST", f"{where}/token", wanted)[1]
        token = self.folder / "aws-iam-token"
        token.write_text(said["status"]["token"])
        return {"AWS_ROLE_ARN": role, "AWS_WEB_IDENTITY_TOKEN_FILE": str(token)}

    def _say(self, phase: str, state: dict[str, Any]) -> None:
        running = "running" in state
        container = {
            "name": self._container["name"],
            "image": self._container["image"],
            "imageID": "",
            "ready": running,
            "restartCount": 0,
            "state": state,
        }
        ready = {"status": "True" if running else "False", "lastTransitionTime": now()}
        status = {
            "phase": phase,
            "podIP": self.address,
            "podIPs": [{"ip": self.address}],
            "hostIP": "127.0.0.1",
            "startTime": self._since,
            "containerStatuses": [container],
            "conditions": [{"type": kind, **ready} for kind in ("Ready", "ContainersReady")],
        }
        if self._overdue:
            text = "Pod was active on the node longer than the specified deadline"
            status |= {"phase": "Failed", "reason": "DeadlineExceeded", "message": text}
        elif (self.folder / "evicted").exists():
            text = (self.folder / "evicted").read_text()
            status |= {"phase": "Failed", "reason": "Evicted", "message": text}
        self._api.insist(
            "PATCH",
            f"/api/v1/namespaces/{self.namespace}/pods/{self.name}/status",
            {"metadata": {"uid": self.uid}, "status": status},
            "application/strategic-merge-patch+json",
        )

    def _tell(self, reason: str, message: str, kind: str = "Warning") -> None:
        about = {"kind": "Pod", "apiVersion": "v1", "name": self.name, "uid": self.uid}
        event = {
            "metadata": {"generateName": f"{self.name}.", "namespace": self.namespace},
            "involvedObject": {**about, "namespace": self.namespace},
            "type": kind,
            "reason": reason,
            "message": message,
            "firstTimestamp": now(),
            "lastTimestamp": now(),
            "source": {"component": "kubelet", "host": self._node},
        }
        self._api.insist("POST", f"/api/v1/namespaces/{self.namespace}/events", event)


def _inside(word: str, mounts: dict[str, str]) -> str:
    for path, folder in mounts.items():
        if word == path or word.startswith(f"{path}/"):
            return folder + word[len(path) :]
    return word


def _with_account(folder: str) -> list[str]:
    """Return words before a command that shows it a folder as its service account's, and nobody else."""
    own = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    parent = SERVICE_ACCOUNT.rpartition("/")[0]
    script = f'mount -t tmpfs tmpfs /run && mkdir -p {parent} && ln -s "$0" {SERVICE_ACCOUNT} && '
    return ["unshare", *own, "--mount", "--", "sh", "-c", script + 'exec "$@"', folder]


async def _arrive(scheduler: str, tls: dict[str, str], ending: threading.Event) -> bool:
    """Wait until a scheduler is there and has the run's code, as a worker in a process of its own does.

    Return False where that never happens.
    """
    from distributed import Security, rpc

    roles = {"tls_client_cert": tls["cert"], "tls_client_key": tls["key"]}
    security = Security(require_encryption=True, tls_ca_file=tls["ca"], **roles)
    end = time.monotonic() + 120
    while time.monotonic() < end and not ending.is_set():
        with contextlib.suppress(OSError, TimeoutError, ValueError):
            args = security.get_connection_args("client")
            async with rpc(scheduler, connection_args=args, timeout=3) as there:
                if isinstance(await asyncio.wait_for(there.scalable_code(), 3), bytes):
                    return True
        await asyncio.sleep(0.1)
    return False


class InProcess:
    """A worker that is a coroutine in one process with the others of its node, with a process's face."""

    _hive: Any = None
    _turn = threading.Lock()
    #: Of each run: held by whoever waits for its scheduler, for all others of the run.
    _arrivals: ClassVar[dict[str, threading.Lock]] = collections.defaultdict(threading.Lock)
    _arrived: ClassVar[set[str]] = set()

    @staticmethod
    def may_start(words: list[str], environ: dict[str, str], ending: threading.Event) -> bool:
        """Wait until the worker's scheduler is there; return False if it never is, or the pod ends before."""
        run = tls = (Path(words[-1]) / "tls").read_text()  # no other run has the same
        with InProcess._arrivals[run]:
            if run not in InProcess._arrived:
                if not asyncio.run(_arrive(environ["SCALABLE_SCHEDULER"], json.loads(tls), ending)):
                    return False
                InProcess._arrived.add(run)
        return not ending.is_set()

    def __init__(self, words: list[str], environ: dict[str, str]) -> None:
        from scalable_core.testing import Hive

        _, _, _, role, group, self._name, place = words
        self._run = environ["POD_NAME"]
        with InProcess._turn:
            InProcess._hive = InProcess._hive or Hive()
        scheduler = environ["SCALABLE_SCHEDULER"]
        (Path(place) / "address").write_text(json.dumps(scheduler))
        self._ask(op="start", role=role, group=group, name=self._name, documents=place)

    def poll(self) -> int | None:
        """Return its exit code; None while it lives."""
        state, code = self._ask(op="look")[self._name]
        return code if state == "stopped" else None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""
        end = time.monotonic() + (timeout or 1e9)
        while (code := self.poll()) is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("worker", timeout or 0)
            time.sleep(1.0)
        return code

    def signal(self, number: int) -> None:
        """End it, at once or in its own time."""
        op = "kill" if number == signal.SIGKILL else "end"
        self._ask(op=op, names=[self._name])

    def _ask(self, **request: Any) -> Any:
        with InProcess._turn:
            return InProcess._hive.ask(run=self._run, **request)
