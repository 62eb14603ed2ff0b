"""Turns the instances of moto's EC2 into real machines: their user data is run, with a stand-in for Docker.

A machine is a group of processes with an address of its own; what it asks about itself (IMDS, version 2 only)
is answered as EC2 does. It ends when it is terminated, when Spot takes it back, or when it shuts itself down.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.models import ec2_backends
from moto.ec2.models.fleets import FleetsBackend
from moto.ec2.models.instances import Instance, StateReason
from moto.ec2.models.subnets import Subnet
from moto.ec2.responses.fleets import Fleets
from moto.logs.models import logs_backends

from aws import ecs

BIN = Path(__file__).parent / "bin"
#: Seconds between looks, and those that a machine has to end.
TICK, GRACE = 0.1, 10.0
#: Tells machines when Spot takes them back: id to the JSON that they are told.
notices: dict[str, str] = {}
_tokens: dict[str, Any] = {}


def correct() -> None:
    """Put right what moto's EC2 does otherwise than AWS: addresses, tokens, capacity."""
    Subnet.get_available_subnet_ip = lambda self, instance: next(ecs._addresses)
    public = property(lambda self: self.private_ip if _is_alive(self) else None)
    Instance.public_ip = Instance.public_ip_address = public
    FleetsBackend.create_fleet = _limited(FleetsBackend.create_fleet)
    Fleets.create_fleet = _answered(Fleets.create_fleet)


def all_instances() -> list[Instance]:
    """Return the instances of all accounts and regions."""
    return [
        instance
        for backends in ec2_backends.values()
        for backend in list(backends.values())
        for reservation in list(backend.reservations.values())
        for instance in list(reservation.instances)
    ]


def _limited(create: Any) -> Any:
    def create_fleet(self: Any, *args: Any, **kwargs: Any) -> Any:
        wanted = kwargs["target_capacity_specification"]
        kind = wanted.get("DefaultTargetCapacityType", "on-demand")
        live = sum(_is_alive(each) and _kind(each) == kind for each in all_instances())
        asked = int(wanted["TotalTargetCapacity"])
        had = max(0, min(asked, ecs.capacity.get(kind, asked + live) - live))
        kwargs["target_capacity_specification"] = {**wanted, "TotalTargetCapacity": had}
        fleet = create(self, *args, **kwargs)
        fleet.short = asked - had
        return fleet

    return create_fleet


def _answered(respond: Any) -> Any:
    def create_fleet(self: Any) -> ActionResult:
        token = self._get_param("ClientToken")
        with ecs.lock:
            if token not in _tokens:
                result = respond(self).result
                fleet = self.ec2_backend.fleets[result["FleetId"]]
                if fleet.short:
                    result["Errors"] = [
                        {
                            "Lifecycle": self._get_param("TargetCapacitySpecification")[
                                "DefaultTargetCapacityType"
                            ],
                            "ErrorCode": "InsufficientInstanceCapacity",
                            "ErrorMessage": "There is no capacity for it in this zone.",
                        }
                    ]
                _tokens[token] = result
            return ActionResult(_tokens[token])

    return create_fleet


def _kind(instance: Instance) -> str:
    return "spot" if instance.lifecycle == "spot" else "on-demand"


def _is_alive(instance: Instance) -> bool:
    return instance.state in ("pending", "running")


@dataclass
class Running:
    """What is known of one machine."""

    process: subprocess.Popen[bytes]
    told: float | None = None
    over: bool = False


