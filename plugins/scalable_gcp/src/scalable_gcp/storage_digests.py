"""The two digests of an object: SHA-256, which we keep and check, and CRC-32C, which the service checks."""

from __future__ import annotations

import base64
import hashlib
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


class Crc32c:
    """The CRC-32C of bytes that come in pieces."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, piece: bytes) -> None:
        """Take the next bytes."""
        self._value = google_crc32c.extend(self._value, piece)

    def __str__(self) -> str:
        return base64.b64encode(self._value.to_bytes(4, "big")).decode()


def digests_of(data: bytes | Path) -> Digests:
    """Return the digests of bytes, or of a file that is read in pieces.

    Raises:
        OSError: The file cannot be read.
    """
    sha256, crc32c, size = hashlib.sha256(), Crc32c(), 0
    if isinstance(data, bytes):
        sha256.update(data)
        crc32c.update(data)
        size = len(data)
    else:
        with open(data, "rb", buffering=0) as file:
            while piece := file.read(_PIECE):
                sha256.update(piece)
                crc32c.update(piece)
                size += len(piece)
    return Digests(size=size, sha256=sha256_text(sha256.digest()), crc32c=str(crc32c))


def sha256_text(digest: bytes) -> str:
    """Return a SHA-256 as artifacts name it."""
    return f"sha256:{digest.hex()}"


def header_crc32c(header: str) -> str | None:
    """Return the CRC-32C of an ``x-goog-hash`` header, None when it has none."""
    for part in header.split(","):
        name, _, value = part.strip().partition("=")
        if name == "crc32c":
            return value
    return None
