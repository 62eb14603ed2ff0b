"""A thing that is wrong or odd, with its place and its cure."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

Severity = Literal["error", "warning", "info"]


@frozen(kw_only=True)
class Problem:
    """One finding about a manifest, a target or a plan.

    Attributes:
        code: ``E....`` or ``W....``; stable, listed in the docs. ``I....`` with severity ``info``.
        message: One sentence, without place and without cure.
        where: Dotted path in the manifest, such as ``targets.aws.region``; a provider answers paths
            relative to its target (``region``) and the core puts the rest in front. `preflight` names what it
            looked at: ``credentials``, ``permissions``, ``quota``, ``image``, ``network``.
        cure: What mends it, as a sentence or a command.
        severity: ``error`` stops the command with exit code 2 or 3; ``warning`` is printed only; ``info``
            is no problem: something was looked at and is as it should be, which `scalable doctor` shows.
        file: The manifest's path as the user gave it.
        line: 1-based line, None when it has no place in a file.
        column: 1-based column.
    """

    code: str
    message: str
    where: str = ""
    cure: str | None = None
    severity: Severity = "error"
    file: str | None = None
    line: int | None = None
    column: int | None = None

    @property
    def place(self) -> str:
        """``scalable.yaml:12:5``, as far as it is known."""
        parts = [self.file or "", str(self.line or ""), str(self.column or "")]
        return ":".join(part for part in parts if part)

    def __str__(self) -> str:
        place = f"{self.place}  " if self.place else ""
        where = f"{self.where}: " if self.where else ""
        cure = f"; {self.cure}" if self.cure else ""
        return f"{place}{self.code}  {where}{self.message}{cure}"
