"""Runs what Cloud Run and Compute Engine would run, as processes at addresses of their own.

A container is the command of its image run by this Python, or by one without packages; a machine does what its
cloud-config says, with commands such as `docker` that are a few lines of shell here. Both find a metadata
server at port 8079 of their own address. What they write goes to `log`.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scalable_core.testing import Hive

#: Seconds between SIGTERM and SIGKILL on Cloud Run.
GRACE = 10.0

#: Put first on the path of a worker that nobody may dial: it accepts only what comes from its own address.
_FORBID = """
import os, socket
_port = int(os.environ.get("PORT", "8080"))
_accept = socket.socket.accept
def accept(self):
    while True:
        connection, peer = _accept(self)
        own = self.getsockname()
        if own[1] != _port or peer[0] == own[0]:
            return connection, peer
        connection.close()
socket.socket.accept = accept
"""

#: Gives what follows a host name of its own, where root allows that.
_NAMED = (
    ("unshare", "--uts", "sh", "-c", 'hostname "$0"; exec "$@"')
    if os.geteuid() == 0 and shutil.which("unshare") and shutil.which("hostname")
    else ("sh", "-c", 'exec "$@"')
)

_DOCKER = """#!/bin/bash
# docker run [options] IMAGE COMMAND...: the image is this machine's Python
shift
while [ $# -gt 0 ]; do
  case "$1" in
    --rm) shift;;
    --network|--log-driver|-e|-v|--name) shift 2;;
    *) break;;
  esac
