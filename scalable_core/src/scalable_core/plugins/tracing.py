"""``SCALABLE_TRACE_HOOKS=1``: every hook call with its arguments, implementations and answer in the log."""

from __future__ import annotations

import logging
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import pluggy

_log = logging.getLogger("scalable.hooks")


def trace_hooks(pm: pluggy.PluginManager) -> None:
    """Log every call of ``pm`` to ``scalable.hooks``, on stderr when nothing else takes the log."""
    _log.setLevel(logging.DEBUG)
    if not _log.hasHandlers():
        _log.addHandler(logging.StreamHandler())
    pm.add_hookcall_monitoring(_before, _after)


def _before(hook: str, impls: Sequence[pluggy.HookImpl], arguments: Mapping[str, Any]) -> None:
    given = ", ".join(f"{name}={_brief.repr(value)}" for name, value in arguments.items())
    heard = ", ".join(f"{impl.plugin_name}{' (wraps)' * impl.wrapper}" for impl in reversed(impls))
    _log.debug("%s(%s) -> %s", hook, given, heard or "nobody")


def _after(
    outcome: pluggy.Result[Any],
    hook: str,
    impls: Sequence[pluggy.HookImpl],
    arguments: Mapping[str, Any],
) -> None:
    error = outcome.exception
    # Only the type: what a service says in an error may hold anything.
    said = f"raised {type(error).__name__}" if error else f"= {_brief.repr(outcome.get_result())}"
    _log.debug("%s() %s", hook, said)


class _Brief(reprlib.Repr):
    """Short forms of records; `Secret` shows its template, contents of artifacts their length."""

    def __init__(self) -> None:
        super().__init__()
        self.maxother = self.maxstring = 60
        self.maxlevel = 3

    def repr_bytes(self, value: bytes, level: int) -> str:
        return f"<{len(value)} bytes>"

    def repr_instance(self, value: Any, level: int) -> str:
        if isinstance(value, type) or not attrs.has(type(value)):
            return super().repr_instance(value, level)
        name = type(value).__name__
        if level <= 0:
            return f"{name}(...)"
        items = attrs.asdict(value, recurse=False).items()
        shown = (f"{key}={self.repr1(item, level - 1)}" for key, item in items if item is not None)
        return f"{name}({', '.join(shown)})"


_brief = _Brief()
