"""What a team allows."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

from attrs import field, frozen

from scalable_core.errors import UsageError

#: Where the limits stand when nothing else is said.
SITE = Path("/etc/scalable/budget.toml")
#: The variable that names another file.
VARIABLE = "SCALABLE_BUDGET_FILE"

_KNOWN = {"limit", "allow_unknown", "projects"}


@frozen(kw_only=True)
class Limits:
    """What one run may cost.

    Attributes:
        limit: USD; None for no limit.
        allow_unknown: Plans may have prices that nobody knows.
        projects: Project to its own limit in USD.
    """

    limit: float | None = None
    allow_unknown: bool = False
    projects: Mapping[str, float] = field(factory=dict)

    def of(self, project: str) -> float | None:
        """Return the limit of a project in USD; None for no limit."""
        return self.projects.get(project, self.limit)


def read_limits(environ: Mapping[str, str] = os.environ) -> Limits:
    """Return the limits that hold here.

    Raises:
        UsageError: The file that is named is not there, or is not such a file.
    """
    named = environ.get(VARIABLE)
    path = Path(named) if named else SITE
    if not named and not path.exists():
        return Limits()
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"the limits in {path} cannot be read: {error}") from error
    amounts = {"limit": data.get("limit"), **data.get("projects", {})}
    wrong = [*set(data) - _KNOWN, *(name for name, usd in amounts.items() if not _is_amount(usd))]
    if wrong:
        raise UsageError(
            f"the limits in {path} make no sense: {', '.join(sorted(wrong))}",
            cure="write limit = 50.0, allow_unknown = false, and [projects] with an amount for each",
        )
    return Limits(**data)


def _is_amount(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
