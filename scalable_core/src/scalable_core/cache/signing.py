"""The project's key, and signatures by which a process knows what its own project has written."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from scalable_core.errors import UsageError

#: The key itself, 64 hex digits.
KEY_VARIABLE = "SCALABLE_CACHE_KEY"
#: A file that holds it.
KEY_FILE_VARIABLE = "SCALABLE_CACHE_KEY_FILE"

UNSIGNED = "0" * 64


def sign(secret: bytes | None, data: bytes) -> str:
    """Return the signature of ``data``, 64 hex digits; `UNSIGNED` without a key."""
    return UNSIGNED if secret is None else hmac.new(secret, data, hashlib.sha256).hexdigest()


def is_signed(secret: bytes | None, data: bytes, signature: str) -> bool:
    """Say whether a signature was made with this key; never without a key."""
    return secret is not None and hmac.compare_digest(sign(secret, data), signature)


def read_key(path: Path) -> bytes | None:
    """Return the key in a file; None when there is no such file.

    Raises:
        UsageError: The file holds something else.
    """
    try:
        text = path.read_text(encoding="ascii")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UsageError(f"the cache key in {path} cannot be read: {error}") from None
    return _parse(text, str(path))


def ensure_key(path: Path) -> bytes:
    """Return the key in a file, which only its owner can read; made when there is none."""
    known = read_key(path)
    if known is not None:
        return known
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32) + "\n")
    try:
        os.link(aside, path)
    except FileExistsError:
        pass  # another process was faster: its key holds
    finally:
        aside.unlink()
    return ensure_key(path)


def key_from(environ: Mapping[str, str]) -> bytes | None:
    """Return the key that the environment names; None when it names none.

    Raises:
        UsageError: What it names is not a key.
    """
    text = environ.get(KEY_VARIABLE)
    if text:
        return _parse(text, KEY_VARIABLE)
    file = environ.get(KEY_FILE_VARIABLE)
    return read_key(Path(file)) if file else None


def _parse(text: str, where: str) -> bytes:
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) < 32:
        raise UsageError(
            f"{where} holds no cache key", cure="a key is 64 hex digits: scalable cache key"
        )
    return key
