"""Locks between the processes of one machine: files that the system unlocks when their holder dies."""

from __future__ import annotations

import os
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


@contextmanager
def hold(path: Path) -> Iterator[bool]:
    """Wait for a lock and hold it; False where locks cannot be had."""
    descriptor = _take(path)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            path.unlink(missing_ok=True)  # while it is held: whoever waits looks again
            os.close(descriptor)


def _take(path: Path) -> int | None:
    """Take a lock, however long it takes; return its descriptor, None where locks cannot be had."""
    if not _LOCKS:
        return None
    delay = 0.001
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(descriptor, path):
                return descriptor
            os.close(descriptor)  # its holder has removed it meanwhile
        except BlockingIOError:
            os.close(descriptor)
            time.sleep(delay)
            delay = min(delay * 1.5, 0.25)
        except OSError:
            os.close(descriptor)
            return None


def drop(path: Path) -> int:
    """Remove a lock that nobody holds; return how many that were."""
    if not _LOCKS:
        return 0
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return 0
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_at(descriptor, path):
            path.unlink(missing_ok=True)
            return 1
    except OSError:
        pass
    finally:
        os.close(descriptor)
    return 0


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(descriptor), there)
