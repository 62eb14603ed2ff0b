"""The values at the ends: texts, numbers, truth values, choices, and quantities with their bounds.

A hook takes a value of the document and the type of its field, and gives what the record holds, or raises
`Wrong`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, get_args

import attrs

from scalable_core.manifest.scalars import read_scalar
from scalable_core.manifest.tree import Expanded
from scalable_core.manifest.wanted import Wrong, allows_none, describe, misfit, shown
from scalable_core.types import Secret
from scalable_core.types.units import (
    format_duration,
    format_size,
    parse_cpus,
    parse_duration,
    parse_size,
)

Hook = Callable[[Any, Any], Any]

_QUOTE = "put it in quotes"
_QUANTITIES = {
    "size": "a size such as 16G",
    "cpus": "a number of CPUs",
    "duration": "a duration such as 90s",
}


def own_scalar(value: Any) -> Any:
    """Return what ``${N}`` came to as a scalar of its own; other values as they are."""
    return read_scalar(value) if isinstance(value, Expanded) and value.scalar else value


def quoting(value: Any) -> str | None:
    """Return the cure for a number or truth value where a text is wanted."""
    return _QUOTE if isinstance(value, (bool, int, float)) else None


def read_text(value: Any, _: Any) -> str | Secret:
    """Read a text; a secret stays one."""
    if isinstance(value, Secret):
        return value
    if isinstance(value, str):
        return str(value)
    raise misfit("text", value, cure=quoting(value))


def read_secret(value: Any, _: Any) -> Secret:
    """Read a secret."""
    text = read_text(value, _)
    return text if isinstance(text, Secret) else Secret(text)


def read_whole_number(value: Any, _: Any) -> int:
    """Read a whole number."""
    number = own_scalar(value)
    if isinstance(number, int) and not isinstance(number, bool):
        return number
    raise misfit("a whole number", value, cure=_plain_number(value))


def read_number(value: Any, _: Any) -> float:
    """Read a number; a whole one will do, infinity and NaN will not."""
    number = own_scalar(value)
    if isinstance(number, (int, float)) and not isinstance(number, bool) and math.isfinite(number):
        return float(number)
    raise misfit("a number", value, cure=_plain_number(value))


def _plain_number(value: Any) -> str | None:
    """Return the cure for a text that a person would take for a number, such as ``010`` or ``"4"``."""
    if not isinstance(value, str):
        return None
    number = value.lstrip("+-")
    if not number.replace("_", "").replace(".", "", 1).isdigit():
        return None
    odd = "_" in number or (number[0] == "0" and number[1:2].isdigit())
    return "write it without leading zeros and '_'" if odd else "remove the quotes"


def read_truth(value: Any, _: Any) -> bool:
    """Read true or false."""
    truth = own_scalar(value)
    if isinstance(truth, bool):
        return truth
    raise misfit("true or false", value, cure="write true or false, without quotes")


def read_choice(value: Any, type_: Any) -> Any:
    """Read one of the values of a ``Literal``."""
    choices = get_args(type_)
    for candidate in (str(value) if isinstance(value, str) else value, own_scalar(value)):
        for choice in choices:
            if type(choice) is type(candidate) and choice == candidate:
                return choice
    if not isinstance(value, str):
        raise misfit(describe(type_), value)
    known = [str(choice) for choice in choices]
    raise Wrong(f"wanted {describe(type_)}, got {shown(value)}", word=value, known=known)


def read_untyped(value: Any, _: Any) -> Any:
    """Return a value of the document without marks; secrets stay secrets."""
    if isinstance(value, Mapping):
        return {key: read_untyped(item, _) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [read_untyped(item, _) for item in value]
    value = own_scalar(value)
    return str(value) if isinstance(value, str) else value


def bounded_hook(field: attrs.Attribute[Any], inner: Hook) -> Hook:
    """Return the hook of a field that has a quantity or bounds; ``inner`` is that of its type."""
    type_: Any = field.type
    quantity = field.metadata.get("quantity")

    def hook(value: Any, _: Any) -> Any:
        if allows_none(type_) and own_scalar(value) is None:
            return None
        if quantity is None:
            number = inner(value, type_)
        else:
            number = _read_quantity(value, quantity, field.metadata["unit"])
        _check_bounds(number, value, field.metadata)
        return number

    return hook


def discreet_hook(field: attrs.Attribute[Any], inner: Hook) -> Hook:
    """Return the hook of a secret field: what is wrong with a secret is said without it."""

    def hook(value: Any, type_: Any) -> Any:
        try:
            return inner(value, type_)
        except Exception:
            raise Wrong(f"wanted {describe(field.type)}", cure=quoting(value)) from None

    return hook


def _read_quantity(value: Any, quantity: str, unit: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise misfit(_QUANTITIES[quantity], value)
    try:
        if quantity == "size":
            return parse_size(value, unit=unit)
        return (
            parse_duration(value) if quantity == "duration" else parse_cpus(value, unit=unit or 1.0)
        )
    except ValueError as error:
        message, _, cure = str(error).partition("; ")
        negative = isinstance(value, (int, float)) and value < 0
        raise Wrong(message, code="E0104" if negative else "E0101", cure=cure or None) from None


def _check_bounds(number: Any, value: Any, metadata: Mapping[Any, Any]) -> None:
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        return
    write: Callable[[Any], str] = {"size": format_size, "duration": format_duration}.get(
        metadata.get("quantity") or "", "{:g}".format
    )
    low, high = metadata.get("minimum"), metadata.get("maximum")
    got = shown(value).removeprefix("the number ")
    if low is not None and number < low:
        raise Wrong(f"must be at least {write(low)}, got {got}", code="E0104")
    if high is not None and number > high:
        raise Wrong(f"must be at most {write(high)}, got {got}", code="E0104")
