"""Times, sizes and sums of money as they are typed."""

from __future__ import annotations

import math
from typing import Any

import click


class Hours(click.ParamType[float]):
    """A time in hours: ``2``, ``0.5``, or with a unit of its own as in ``90m``."""

    name = "hours"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the hours."""
        from scalable_core.types.units import parse_hours

        try:
            hours = parse_hours(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if hours <= 0:
            self.fail(f"{value!r} is not a time; it must be above 0", param, ctx)
        return hours


class Size(click.ParamType[int]):
    """A size in bytes: ``50GB``."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the bytes."""
        from scalable_core.types.units import parse_size

        try:
            return parse_size(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Dollars(click.ParamType[float]):
    """A sum of money in USD: ``50``, ``0.5`` or ``$50``."""

    name = "dollars"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the dollars."""
        try:
            dollars = float(str(value).removeprefix("$").replace(",", ""))
        except ValueError:
            dollars = math.nan
        if not (math.isfinite(dollars) and dollars > 0):
            self.fail(f"{value!r} is not a sum of money; write for example 50", param, ctx)
        return dollars
