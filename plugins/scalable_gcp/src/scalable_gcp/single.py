"""Workers beside their driver in one instance of Cloud Run: the `Launcher` for ``transport: single``."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scalable_core.cluster.launcher import Fleet, LaunchResult, Member, MemberGroup, Offer, Rate
from scalable_core.types import Resource
from scalable_gcp.cloud import default_project
from scalable_gcp.onsite import SECRETS
from scalable_gcp.options import CloudRunOptions
from scalable_gcp.release import MEMBER

#: Lines of each worker that are kept, and seconds that workers have to end.
LINES, GRACE = 200, 10.0


class InstanceLauncher:
    """Runs workers as processes of this instance. The instance is paid for as a whole, they cost nothing more.

    What they write goes to this process's output, with their names before it.

    Args:
        options: Of the target.
    """

    provider = "gcp"
    kind = MEMBER
    listen = ("127.0.0.1", 0)  # at any port that is free: all who dial it are here
    batch = 8
    rates: Mapping[str, Rate] = {}
    poll_interval = 1.0

    def __init__(self, options: CloudRunOptions) -> None:
        self.region: str | None = options.region
        self.data: Mapping[str, Any] = {
            "region": options.region,
            "project_id": options.project_id or default_project(),
        }
        self._documents: Path | None = None
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._lines: dict[str, deque[str]] = {}

    def offers(self, group: MemberGroup) -> Sequence[Offer]:
        """Return the one way there is."""
        return (Offer(name="in the driver's instance", hourly=0.0),)

    async def open(self, fleet: Fleet) -> None:
        """Make a folder for the run's documents."""
        from scalable_core.member.boot import FOLDER_READER

        self._program = fleet.program(FOLDER_READER)
        self._documents = Path(
            tempfile.mkdtemp(prefix="scalable-documents-")
        )  # for this user alone

    async def publish(self, documents: Mapping[str, str]) -> None:
        """Write documents whole, so that nobody reads a part."""
        assert self._documents is not None
        for key, text in documents.items():
            path = self._documents / key.replace("/", ".")
            aside = path.with_name(f".{path.name}")
            aside.write_text(text, encoding="utf-8")
            aside.replace(path)

    async def launch(self, group: MemberGroup, names: Sequence[str], offer: Offer) -> LaunchResult:
        """Start processes."""
        private = {SECRETS, *os.environ.get(SECRETS, "").split(",")}
        environment = {name: text for name, text in os.environ.items() if name not in private}
        for name in names:
            words = [group.role, group.name, name, str(self._documents)]
            process = subprocess.Popen(
                [sys.executable, "-c", self._program, *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=tempfile.mkdtemp(prefix=f"scalable-{name}-"),
                env=environment,
                text=True,
                errors="replace",
            )
            self._processes[name] = process
            self._lines[name] = deque(maxlen=LINES)
            threading.Thread(target=self._read, args=(name, process), daemon=True).start()
        return LaunchResult(launched={name: name for name in names})

    async def poll(self) -> Sequence[Member]:
        """Look at each process; those that have ended are shown once."""
        members = []
        for name, process in list(self._processes.items()):
            code = process.poll()
            if code is not None:
                del self._processes[name]
            members.append(
                Member(
                    name=name,
                    state="running" if code is None else "stopped",
                    id=name,
                    address="127.0.0.1",
                    exit_code=code if code is None or code >= 0 else 128 - code,
                    hourly=0.0,
                )
            )
        return members

    async def route(self, name: str, port: int) -> tuple[str, int]:
        """All is in this instance."""
        return "127.0.0.1", port

    async def stop(self, names: Sequence[str]) -> None:
        """Tell processes to end."""
        for name in names:
            process = self._processes.get(name)
            if process is not None and process.poll() is None:
                process.terminate()

    async def logs(self, name: str, lines: int = 20) -> Sequence[str]:
        """Return the last lines of a process."""
        return list(self._lines.get(name, ()))[-lines:]

    async def close(self) -> Sequence[Resource]:
        """End all processes, and remove the documents; the instance itself ends with its driver."""
        processes = list(self._processes.values())
        await self.stop(list(self._processes))
        for _ in range(int(GRACE / 0.1)):
            if all(process.poll() is not None for process in processes):
                break
            await asyncio.sleep(0.1)
        for process in processes:
            if process.poll() is None:
                process.kill()
        if self._documents is not None:
            shutil.rmtree(self._documents, ignore_errors=True)
        return ()

    def _read(self, name: str, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            text = line.rstrip("\n")
            self._lines[name].append(text)
            sys.stdout.write(f"{name}  {text}\n")
            sys.stdout.flush()
