"""Objects to bytes: taken apart as pickle does, or asked by Dask's protocol what counts of them."""

from __future__ import annotations

import copyreg
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from scalable_core.cache.uncacheable import Uncacheable

if TYPE_CHECKING:
    from scalable_core.cache.encode import Encoder


def write_sentinel(encoder: Encoder, value: object) -> None:
    """Write a bare ``object()`` by its name."""
    encoder.put(b"o", encoder.name_of(value).encode())


def write_variable(encoder: Encoder, value: Any) -> None:
    """Write a type variable."""
    encoder.put(b"w", type(value).__name__.encode())
    encoder.put(b"w", repr(value).encode())
    encoder.add(getattr(value, "__bound__", None))
    encoder.add(getattr(value, "__constraints__", ()))


def write_dask(encoder: Encoder, value: Any) -> None:
    """Write what an object says to Dask of itself, in this module's own form."""
    import dask
    from dask.tokenize import TokenizationError, normalize_token

    if encoder.again(value):
        return
    try:
        with dask.config.set({"tokenize.ensure-deterministic": True}):
            said = normalize_token(value)
    except TokenizationError as error:
        raise Uncacheable("", f"holds {_named(value)}: {_first_line(error)}") from None
    encoder.refer(b"D", type(value))
    encoder.add(said)


def write_object(encoder: Encoder, value: Any) -> None:
    """Take an object apart as pickle does, which is what a worker would get to see of it."""
    if encoder.again(value):
        return
    kind = type(value)
    try:
        reduce: Callable[[Any], Any] | None = copyreg.dispatch_table.get(kind)
        parts: Any = reduce(value) if reduce else value.__reduce_ex__(4)
    except RecursionError:
        raise
    except Exception as error:
        raise Uncacheable("", f"holds {_named(value)}: {_first_line(error)}") from None
    encoder.refer(b"O", kind)
    if isinstance(parts, str):
        home = getattr(value, "__module__", None) or kind.__module__
        if encoder.code(kind).startswith("project"):
            raise Uncacheable("", f"holds {_named(value)}, which is only known by its name {parts}")
        encoder.put(b"g", f"{home}:{parts}".encode())
        return
    taken: list[Any] = list(parts)
    make, arguments, state, items, pairs, setter = taken + [None] * (6 - len(taken))
    for part in (make, arguments, state, setter):
        encoder.add(part)
    encoder.add(None if items is None else list(items))
    encoder.add(None if pairs is None else list(pairs))


def write_compiled(encoder: Encoder, value: Any) -> None:
    """Write a function that numba has compiled as the one it was compiled from."""
    plain = getattr(value, "py_func", None)
    if plain is None:
        write_object(encoder, value)
    else:
        encoder.refer(b"j", plain)
        encoder.add(getattr(value, "targetoptions", None))


def _named(value: object) -> str:
    return f"a {type(value).__module__}.{type(value).__qualname__}"


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
