"""What can be told of a function without looking at its code."""

from __future__ import annotations

import functools
import importlib.machinery
import sys
import types
from typing import Any

from scalable_core.cache.packages import origin_of_module


def label_of(code: Any) -> str:
    """Return the name of a function or a class, with its module."""
    return f"{code.__module__}.{code.__qualname__}"


def functions_in(code: Any) -> list[Any]:
    """Return the functions that a descriptor or a cache is made of."""
    if isinstance(code, property):
        found = [code.fget, code.fset, code.fdel]
    elif isinstance(code, functools.cached_property):
        found = [code.func]
    else:
        found = [getattr(code, "__wrapped__", None) or getattr(code, "__func__", None)]
    return [each for each in found if each is not None]


def is_published(function: types.FunctionType) -> bool:
    """Say whether a function is found in a module of its package under its own name."""
    module = sys.modules.get(function.__module__ or "")
    if module is None or origin_of_module(function.__module__) == "project":
        return False
    found: Any = module
    for name in function.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is function


def is_imported(function: types.FunctionType) -> bool:
    """Say whether workers get a function by importing the very file that it was loaded from."""
    name = function.__globals__.get("__name__")
    module = sys.modules.get(name) if isinstance(name, str) and name != "__main__" else None
    loader = getattr(getattr(module, "__spec__", None), "loader", None)
    return (
        type(loader) is importlib.machinery.SourceFileLoader
        and getattr(module, "__file__", None) == function.__code__.co_filename
    )


def name_in(space: dict[str, Any], sentinel: object) -> str | None:
    """Return the global name of a bare ``object()``, by which it is told from others."""
    found = next((name for name, value in space.items() if value is sentinel), None)
    return None if found is None else f"{space.get('__name__')}.{found}"
