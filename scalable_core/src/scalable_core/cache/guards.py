"""Whether what was found when code was walked is still what is there, in a few microseconds."""

from __future__ import annotations

import operator
import types
from collections.abc import Callable, Mapping
from typing import Any

from scalable_core.cache.sources import State, state_of

#: What stands in a guard for a name that was not there.
MISSING = object()


class Guards:
    """Everything that was looked at, and how it was.

    Names are compared by identity; what can change in place is encoded again.
    """

    def __init__(self) -> None:
        self._names: list[tuple[Mapping[str, Any], str, object]] = []
        self._functions: list[tuple[types.FunctionType, object, object, object]] = []
        self._cells: list[tuple[types.CellType, object]] = []
        self._spaces: list[tuple[Any, tuple[object, ...]]] = []
        self._files: dict[str, State] = {}
        self._values: list[tuple[Callable[[], bytes], bytes]] = []

    def name(self, space: Mapping[str, Any], name: str) -> Any:
        """Return what a name stands for, `MISSING` when for nothing, and watch it."""
        value = space.get(name, MISSING)
        self._names.append((space, name, value))
        return value

    def function(self, function: types.FunctionType) -> None:
        """Watch the code, the defaults and the closure of a function."""
        inside = function.__code__, function.__defaults__, function.__kwdefaults__
        self._functions.append((function, *inside))
        self._cells += [(cell, contents(cell)) for cell in function.__closure__ or ()]

    def space(self, owner: Any) -> None:
        """Watch all names of a class or a module."""
        self._spaces.append((owner, tuple(vars(owner).values())))

    def file(self, filename: str) -> None:
        """Watch a source file."""
        self._files[filename] = state_of(filename)

    def value(self, encode: Callable[[], bytes], digest: bytes) -> None:
        """Watch a value that can change in place."""
        self._values.append((encode, digest))

    def hold(self) -> bool:
        """Say whether everything is as it was."""
        for space, name, value in self._names:
            if space.get(name, MISSING) is not value:
                return False
        for function, code, defaults, named in self._functions:
            if (
                function.__code__ is not code
                or function.__defaults__ is not defaults
                or function.__kwdefaults__ is not named
            ):
                return False
        for cell, value in self._cells:
            if contents(cell) is not value:
                return False
        for owner, values in self._spaces:
            now = vars(owner).values()
            if len(now) != len(values) or not all(map(operator.is_, now, values)):
                return False
        for filename, state in self._files.items():
            if state_of(filename) != state:
                return False
        return all(encode() == digest for encode, digest in self._values)


def contents(cell: types.CellType) -> object:
    """Return what a closure's cell holds; `MISSING` when it is empty."""
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING
