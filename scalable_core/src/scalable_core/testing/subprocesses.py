"""Members that are processes of this machine, started just as a container of a cloud starts them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from scalable_core.cluster.launcher import State
from scalable_core.testing.loopback import LoopbackLauncher, LoopbackMember


class SubprocessLauncher(LoopbackLauncher):
    """Starts real schedulers and workers that know nothing but their command line and the documents.

    They are not children of anybody: they stay when this process is killed, as members of a cloud do.

    Args:
        folder: As of `LoopbackLauncher`.
        python: What runs them.
        environment: Their environment; a bare one when None.
        **kwargs: As of `LoopbackLauncher`.
    """

    kind = "process"

    def __init__(
        self,
        folder: Path,
        *,
        python: str = sys.executable,
        environment: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(folder, **kwargs)
        self._python = python
        self._environment = environment
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    async def start_member(self, member: LoopbackMember) -> None:
        """Start a process group of its own."""
        path = os.environ.get("PATH", os.defpath)
        words = [member.group.role, member.group.name, member.name, str(self.documents)]
        with (self.folder / f"{member.name}.log").open("wb") as log:
            self.processes[member.name] = subprocess.Popen(
                [self._python, "-c", self._program, *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=dict(self._environment) if self._environment is not None else {"PATH": path},
                start_new_session=True,
            )

    async def end_member(self, name: str) -> None:
        """Send SIGTERM."""
        process = self.processes.get(name)
        if process is not None and process.poll() is None:
            process.terminate()

    async def look(self) -> Mapping[str, tuple[State, int | None]]:
        """Look at each process; the code of one that was killed is that of a container."""
        seen: dict[str, tuple[State, int | None]] = {}
        for name, process in self.processes.items():
            code = process.poll()
            seen[name] = ("running", None) if code is None else ("stopped", code % 256)
            if code is not None and code < 0:
                seen[name] = ("stopped", 128 - code)
        return seen

    def kill(self, name: str) -> None:
        """Take a member away at once, with all that it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self.processes[name].pid, signal.SIGKILL)
