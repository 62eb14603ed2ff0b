"""Locks on names, between the threads and the processes of one machine.

Each name is one byte of one file, locked with `lockf`: nothing is created or left, and the system lets go of
what a process held when it dies. A process opens the file once for all its threads, because closing it lets go
of all that it holds.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no such locks; two processes may then compute the same
    _LOCKS = False
else:
    _LOCKS = True

_guard = threading.Lock()
_threads: dict[tuple[int, str, str], tuple[threading.Lock, int]] = {}
_files: dict[tuple[int, str], tuple[int, int]] = {}


@contextmanager
def hold(path: Path, name: str) -> Iterator[bool]:
    """Wait for a name and hold it; False where other processes cannot be kept from it.

    Args:
        path: The file of locks.
        name: What is locked.
    """
    mine = os.getpid(), str(path), name
    with _guard:
        lock, users = _threads.get(mine, (threading.Lock(), 0))
        _threads[mine] = lock, users + 1
    try:
        with lock, _opened(path) as descriptor:
            place = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=7).digest())
            held = descriptor is not None and _lock(descriptor, place)
            try:
                yield held
            finally:
                if descriptor is not None and held:
                    fcntl.lockf(descriptor, fcntl.LOCK_UN, 1, place)
    finally:
        with _guard:
            lock, users = _threads.pop(mine)
            if users > 1:
                _threads[mine] = lock, users - 1


@contextmanager
def _opened(path: Path) -> Iterator[int | None]:
    """Open the file of locks, once for all threads that use it at a time; None where that cannot be."""
    mine = os.getpid(), str(path)
    try:
        with _guard:
            descriptor, users = _files.get(mine) or (_open(path), 0)
            _files[mine] = descriptor, users + 1
    except OSError:
        yield None
        return
    try:
        yield descriptor
    finally:
        with _guard:
            descriptor, users = _files.pop(mine)
            if users > 1:
                _files[mine] = descriptor, users - 1
            else:
                os.close(descriptor)


def _open(path: Path) -> int:
    if not _LOCKS:
        raise OSError("no locks on this system")
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)


def _lock(descriptor: int, place: int) -> bool:
    """Lock one byte, however long it takes; False where that cannot be."""
    delay = 0.001
    while True:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
            return True
        except (BlockingIOError, PermissionError):  # somebody holds it
            time.sleep(delay)
            delay = min(delay * 1.5, 0.25)
        except OSError:
            return False
