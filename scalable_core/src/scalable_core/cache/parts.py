"""Parts of a key: a name, a digest, and a text by which people see what changed."""

from __future__ import annotations

import hashlib
import reprlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

_WIDTH = 120
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _WIDTH
_SHORT.maxdict = _SHORT.maxlist = _SHORT.maxtuple = 8


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that a result depends on.

    Attributes:
        name: What kind of thing and which: ``code model.step``, ``global model.RATE``, ``argument year``.
        digest: 40 hex digits.
        text: What it says, for people, or what gives that.
    """

    name: str
    digest: str
    text: str | Callable[[], str] = ""

    def read(self) -> str:
        """Return the text."""
        return self.text if isinstance(self.text, str) else self.text()


def digest_parts(pairs: Iterable[tuple[str, str | bytes]]) -> str:
    """Return 160 bits, as hex, over names and values, each with its length before it."""
    data = []
    for pair in pairs:
        for item in pair:
            payload = item.encode("utf-8", "surrogatepass") if isinstance(item, str) else item
            data.append(b"%d:%s" % (len(payload), payload))
    return hashlib.blake2b(b"".join(data), digest_size=20).hexdigest()


def describe(value: Any) -> str:
    """Say in one short line what a value is."""
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:
        kind = getattr(value, "dtype", "")
        return f"{type(value).__name__} {kind} {shape}".replace("  ", " ")
    try:
        text = _SHORT.repr(value)
    except Exception:  # a __repr__ of somebody else may do anything
        text = f"<{type(value).__name__}>"
    text = " ".join(text.split())
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 3]}..."
