"""What an unquoted scalar means: null, a boolean, a number or text.

These are the rules of YAML 1.2's core schema, narrowed where 1.1 and 1.2 disagree: what could mean two
things is text, and a field that wants a number then says so. `no`, `on`, `010`, `1_000`, `12:30` and
`2024-01-01` are texts.
"""

from __future__ import annotations

import re

_WORDS: dict[str, bool | float | None] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_WORDS |= {
    sign + word: float(sign + "inf") for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")
}
_WORDS |= {word: float("nan") for word in (".nan", ".NaN", ".NAN")}

_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})\Z")
_BASED = re.compile(r"0(o[0-7]{1,20}|x[0-9a-fA-F]{1,15})\Z")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]{1,40}|(0|[1-9][0-9]{0,40})(\.[0-9]{0,40})?)([eE][-+]?[0-9]{1,4})?\Z"
)
_NUMBER_START = frozenset("+-.0123456789")


def read_scalar(text: str) -> str | int | float | bool | None:
    """Return what an unquoted text means."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_START:
        return text
    if _INT.match(text):
        return int(text)
    if _BASED.match(text):
        return int(text, 0)
    if _FLOAT.match(text):
        return float(text)
    return text