done
shift
if [ "$1" = python ]; then shift; set -- "$PYTHON" "$@"; fi
for word; do set -- "$@" "${word//\\/var\\/lib\\/scalable/$ROOT/var/lib/scalable}"; shift; done
exec "$@"
"""


@dataclass
class Instance:
    """One process with an address."""

    id: str
    address: str
    log: Callable[[str], None]
    metadata: dict[str, str]
    command: list[str]
    folder: Path
    environment: dict[str, str]
    process: asyncio.subprocess.Process | None = None
    reader: asyncio.Task[None] | None = None
    born: float = field(default_factory=time.monotonic)
    code: int | None = None
    #: It finds out itself.
    member: str | None = None
    #: Of users: its processes have one of their own.
    group: int | None = None

    @property
    def alive(self) -> bool:
        """Its process has not ended."""
        return self.process is not None and self.process.returncode is None

    async def start(self) -> None:
        """Start the process."""
        self.process = await asyncio.create_subprocess_exec(
            *_NAMED,
            self.id.partition("/")[0],
            *self.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=self.folder,
            env=self.environment,
            start_new_session=True,
            group=self.group,
            limit=2**20,
        )
        self.reader = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.log(line.decode("utf-8", "replace").rstrip("\n"))

    async def wait(self) -> int:
        """Wait for its end."""
        assert self.process is not None
        self.code = await self.process.wait()
        self.kill()  # what it has started goes with it
        return self.code

    def kill(self) -> None:
        """End it at once, with all that it has started."""
        if self.process is not None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    async def end(self, grace: float = GRACE) -> None:
        """End it as the service does."""
        if self.process is None or not self.alive:
            return
        self.process.terminate()
        try:
            await asyncio.wait_for(self.process.wait(), grace)
        except TimeoutError:
            pass
        self.kill()


@dataclass
class Bee:
    """A member in a hive, which finds the run's documents in a folder instead of asking for them.

    It may be started again when it has ended.
    """

    id: str
    address: str
    metadata: dict[str, str]
    hive: Hive
    order: dict[str, str]
    folder: Path
    documents: Callable[[], dict[str, str]]
    _feeder: asyncio.Task[None] | None = None
    _killed: bool = False
    alive: bool = False

    @property
    def member(self) -> str:
        """Its name."""
        return self.order["name"]

    async def start(self) -> None:
        """Start it, also once more."""
        self.alive, self._killed = True, False
        self._feeder = asyncio.ensure_future(self._feed())
        await self._ask(op="start", documents=str(self.folder), **self.order)

    async def wait(self) -> int:
        """Wait for its end."""
        while self.alive:
            await asyncio.sleep(0.2)
            seen = await self._ask(op="look")
            self.alive &= any(state != "stopped" for state, _ in seen.values())
        return -signal.SIGKILL if self._killed else 0

    def kill(self) -> None:
        """End it at once."""
        self.alive, self._killed = False, True
        self.hive.ask(run=self.id, op="kill", names=[self.order["name"]])
        self.hive.ask(run=self.id, op="end", names=[self.order["name"]])

    async def end(self, grace: float = 0.0) -> None:
        """End it as the service does."""
        self.alive = False
        await self._ask(op="end", names=[self.order["name"]])

    async def _ask(self, **request: Any) -> Any:
        return await asyncio.to_thread(self.hive.ask, run=self.id, **request)

    async def _feed(self) -> None:
        """Write the documents as they come; the scheduler listens at its own address."""
        while self.alive:
            for key, text in self.documents().items():
                path = self.folder / key.replace("/", ".")
                if not path.exists():
                    if key == "run":
                        text = json.dumps({**json.loads(text), "listen": self.address})
                    aside = path.with_name(f"{path.name}.new")
                    aside.write_text(text)
                    aside.replace(path)
            await asyncio.sleep(0.05)


def group_of(address: str) -> int:
    """Return the id of the group of users whose processes are those of the instance with an address."""
    *_, third, last = map(int, address.split("."))
    return 20000 + 256 * third + last


class Host:
    """Starts instances, and gives each an address of 127.0.0.0/8.

    Args:
        folder: For their files.
        environment: What all have.
        network: Second number of the addresses, so that two hosts do not meet.
        apart: The processes of each instance have a group of users of their own, see `group_of`: a firewall can
            tell them apart. Needs root.
        hive: Where members are, many in one process; each is a process of its own when None, and drivers and
            the members of runs whose components have an environment always are.

    Attributes:
        documents: What the reader of a secret has got so far.
    """

    def __init__(
        self,
        folder: Path,
        environment: dict[str, str],
        network: int,
        *,
        hive: Hive | None = None,
        apart: bool = False,
    ) -> None:
        self.folder, self._environment, self.hive = folder, environment, hive
        self._apart = apart
        self.documents: Callable[[str], dict[str, str]] = lambda secret: {}
        self._network, self._count = network, 0
        self.forbidden = False
        tools = folder / "bin"
        tools.mkdir(parents=True, exist_ok=True)
        for name, text in {
            "docker": _DOCKER,
            "docker-credential-gcr": "#!/bin/bash\n",
            "shutdown": '#!/bin/bash\ntouch "$ROOT/halted"\n',
        }.items():
            (tools / name).write_text(text)
            (tools / name).chmod(0o755)
        (folder / "forbid").mkdir(exist_ok=True)
        (folder / "forbid" / "sitecustomize.py").write_text(_FORBID)

    def address(self) -> str:
        """Return a new address."""
        self._count += 1
        return f"127.{self._network}.{self._count // 250}.{self._count % 250 + 1}"

    def container(self, container: dict[str, Any], number: int = 0, **facts: Any) -> Instance | Bee:
        """Return an instance of Cloud Run, not started yet; the so manieth of its pool."""
        if self._shared(container["args"]):
            return self._bee(container["args"], number, **facts)
        address, folder = self.address(), Path(tempfile.mkdtemp(dir=self.folder, prefix="i-"))
        command = [*container.get("command", []), *container.get("args", [])]
        command[0] = self._python(container["image"]) if command[0] == "python" else command[0]
        environment = self._bare(folder, address)
        for port in container.get("ports", []):
            environment["PORT"] = str(port["containerPort"])
        for variable in container.get("env", []):
            environment[variable["name"]] = variable["value"]
        (folder / "scratch").mkdir()
        environment["TMPDIR"] = str(folder / "scratch")
        if self.forbidden:
            environment["PYTHONPATH"] = str(self.folder / "forbid")
        metadata = {"instance/network-interfaces/0/ip": address, **facts.pop("metadata")}
        return Instance(
            address=address,
            command=command,
            folder=folder,
            environment=environment,
            metadata=metadata,
            group=group_of(address) if self._apart else None,
            **facts,
        )

    def machine(self, user_data: str, **facts: Any) -> Instance | Bee:
        """Return a machine of Compute Engine, not started yet."""
        from ruamel.yaml import YAML

        script = json.loads(user_data.partition("\n")[2])["write_files"][2]["content"]
        (line,) = [each for each in script.splitlines() if "program.py" in each]
        words = shlex.split(line.partition("program.py")[2])
        if self._shared(words):
            return self._bee(words, 0, **facts)
        address, folder = self.address(), Path(tempfile.mkdtemp(dir=self.folder, prefix="m-"))
        config = YAML(typ="safe").load(user_data)
        for file in config["write_files"]:
            path = folder / file["path"].lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(file["content"])
        (unit,) = [words[2] for words in config["runcmd"] if words[:2] == ["systemctl", "start"]]
        text = (folder / "etc/systemd/system" / unit).read_text()
        (begin,) = [each for each in text.splitlines() if each.startswith("ExecStart=")]
        command = begin.partition("=")[2].split()
        command[-1] = str(folder / command[-1].lstrip("/"))
        environment = self._bare(folder, address)
        environment |= {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "ROOT": str(folder),
            "PYTHON": self._python(line),
        }
        script = folder / "var/lib/scalable/member.sh"
        script.write_text(script.read_text().replace("HOME=/var", f"HOME={folder}/var"))
        metadata = {"instance/network-interfaces/0/ip": address, **facts.pop("metadata")}
        return Instance(
            address=address,
            command=command,
            folder=folder,
            environment=environment,
            metadata=metadata,
            group=group_of(address) if self._apart else None,
            **facts,
        )

    def _shared(self, words: list[str]) -> bool:
        """Whether what runs these words is in the hive: who shares a process shares its environment."""
        if self.hive is None or words[0] == "drive":
            return False
        found = self._documents_at(words[3])
        orders = (json.loads(found[key]) for key in found if key.startswith("group/"))
        return all(set(order["env"]) <= {"SCALABLE_CACHE_KEY"} for order in orders)

    def _documents_at(self, place: str) -> dict[str, str]:
        return self.documents(place.partition("#")[0].rpartition("/")[2])

    def _bee(self, words: list[str], number: int, **facts: Any) -> Bee:
        role, group, names, place = words
        folder = Path(tempfile.mkdtemp(dir=self.folder, prefix="b-"))
        assert self.hive is not None
        return Bee(
            id=facts["id"],
            address=self.address(),
            metadata=facts["metadata"],
            hive=self.hive,
            order={"role": role, "group": group, "name": names.split(",")[number]},
            folder=folder,
            documents=lambda: self._documents_at(place),
        )

    def _python(self, image: str) -> str:
        """Return what Python is in an image: ``plain-python`` has one without packages."""
        if "plain-python" not in image:
            return sys.executable
        place = self.folder / "plain-python"
        if not place.exists():
            venv.create(place, with_pip=False, symlinks=True)
        return str(place / "bin" / "python")

    def _bare(self, folder: Path, address: str) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "OMP_NUM_THREADS": "1",
            "GCE_METADATA_HOST": f"{address}:8079",
            "GCE_METADATA_IP": f"{address}:8079",
            "SCALABLE_HASTE": "0.1",
            **self._environment,
        }


def settings(url: str) -> dict[str, str]:
    """Return the variables by which the APIs are found at a place."""
    services = ("run", "compute", "secretmanager", "artifactregistry", "cloudresourcemanager")
    more = ("serviceusage", "logging", "iam", "container")
    return {
        f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{name.upper()}": f"{url}/{name}/"
        for name in (*services, *more)
    }


def dump(data: Any) -> str:
    """Return data as JSON."""
    return json.dumps(data, default=str)
