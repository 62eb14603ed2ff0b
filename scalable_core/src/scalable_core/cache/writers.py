"""Names of what is being written, from which it can be told whether its writer still lives."""

from __future__ import annotations

import functools
import itertools
import os
import secrets
import socket
import time

_DAY = 86_400
_numbers = itertools.count()
_session = secrets.token_hex(4)


def new_name() -> str:
    """Return a name that nobody else uses: machine, process, number."""
    return f"{_place()}.{os.getpid()}.{_session}{next(_numbers)}"


@functools.cache
def _place() -> str:
    """Return a name for this machine, or this container: process ids mean something within one only."""
    try:
        space = os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        space = "0"
    return f"{socket.gethostname().replace('.', '-')}_{space}"


def is_orphan(file: os.DirEntry[str]) -> bool:
    """Say whether the writer of a file aside is no more."""
    place, _, rest = file.name.partition(".")
    pid = rest.partition(".")[0]
    try:
        if time.time() - file.stat().st_mtime > _DAY:
            return True
        if place != _place():
            return False
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return True
    except (FileNotFoundError, PermissionError):
        return False
    return False
