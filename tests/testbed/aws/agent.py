"""Turns the tasks of a corrected moto into real members: processes, or servers in a hive, with a clock.

A task goes PROVISIONING, PENDING, ACTIVATING, RUNNING as the clock says; then its container's command is run
as a process that has the task's own loopback address, its metadata and its role's credentials, and nothing
else of this machine but Python. It gets SIGTERM when it is meant to stop and SIGKILL after its stop timeout;
its exit code and its output go where ECS and CloudWatch would put them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import venv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moto.ecs.models import Task, ecs_backends
from moto.logs.models import logs_backends
from moto.ssm.models import ssm_backends

from aws import ecs, plain
from scalable_core.testing import Hive

#: Seconds between looks at all tasks.
TICK = 0.05


@dataclass
class Clock:
    """Seconds that things take: the start of a task in its parts, and its end."""

    provision: float = 0.3
    pull: float = 0.2
    teardown: float = 0.2


@dataclass
class Running:
    """What the agent knows of one task."""

    born: float
    process: subprocess.Popen[bytes] | None = None
    name: str | None = None
    run: str = ""
    told: float | None = None
    over: float | None = None
    code: int | None = None
    read: int = 0
    log: Path = field(default_factory=Path)


def group_of(address: str) -> int:
    """Return the id of the group of users whose processes are those of the task with an address."""
    *_, third, last = map(int, address.split("."))
    return 20000 + 256 * third + last


class Agent(threading.Thread):
    """Looks at all tasks again and again.

    Args:
        folder: For logs, and for what members of a hive read.
        url: Of the server.
        clock: How long things take.
        hive: Where members are, many in one process; each is a process of its own when None, and where
            components of its run have an environment.
        apart: The processes of each task have a group of users of their own, see `group_of`: a firewall can
            tell them apart. Needs root.
    """

    def __init__(
        self, folder: Path, url: str, clock: Clock, hive: Hive | None, *, apart: bool = False
    ) -> None:
        super().__init__(name="agent", daemon=True)
        self.folder, self.url, self.clock, self.hive = folder, url, clock, hive
        self.apart = apart
        self.known: dict[str, Running] = {}
        self._plain: plain.PlainHive | None = None
        self._over = threading.Event()
        self._pumped = 0.0

    def run(self) -> None:
        """Look until told to end."""
        while not self._over.wait(TICK):
            states = self._hive_states()
            for task in ecs.all_tasks():
                try:
                    self._look(task, states)
                except Exception as error:
                    print(f"agent: {task.task_arn}: {error!r}", file=sys.stderr, flush=True)
            if time.monotonic() - self._pumped > 0.5:
                self._pumped = time.monotonic()
                self._share_documents()
                for task in ecs.all_tasks():
                    self._pump(task)

    def close(self) -> None:
        """End all processes."""
        self._over.set()
        self.join(10)
        for running in self.known.values():
            if running.process is not None and running.process.poll() is None:
                os.killpg(running.process.pid, signal.SIGKILL)
                running.process.wait()
        if self._plain is not None:
            self._plain.close()

    def kill(self, task: Task) -> None:
        """End a task's process at once, as too little memory does."""
        running = self.known[task.task_arn]
        if running.process is not None:
            os.killpg(running.process.pid, signal.SIGKILL)
        elif running.name is not None:
            self._keeper(running).kill_members(running.run, running.name)

    def process_ids(self) -> list[int]:
        """Return the processes of tasks that have not ended."""
        processes = [each.process for each in self.known.values() if each.process is not None]
        return [process.pid for process in processes if process.poll() is None]

    # -- one task ----------------------------------------------------------------------------------------

    def _look(self, task: Task, states: Mapping[tuple[str, str], Any]) -> None:
        now, arn = time.monotonic(), task.task_arn
        if task.last_status == "STOPPED":
            return
        running = self.known.setdefault(arn, Running(born=now, log=self.folder / f"{task.id}.log"))
        if running.over is not None:
            if now - running.over >= self.clock.teardown:
                self._pump(task)
                ecs.advance(task, "STOPPED")
            return
        started = running.process is not None or running.name is not None
        if not started and task.desired_status == "STOPPED":
            self._end(task, running, None)
        elif not started:
            age = now - running.born
            if age >= self.clock.provision:
                ecs.advance(task, "PENDING")
            if age >= self.clock.provision + self.clock.pull:
                self._start(task, running)
        else:
            self._watch(task, running, states, now)

    def _watch(
        self, task: Task, running: Running, states: Mapping[tuple[str, str], Any], now: float
    ) -> None:
        ended, code = self._exit_code(task, running, states)
        if ended:
            self._end(task, running, code)
            return
        if task.desired_status != "STOPPED":
            return
        timeout = self._container(task).get("stopTimeout", 30)
        if running.told is None:
            running.told = now
            if running.process is not None:
                running.process.terminate()
            else:
                self._keeper(running).ask(op="end", run=running.run, names=[running.name])
        elif now - running.told > timeout and running.process is not None:
            os.killpg(running.process.pid, signal.SIGKILL)

    def _exit_code(
        self, task: Task, running: Running, states: Mapping[tuple[str, str], Any]
    ) -> tuple[bool, int | None]:
        if running.process is not None:
            code = running.process.poll()
            return code is not None, 128 - code if code is not None and code < 0 else code
        state, code = states.get((running.run, str(running.name)), ("running", None))
        return state == "stopped", code

    def _end(self, task: Task, running: Running, code: int | None) -> None:
        running.over, running.code = time.monotonic(), code
        if running.process is not None:
            try:  # what it has started goes with it, as a container does
                os.killpg(running.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        ecs.ended(task, code)
        ecs.advance(task, "DEPROVISIONING")

    def _start(self, task: Task, running: Running) -> None:
        container, (override,) = self._container(task), task.overrides["containerOverrides"]
        words = override["command"]
        if words[0] not in plain.COMMANDS:  # whose programs take this status for a failure
            ecs.advance(task, "ACTIVATING")
        if "missing" in container["image"]:
            reason = (
                f"CannotPullContainerError: pull image manifest: {container['image']}: not found"
            )
            ecs.ended(task, None, reason)
            running.over = time.monotonic()
            return
        if words[0] in plain.COMMANDS:
            running.name, running.run = task.id, plain.RUN
            self._plain = self._plain or plain.PlainHive(self.folder / "plain.log")
            address = ecs.interface(task)["privateIPv4Address"]
            self._plain.ask(op="start", run=plain.RUN, name=task.id, words=words, address=address)
        elif self.hive is not None and words[1] != "driver":
            role, group, name, place = words
            documents = self._documents(place, task if role == "scheduler" else None)
            names, orders = documents / "names", [*documents.glob("group.*")]
            if not orders:
                return
            if any(json.loads(each.read_text())["env"] for each in orders):
                self._run(task, running)  # who shares a process shares its environment
                return
            if name == "*":  # which it is, the driver tells a moment later
                known = json.loads(names.read_text()) if names.exists() else {}
                if task.id not in known:
                    return
                name = known[task.id]
            running.name, running.run = name, task.started_by
            self.hive.ask(
                op="start",
                run=task.started_by,
                role=role,
                group=group,
                name=name,
                documents=str(documents),
            )
        else:
            self._run(task, running)
            return
        ecs.advance(task, "RUNNING")

    def _run(self, task: Task, running: Running) -> None:
        """Start a task's container as a process of its own."""
        container, (override,) = self._container(task), task.overrides["containerOverrides"]
        command = [*container["entryPoint"], *override["command"]]
        own = self.folder / task.id  # a container has a file system of its own
        own.mkdir()
        with running.log.open("wb") as log:
            running.process = subprocess.Popen(
                [self._program(command[0], container["image"]), *command[1:]],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=own,
                env=self._environment(task, container),
                start_new_session=True,
                group=group_of(ecs.interface(task)["privateIPv4Address"]) if self.apart else None,
            )
        ecs.advance(task, "RUNNING")

    def _program(self, name: str, image: str) -> str:
        """Return what a name means in an image: ``plain-python`` has Python without packages."""
        if name != "python":
            return name
        if "plain-python" not in image:
            return sys.executable
        place = self.folder / "plain-python"
        if not place.exists():
            venv.create(place, with_pip=False, symlinks=True)
        return str(place / "bin" / "python")

    def _environment(self, task: Task, container: Mapping[str, Any]) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "OMP_NUM_THREADS": "1",
            "AWS_REGION": task.region_name,
            "AWS_DEFAULT_REGION": task.region_name,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{self.url}/testbed/credentials/{task.id}",
            "ECS_CONTAINER_METADATA_URI_V4": f"{self.url}/testbed/metadata/{task.id}",
            "SCALABLE_HASTE": "0.1",
            **{name: value for name, value in os.environ.items() if name.startswith("DASK_")},
            **{each["name"]: each["value"] for each in container.get("environment", [])},
        }

    def _container(self, task: Task) -> dict[str, Any]:
        backend = ecs_backends[task._account_id][task.region_name]
        definition = backend.describe_task_definition(task.task_definition_arn)
        return definition.container_definitions[0]  # type: ignore[no-any-return]

    # -- logs --------------------------------------------------------------------------------------------

    def _pump(self, task: Task) -> None:
        """Bring what a task has written to CloudWatch."""
        running = self.known.get(task.task_arn)
        if running is None or not running.log.is_file():
            return
        with running.log.open("rb") as file:
            file.seek(running.read)
            text = file.read()
        whole, newline, _ = text.rpartition(b"\n")
        if not newline and running.over is None:
            return
        running.read += len(whole) + len(newline)
        options = self._container(task)["logConfiguration"]["options"]
        backend = logs_backends[task._account_id][task.region_name]
        group = backend.groups.get(options["awslogs-group"])
        if group is None:
            return
        stream = f"{options['awslogs-stream-prefix']}/member/{task.id}"
        if stream not in group.streams:
            backend.create_log_stream(options["awslogs-group"], stream)
        moment = int(time.time() * 1000)
        events = [
            {"timestamp": moment, "message": line}
            for line in whole.decode("utf-8", "replace").splitlines()
            if line
        ]
        if events:
            backend.put_log_events(options["awslogs-group"], stream, events)

    # -- members in a hive -------------------------------------------------------------------------------

    def _hive_states(self) -> dict[tuple[str, str], Any]:
        runs = {
            t.started_by for t in ecs.all_tasks() if t.last_status != "STOPPED" and t.started_by
        }
        looks = [(self.hive, run) for run in runs] + [(self._plain, plain.RUN)]
        return {
            (run, name): state
            for hive, run in looks
            if hive is not None
            for name, state in hive.ask(op="look", run=run).items()
        }

    def _keeper(self, running: Running) -> Hive:
        """Return the process that a member shares with others."""
        keeper = self._plain if running.run == plain.RUN else self.hive
        assert keeper is not None
        return keeper

    def _documents(self, place: str, scheduler: Task | None) -> Path:
        """Return the folder with the documents of a run; a scheduler's has its own address in it."""
        name = place.strip("/").replace("/", "_")
        folder = self.folder / (f"{name}-{scheduler.id}" if scheduler else name)
        if not folder.exists():
            folder.mkdir()
            (folder / ".place").write_text(place)
            if scheduler is not None:
                address = ecs.interface(scheduler)["privateIPv4Address"]
                (folder / ".listen").write_text(address)
            self._share(folder)
        return folder

    def _share_documents(self) -> None:
        if self.hive is not None:
            for mark in self.folder.glob("*/.place"):
                self._share(mark.parent)

    def _share(self, folder: Path) -> None:
        """Put documents from Parameter Store into a folder, where members in the hive find them."""
        from scalable_aws.reader import join_documents

        place = (folder / ".place").read_text()
        found = [
            (name, parameter.value.removeprefix("kms:alias/aws/ssm:"))
            for backends in ssm_backends.values()
            for backend in backends.values()
            for name in backend._parameters.get_keys_beginning_with(place + "/", True)
            if (parameter := backend.get_parameter(name)) is not None
        ]
        for key, text in join_documents(found).items():
            path = folder / key.replace("/", ".")
            if path.exists() and key != "names":
                continue
            if key == "run" and (folder / ".listen").exists():
                text = json.dumps({**json.loads(text), "listen": (folder / ".listen").read_text()})
            aside = path.with_name(f".{path.name}.new")
            aside.write_text(text)
            aside.replace(path)
