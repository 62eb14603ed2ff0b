"""What is written beside a value: one JSON object that checks itself.

The first field is a checksum over all that follows, the second a signature (zeros without a key) over the rest,
so that no byte of it can change unnoticed, and people can still read it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scalable_core.cache.signing import is_signed, sign

SCHEMA = "scalable.cache/1"

_OPEN, _CLOSE = b'{"check": "', b'",\n'
_SIGNED, _REST = b'"signed": "', b'",\n'
_CHECK, _SIGNATURE = 32, 64


class DamagedError(ValueError):
    """Bytes of the store are not what was written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One result that is kept.

    Attributes:
        key: 40 hex digits.
        function: ``module.qualname``.
        kind: How the value is kept: json, npy, scalar, arrow or pickle.
        size: Bytes of the value.
        digest: SHA-256 of those bytes.
        file: Name of the file with the value; None when it is in the metadata itself.
        seconds: How long it took to compute.
        created: ISO time in UTC.
        by: Who: user, host, pid, run.
        code: Digest of the parts that all calls of the function share; see `Store.read_code`.
        parts: The call's own parts: name, digest, text.
        signed: It was written with this project's key.
        value: The result; only where it was asked for.
    """

    key: str
    function: str
    kind: str
    size: int
    digest: str
    file: str | None = None
    seconds: float = 0.0
    created: str = ""
    by: Mapping[str, Any] = field(default_factory=dict)
    code: str = ""
    parts: tuple[tuple[str, str, str], ...] = ()
    signed: bool = False
    value: Any = None


def seal(fields: Mapping[str, Any], secret: bytes | None) -> bytes:
    """Return metadata as they are written."""
    body = json.dumps(fields, separators=(",\n", ": "))[1:].encode()
    rest = _SIGNED + sign(secret, body).encode() + _REST + body
    return _OPEN + _check(rest) + _CLOSE + rest


def unseal(data: bytes, secret: bytes | None) -> tuple[dict[str, Any], bool]:
    """Return metadata and whether they are signed with this key.

    Raises:
        DamagedError: A byte has changed.
    """
    start = len(_OPEN) + _CHECK + len(_CLOSE)
    rest = data[start:]
    if data[:start] != _OPEN + _check(rest) + _CLOSE:
        raise DamagedError("its metadata are damaged")
    begin = len(_SIGNED)
    signature = rest[begin : begin + _SIGNATURE].decode("ascii", "replace")
    body = rest[begin + _SIGNATURE + len(_REST) :]
    try:
        fields = json.loads(b"{" + body)
    except ValueError as error:
        raise DamagedError(f"its metadata cannot be read: {error}") from None
    if not isinstance(fields, dict) or fields.get("schema") != SCHEMA:
        raise DamagedError("its metadata are not of this version")
    return fields, is_signed(secret, body, signature)


def _check(rest: bytes) -> bytes:
    return hashlib.blake2b(rest, digest_size=_CHECK // 2).hexdigest().encode()
