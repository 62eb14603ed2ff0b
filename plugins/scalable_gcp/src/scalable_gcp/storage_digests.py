"""The two digests of an object: SHA-256, which we keep, and CRC-32C, which the service checks."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

import google_crc32c
from attrs import frozen

_PIECE = 1024 * 1024


@frozen(kw_only=True)
class Digests:
    """What bytes are.

    Attributes:
        size: How many.
        sha256: ``sha256:`` and 64 hex digits.
        crc32c: As the service writes it: base64 of the four bytes.
    """

    size: int
    sha256: str
    crc32c: str


class Digester:
    """Computes both digests of bytes that come in pieces."""

    def __init__(self) -> None:
        self._sha256, self._crc32c, self._size = hashlib.sha256(), 0, 0

    def update(self, piece: bytes | memoryview) -> None:
        """Take the next bytes."""
        self._sha256.update(piece)
        self._crc32c = google_crc32c.extend(self._crc32c, bytes(piece))
        self._size += len(piece)

    def digests(self) -> Digests:
        """Return the digests of all bytes so far."""
        return Digests(
            size=self._size,
            sha256=f"sha256:{self._sha256.hexdigest()}",
            crc32c=base64.b64encode(self._crc32c.to_bytes(4, "big")).decode(),
        )


def digests_of(data: bytes | Path) -> Digests:
    """Return the digests of bytes, or of a file that is read in pieces.

    Raises:
        OSError: The file cannot be read.
    """
    digester = Digester()
    if isinstance(data, bytes):
        digester.update(data)
        return digester.digests()
    with open(data, "rb", buffering=0) as file:
        update(digester, file.fileno(), 0, os.fstat(file.fileno()).st_size)
    return digester.digests()


def update(digester: Digester, descriptor: int, start: int, end: int) -> None:
    """Let a digester take a stretch of a file."""
    while start < end and (piece := os.pread(descriptor, min(_PIECE, end - start), start)):
        digester.update(piece)
        start += len(piece)


def header_crc32c(header: str) -> str | None:
    """Return the CRC-32C of an ``x-goog-hash`` header, None when it has none."""
    for part in header.split(","):
        name, _, value = part.strip().partition("=")
        if name == "crc32c":
            return value
    return None