class Machines(threading.Thread):
    """Looks at all instances again and again.

    Args:
        folder: For logs.
        url: Of the server.
    """

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(name="machines", daemon=True)
        self.folder, self.url = folder, url
        self.known: dict[str, Running] = {}
        self._read: dict[Path, int] = {}
        self._over = threading.Event()

    def run(self) -> None:
        """Look until told to end."""
        while not self._over.wait(TICK):
            for instance in all_instances():
                try:
                    self._look(instance)
                except Exception as error:
                    print(f"machines: {instance.id}: {error!r}", file=sys.stderr, flush=True)
            for log in self.folder.glob("*@member@*"):
                self._pump(log)

    def close(self) -> None:
        """End all machines."""
        self._over.set()
        self.join(10)
        for running in self.known.values():
            self._kill(running)

    def end(self, own: str) -> None:
        """Let a machine end that has shut itself down."""
        for instance in all_instances():
            if instance.id == own and _is_alive(instance):
                instance.terminate()
                words = "Client.InstanceInitiatedShutdown"
                instance.state_reason = StateReason(f"{words}: Instance initiated shutdown", words)

    def interrupt(self, own: str) -> None:
        """Have Spot take a machine back: it is told, and what is then left of it goes after a while."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 120))
        notices[own] = json.dumps({"action": "terminate", "time": moment})

    def process_ids(self) -> list[int]:
        """Return the groups of processes of machines that have not ended."""
        return [each.process.pid for each in self.known.values() if not each.over]

    def imds(self, path: str, method: str, token: str | None) -> str | None:
        """Answer a machine about itself; None for what is not there."""
        own, _, question = path.partition("/")
        (instance,) = (each for each in all_instances() if each.id == own)
        if question == "latest/api/token" and method == "PUT":
            return f"token-of-{own}"
        if token != f"token-of-{own}":
            return None
        expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        keys = {
            "Code": "Success",
            "AccessKeyId": f"ASIA{own[2:18].upper()}",
            "SecretAccessKey": "member",
            "Token": "member",
            "Expiration": expires,
        }
        answers = {
            "instance-id": own,
            "local-ipv4": instance.private_ip,
            "iam/security-credentials/": "machine",
            "iam/security-credentials/machine": json.dumps(keys),
            "spot/instance-action": notices.get(own),
        }
        return answers.get(question.removeprefix("latest/meta-data/"))

    def _look(self, instance: Instance) -> None:
        running = self.known.get(instance.id)
        if running is None and _is_alive(instance):
            self.known[instance.id] = self._start(instance)
        elif running is not None and not _is_alive(instance) and not running.over:
            now = time.monotonic()
            if running.told is None:
                running.told = now
                os.killpg(running.process.pid, signal.SIGTERM)
            elif now - running.told > GRACE or not _group_lives(running.process):
                self._kill(running)

    def _start(self, instance: Instance) -> Running:
        script = instance.user_data.decode()
        while not script.startswith("#!"):
            script = base64.b64decode(script).decode()
        place = self.folder / instance.id
        place.write_text(script)
        with (self.folder / f"{instance.id}.console").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, str(place)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=self._environment(instance.id),
                start_new_session=True,
            )
        return Running(process=process)

    def _environment(self, own: str) -> dict[str, str]:
        passes = {
            "HOME": str(self.folder),
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "OMP_NUM_THREADS": "1",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"{self.url}/testbed/imds/{own}",
            "SCALABLE_HASTE": "0.1",
        }
        return {
            **passes,
            "PATH": f"{BIN}:{Path(sys.executable).parent}:{passes['PATH']}",
            "MACHINE_PASSES": " ".join(passes),
            "MACHINE_LOGS": str(self.folder),
            "MACHINE_ENDS": f"{self.url}/testbed/shutdown/{own}",
        }

    def _kill(self, running: Running) -> None:
        running.over = True
        try:
            os.killpg(running.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        running.process.wait()

    def _pump(self, log: Path) -> None:
        with log.open("rb") as file:
            file.seek(self._read.get(log, 0))
            text = file.read()
        whole, newline, _ = text.rpartition(b"\n")
        self._read[log] = self._read.get(log, 0) + len(whole) + len(newline)
        events = [
            {"timestamp": int(time.time() * 1000), "message": line}
            for line in whole.decode("utf-8", "replace").splitlines()
            if line
        ]
        groups = [
            (backend, name)
            for backends in logs_backends.values()
            for backend in backends.values()
            for name in backend.groups
            if name.startswith("/scalable/")
        ]
        for backend, group in groups if events else ():
            stream = log.name.replace("@", "/")
            if stream not in backend.groups[group].streams:
                backend.create_log_stream(group, stream)
            backend.put_log_events(group, stream, events)


def _group_lives(process: subprocess.Popen[bytes]) -> bool:
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True
