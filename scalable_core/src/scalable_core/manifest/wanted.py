"""Words for what a field wants and for what a manifest gives instead."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin

import attrs

from scalable_core.manifest.tree import Expanded
from scalable_core.types import Secret

_LONGEST = 60


class Wrong(Exception):
    """One value that does not fit its field.

    Attributes:
        code: Of the problem.
        message: One sentence.
        cure: What mends it.
        word: With ``known``: a name that is none of the known ones, so that a close one can be suggested.
        known: The names that are possible.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "E0101",
        cure: str | None = None,
        word: str = "",
        known: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.cure = cure
        self.word = word
        self.known = tuple(known)


def misfit(wanted: str, value: Any, *, cure: str | None = None) -> Wrong:
    """Return the error of a value of the wrong kind."""
    return Wrong(f"wanted {wanted}, got {shown(value)}", cure=cure)


def shown(value: Any) -> str:
    """Write a value shortly, as a manifest has it; a secret is never written."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Secret):
        return "a secret"
    if isinstance(value, (int, float)):
        return f"the number {value:g}" if isinstance(value, float) else f"the number {value}"
    if isinstance(value, str):
        text = repr(str(value) if len(value) <= _LONGEST else f"{value[:_LONGEST]}..")
        return f"{text} (from {value.template})" if isinstance(value, Expanded) else text
    return "a mapping" if isinstance(value, Mapping) else "a list"


def is_union(type_: Any) -> bool:
    """Whether a type is ``A | B``."""
    return get_origin(type_) in (Union, types.UnionType)


def arms(type_: Any) -> tuple[Any, ...]:
    """Return the members of a union without None; of another type, the type itself."""
    if not is_union(type_):
        return (type_,)
    return tuple(arm for arm in get_args(type_) if arm is not type(None))


def allows_none(type_: Any) -> bool:
    """Whether a field may be null."""
    return type_ is None or (is_union(type_) and type(None) in get_args(type_))


def describe(type_: Any) -> str:
    """Write what a type wants: ``a whole number``, ``text``."""
    words = {
        str: "text",
        Secret: "text",
        int: "a whole number",
        float: "a number",
        bool: "true or false",
    }
    if type_ in words:
        return words[type_]
    if is_union(type_):
        return " or ".join(dict.fromkeys(describe(arm) for arm in arms(type_)))
    origin = get_origin(type_)
    if origin is Literal:
        return f"one of {', '.join(str(choice) for choice in get_args(type_))}"
    if attrs.has(type_) or (isinstance(origin, type) and issubclass(origin, Mapping)):
        return "a mapping"
    return "a list"
