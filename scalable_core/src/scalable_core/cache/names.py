"""From a name in code to what it stands for: through globals, modules, and imports inside functions."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scalable_core.cache.bytecode import Chain
from scalable_core.cache.guards import MISSING, Guards
from scalable_core.cache.packages import Origin
from scalable_core.cache.uncacheable import Uncacheable

_DYNAMIC = frozenset({"eval", "exec", "globals", "__import__"})
_DYNAMIC_ATTRIBUTES = frozenset(
    {"importlib.import_module", "importlib.__import__", "sys.modules", "builtins.eval"}
)


@dataclass(frozen=True, slots=True)
class Named:
    """Something of the project's that a name stands for.

    Attributes:
        label: Where it is, such as ``helpers.LIMIT``.
        value: What it is.
        space: The globals among which it is found.
        attributes: Attributes of functions that are read on the way, as for ``value``.
    """

    label: str
    value: Any
    space: dict[str, Any]
    attributes: list[tuple[str, Any]] = field(default_factory=list)


class Names:
    """Resolves the names that code reads.

    Args:
        guards: Watch every name that was looked up.
        note: Says where a module comes from, and remembers the package that has it.
    """

    def __init__(self, guards: Guards, note: Callable[[str | None], Origin]) -> None:
        self._guards = guards
        self._note = note

    def resolve(self, owner: str, chain: Chain, space: dict[str, Any]) -> Named | str:
        """Return what a chain of names stands for; words that stand for it when it is not the project's.

        Args:
            owner: The part whose code it is.
            chain: The names.
            space: The globals of that code.

        Raises:
            Uncacheable: It cannot be known before the code runs.
        """
        if chain.level is not None:
            return self._resolve_import(owner, chain, space)
        value = self._guards.name(space, chain.name)
        if value is not MISSING:
            label = f"{space.get('__name__', '')}.{chain.name}"
            return self._follow(owner, Named(label, value, space), chain.attributes)
        if chain.name in _DYNAMIC:
            raise _dynamic(owner, f"{chain.name}()")
        return "builtin" if chain.name in _builtins(space) else "missing"

    def _resolve_import(self, owner: str, chain: Chain, space: dict[str, Any]) -> Named | str:
        name, attributes = chain.name, chain.attributes
        if chain.level:
            package = space.get("__package__") or str(space.get("__name__")).rpartition(".")[0]
            name = importlib.util.resolve_name("." * chain.level + name, package)
        if self._note(name) != "project":
            if ".".join((name, *attributes[:1])) in _DYNAMIC_ATTRIBUTES:
                raise _dynamic(owner, str(chain))
            return f"module {name}"
        module = _import(owner, name)
        self._guards.name(sys.modules, name)
        if attributes == ("__name__",):
            return f"module {name}"
        if attributes and attributes[0] not in vars(module) and hasattr(module, "__path__"):
            _import(owner, f"{name}.{attributes[0]}")
        return self._follow(owner, Named(name, module, space), attributes)

    def _follow(self, owner: str, start: Named, attributes: tuple[str, ...]) -> Named | str:
        """Go through modules to what is used in the end."""
        if "__subclasses__" in attributes:
            raise _dynamic(owner, "__subclasses__()")
        label, value, space = start.label, start.value, start.space
        for position, attribute in enumerate(attributes):
            if not isinstance(value, types.ModuleType):
                more = []
                if isinstance(value, types.FunctionType) and attribute in vars(value):
                    more.append((f"{label}.{attribute}", vars(value)[attribute]))
                return Named(label, value, space, more)
            if self._note(value.__name__) != "project":
                if f"{value.__name__}.{attribute}" in _DYNAMIC_ATTRIBUTES:
                    raise _dynamic(owner, f"{value.__name__}.{attribute}")
                return f"module {value.__name__}.{'.'.join(attributes[position:])}"
            label, space = f"{value.__name__}.{attribute}", vars(value)
            found = self._guards.name(space, attribute)
            if found is MISSING:
                if "__getattr__" in space:
                    raise _dynamic(owner, f"the __getattr__ of the module {value.__name__}")
                return "missing"
            value = found
        if label.endswith(".__file__") and isinstance(value, str):
            value = Path(value).name  # where the project lies does not count
        return Named(label, value, space)


def _import(owner: str, name: str) -> types.ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise Uncacheable(
            owner,
            f"imports {name}, which cannot be imported here to look at its code: {error}",
            cure="make it importable where the workflow runs",
        ) from None


def _builtins(space: dict[str, Any]) -> dict[str, Any]:
    found = space.get("__builtins__", {})
    return found if isinstance(found, dict) else vars(found)


def _dynamic(owner: str, what: str) -> Uncacheable:
    return Uncacheable(
        owner,
        f"uses {what}, so what it reaches cannot be known before it runs",
        cure="name what it needs in an import statement, or in a table of functions",
    )
