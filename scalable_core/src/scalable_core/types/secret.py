"""A value that must never be written or printed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final


@final
class Secret:
    """A text that came from ``${VAR}`` or belongs to an option marked secret.

    It has no ``str`` of its own: printing, logging and JSON show ``template``, which names the variable
    and not the value. ``reveal()`` is called only where the value is handed to a process or a service.

    Attributes:
        template: The text as the manifest has it, such as ``${API_TOKEN}``; ``***`` when it was
            written into the manifest in plain text.
    """

    __slots__ = ("_value", "template")

    def __init__(self, value: str, *, template: str = "***") -> None:
        self._value = value
        self.template = template

    def reveal(self) -> str:
        """Return the text itself."""
        return self._value

    def __str__(self) -> str:
        return self.template

    def __repr__(self) -> str:
        return f"Secret({self.template!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return (self._value, self.template) == (other._value, other.template)

    def __hash__(self) -> int:
        return hash(self.template)


def reveal(env: Mapping[str, str | Secret]) -> dict[str, str]:
    """Return ``env`` with the texts themselves, for the process that is about to be started."""
    return {
        name: value.reveal() if isinstance(value, Secret) else value for name, value in env.items()
    }
