"""Sizes, CPUs and durations as people write them, and back again.

Memory and storage suffixes are powers of 1024 however they are spelled (``16G``, ``16GB`` and ``16GiB``
are one size), as Docker, Slurm and the clouds' own consoles count. A bare number has no unit here; where
a service has its own unit (Fargate: 1/1024 vCPU and MiB) the caller passes it.
"""

from __future__ import annotations

import math
import re

KIB, MIB, GIB, TIB, PIB = (1024**power for power in range(1, 6))

_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*([kmgtp]?)(i?b?)\s*\Z", re.IGNORECASE)
_POWER = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_CPUS = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*(m|vcpus?|cpus?)?\s*\Z", re.IGNORECASE)
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|sec|m|min|h|hr|d|w)\s*", re.IGNORECASE)
_SECONDS = {
    "ms": 0.001,
    "s": 1,
    "sec": 1,
    "m": 60,
    "min": 60,
    "h": 3600,
    "hr": 3600,
    "d": 86400,
    "w": 604800,
}


def parse_size(value: object, *, unit: int | None = None) -> int:
    """Read a size and return it in bytes.

    Args:
        value: ``"16G"``, ``"512M"``, ``"1.5TiB"``, ``"1000 B"``, or a number in ``unit``.
        unit: Bytes in one of the service's own units, for bare numbers; None refuses them.

    Raises:
        ValueError: Not a size, negative, not finite, or a bare number where no unit is given.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"{value!r} is not a size; write for example 16G")
    if isinstance(value, str):
        match = _SIZE.match(value)
        if match is None:
            raise ValueError(f"{value!r} is not a size; write for example 16G, 512M or 1.5TiB")
        number, prefix, suffix = float(match[1]), match[2].lower(), match[3]
        if prefix or suffix:
            return _whole(number * 1024 ** _POWER[prefix], value)
    else:
        number = float(value)
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"{value!r} is not a size; it must be a number of at least 0")
    if unit is None and number:
        raise ValueError(f"{value!r} has no unit; write for example {number:g}G or {number:g}M")
    return _whole(number * (unit or 1), value)


def _whole(number: float, value: object) -> int:
    if not math.isfinite(number) or number >= 2**63:
        raise ValueError(f"{value!r} is too large to be a size")
    return round(number)


def format_size(size: float) -> str:
    """Write bytes shortly: ``16G``, ``1.5T``, ``512M``."""
    for factor, name in ((PIB, "P"), (TIB, "T"), (GIB, "G"), (MIB, "M"), (KIB, "K")):
        if size >= factor:
            return f"{size / factor:.4g}{name}"
    return f"{size:g}B"


def parse_cpus(value: object, *, unit: float = 1.0) -> float:
    """Read a number of CPUs and return it in vCPU.

    Args:
        value: ``4``, ``0.5``, ``"4"``, ``"500m"``, ``"4 vCPU"``; a bare number is in ``unit``.
        unit: vCPU in one of the service's own units (1/1024 for Fargate), for bare numbers.

    Raises:
        ValueError: Not a number of CPUs, negative, or not finite.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"{value!r} is not a number of CPUs; write for example 4")
    if isinstance(value, str):
        match = _CPUS.match(value)
        if match is None:
            raise ValueError(f"{value!r} is not a number of CPUs; write for example 4 or 500m")
        number, suffix = float(match[1]), (match[2] or "").lower()
        if suffix:
            return number / 1000 if suffix == "m" else number
    else:
        number = float(value)
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"{value!r} is not a number of CPUs; it must be at least 0")
    return number * unit


def parse_duration(value: object) -> float:
    """Read a duration and return it in seconds.

    Args:
        value: ``"90s"``, ``"1h30m"``, ``"2 h"``, ``"500ms"``, or a bare number of seconds.

    Raises:
        ValueError: Not a duration, negative, or not finite.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"{value!r} is not a duration; write for example 90s or 1h30m")
    if isinstance(value, str):
        text = value.strip()
        parts = list(_DURATION_PART.finditer(text))
        if parts and "".join(part[0] for part in parts) == text:
            return sum(float(part[1]) * _SECONDS[part[2].lower()] for part in parts)
        try:
            value = float(text)
        except ValueError:
            raise ValueError(
                f"{value!r} is not a duration; write for example 90s or 1h30m"
            ) from None
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{value!r} is not a duration; it must be at least 0")
    return float(value)


def parse_hours(value: object) -> float:
    """Read a time and return it in hours.

    Args:
        value: ``"90m"``, ``"2h"``, or a bare number of hours.

    Raises:
        ValueError: Not a time, negative, or not finite.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"{value!r} is not a time; write for example 2h or 90m")
    try:
        hours = float(value)
    except ValueError:
        return parse_duration(value) / 3600
    if not math.isfinite(hours) or hours < 0:
        raise ValueError(f"{value!r} is not a time; it must be at least 0")
    return hours


def format_duration(seconds: float) -> str:
    """Write seconds shortly: ``0.8s``, ``45s``, ``14m52s``, ``1h06m``, ``2d03h``."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"


def format_usd(amount: float) -> str:
    """Return an amount as people write it, a small one with two digits that are not zeros: ``$0.0042``."""
    if 0 < abs(amount) < 0.0001:
        return "<$0.0001"
    digits = 2 if abs(amount) >= 0.095 or not amount else 1 - math.floor(math.log10(abs(amount)))
    return f"${amount:,.{digits}f}"
