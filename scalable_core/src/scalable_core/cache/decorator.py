"""`cacheable` marks a function whose results may be kept. Standard library only: workers import this too."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar, overload

from scalable_core.errors import UsageError

P = ParamSpec("P")
R = TypeVar("R")

#: The one attribute that a decorated function carries.
ATTRIBUTE = "__scalable_cache__"
#: The keyword with which one call says that it wants nothing to do with the cache.
BYPASS = "_cache_bypass"


class FileType:
    """The type of a parameter that names a file: its content counts, its path does not."""


class DirType:
    """The type of a parameter that names a folder: the names and contents below it count, its path does not."""


@dataclass(frozen=True, kw_only=True)
class CacheOptions:
    """How the results of one function are kept.

    Attributes:
        return_type: The type that the function says it returns; for the reader.
        types: Parameter name to its declared type; `FileType`, `DirType` and lists of them
            (``list[FileType]``) change how the argument is read, others are for the reader.
        version: Part of the key; change it to leave all results so far behind.
        recompute: Compute again and replace what is there.
    """

    return_type: Any = None
    types: Mapping[str, Any] = field(default_factory=dict)
    version: str | None = None
    recompute: bool = False


@overload
def cacheable(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def cacheable(
    *,
    return_type: Any = ...,
    version: str | int | None = ...,
    recompute: bool = ...,
    **types: Any,
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def cacheable(
    function: Callable[..., Any] | None = None,
    /,
    *,
    return_type: Any = None,
    version: str | int | None = None,
    recompute: bool = False,
    **types: Any,
) -> Any:
    """Let a client keep the results of a function and reuse them while code and arguments are the same.

    Use it bare or with arguments. The function itself is unchanged: called directly it runs. A call that
    is submitted is looked up first. ``_cache_bypass=True`` in a call leaves the cache out of it.

    Args:
        function: The function, when used bare.
        return_type: The type it returns; for the reader.
        version: Part of the key; change it when something the key cannot see has changed.
        recompute: Compute every call again and replace what is kept.
        **types: Parameter name to type; `FileType` and `DirType` make the content count.

    Raises:
        UsageError: This is not a function, or a declared parameter is not one of its own.
    """
    options = CacheOptions(
        return_type=return_type,
        types=types,
        version=None if version is None else str(version),
        recompute=recompute,
    )
    if function is not None:
        return _decorate(function, options)
    return lambda function: _decorate(function, options)


def _decorate(function: Callable[..., Any], options: CacheOptions) -> Callable[..., Any]:
    if isinstance(function, (staticmethod, classmethod)):
        raise UsageError(
            f"@cacheable cannot be put on top of @{type(function).__name__}",
            cure=f"put @{type(function).__name__} on top and @cacheable under it",
        )
    if not callable(function) or isinstance(function, type):
        raise UsageError(
            f"@cacheable marks functions, not {function!r}",
            cure="write @cacheable, or @cacheable(return_type=dict) with the names spelled out",
        )
    _check_names(function, options)
    wrapper = (_wrap_coroutine if inspect.iscoroutinefunction(function) else _wrap)(function)
    setattr(wrapper, ATTRIBUTE, options)
    return wrapper


def _wrap(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, _cache_bypass: bool = False, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return call


def _wrap_coroutine(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def call(*args: Any, _cache_bypass: bool = False, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    return call


_WRAPPERS = frozenset(
    constant
    for wrap in (_wrap, _wrap_coroutine)
    for constant in wrap.__code__.co_consts
    if inspect.iscode(constant)
)


def _check_names(function: Callable[..., Any], options: CacheOptions) -> None:
    if not options.types:
        return
    parameters = inspect.signature(function).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    for name in options.types:
        if name not in parameters:
            raise UsageError(
                f"@cacheable declares {name!r}, which is no parameter of {function.__qualname__}()",
                cure=f"its parameters are: {', '.join(parameters) or 'none'}",
            )


def is_wrapper(function: object) -> bool:
    """Say whether this very function object is what `cacheable` made, not something around it."""
    return getattr(function, "__code__", None) in _WRAPPERS and hasattr(function, ATTRIBUTE)


def options_of(function: object) -> CacheOptions | None:
    """Return the options of a function that `cacheable` has marked, also through a partial; None of others."""
    while isinstance(function, functools.partial):
        function = function.func
    options = getattr(function, ATTRIBUTE, None)
    return options if isinstance(options, CacheOptions) else None


def take_bypass(kwargs: dict[str, Any]) -> bool:
    """Take ``_cache_bypass`` out of a call's arguments and say whether it was true."""
    return bool(kwargs.pop(BYPASS, False))
