"""One value to bytes that say its type and content, the same in every process, others for every other value.

Plain data, arrays, tables and any object that can be pickled are taken apart here, because Dask's tokens
collide: of two frames whose columns are swapped between blocks, of ``["a-b", "c"]`` and ``["a", "b-c"]`` as
arrays of strings, of a subclass of ``str`` that prints like another. Objects that speak Dask's protocol
(``__dask_tokenize__``, or `dask.tokenize.normalize_token` taught by others) are asked what counts of them.

Lists, dicts and objects that occur twice in one value are told from equal ones that occur once each; the
order of a dict counts, that of a set does not.
"""

from __future__ import annotations

import functools
import hashlib
import struct
import sys
import threading
import types
import typing
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any, Protocol

from scalable_core.cache.objects import (
    write_compiled,
    write_dask,
    write_object,
    write_sentinel,
    write_variable,
)
from scalable_core.cache.uncacheable import Uncacheable


class CodeToken(Protocol):
    """Names a piece of code (function, class, module, descriptor) that a value holds."""

    def __call__(self, code: Any, /) -> str:
        """Return what stands for it in the value; may raise `Uncacheable`."""


#: What is code, besides everything that is an instance of ``type``.
CODE = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodWrapperType,
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
    types.ModuleType,
    staticmethod,
    classmethod,
    property,
    functools.cached_property,
    type(functools.lru_cache(lambda: None)),
)
_INERT = (type(threading.Lock()), type(threading.RLock()))
_WRITTEN = frozenset({int, float, str, bool, type(None)})


class Encoder:
    """Encodes values; one instance for each value whose parts may refer to one another.

    Args:
        code: Names the code that is met.
        content: Gives the digest of the file or folder at a path; None when nothing is there.
        names: Finds a name for a bare ``object()``; None when it has none.

    Attributes:
        mutable: Something was met that may change in place.
    """

    def __init__(
        self,
        code: CodeToken,
        content: Callable[[Path], str | None],
        names: Callable[[object], str | None] = lambda sentinel: None,
    ) -> None:
        self.code = code
        self._content = content
        self._names = names
        self.mutable = False
        self._out: list[bytes] = []
        self._met: dict[int, tuple[int, object]] = {}

    def digest(self, value: object) -> bytes:
        """Return 20 bytes that stand for ``value``.

        Raises:
            Uncacheable: It holds something that has no deterministic form; ``part`` is empty.
        """
        try:
            self.add(value)
        except RecursionError:
            raise Uncacheable("", "is nested too deeply") from None
        return hashlib.blake2b(b"".join(self._out), digest_size=20).digest()

    def put(self, tag: bytes, payload: bytes = b"") -> None:
        """Write one leaf, its length before it."""
        self._out.append(b"%s%d:%s" % (tag, len(payload), payload))

    def refer(self, tag: bytes, code: Any) -> None:
        """Write what stands for a piece of code."""
        self.put(tag, self.code(code).encode("utf-8", "surrogatepass"))

    def add(self, value: Any) -> None:
        """Write ``value``."""
        kind = type(value)
        write = _WRITERS.get(kind)
        if write is None:
            write = _WRITERS[kind] = _find_writer(kind)
        write(self, value)

    def again(self, value: object) -> bool:
        """Remember something that can change in place; True when it was met before, which is then written."""
        self.mutable = True
        known = self._met.get(id(value))
        if known is None:
            self._met[id(value)] = len(self._met), value
            return False
        self.put(b"@", b"%d" % known[0])
        return True

    def alone(self, value: object) -> bytes:
        """Return the digest of a part whose place among its siblings does not count."""
        inner = Encoder(self.code, self._content, self._names)
        digest = inner.digest(value)
        self.mutable |= inner.mutable
        return digest

    def content(self, path: Path) -> str | None:
        """Return the digest of what is at ``path``, None when nothing is."""
        self.mutable = True
        return self._content(path)

    def name_of(self, sentinel: object) -> str:
        """Return the name by which a bare ``object()`` is known."""
        name = self._names(sentinel)
        if name is None:
            raise Uncacheable("", "holds a bare object(), which is equal to nothing but itself")
        return name


def _sequence(encoder: Encoder, value: Any) -> None:
    if type(value) is list and encoder.again(value):
        return
    tag = b"l" if type(value) is list else b"t"
    if len(value) > 4 and _WRITTEN.issuperset(map(type, value)):
        try:
            encoder.put(tag + b"r", repr(value).encode())
            return
        except ValueError:  # an int with more digits than Python likes to write
            pass
    encoder.put(tag, b"%d" % len(value))
    for item in value:
        encoder.add(item)


def _mapping(encoder: Encoder, value: Any) -> None:
    if encoder.again(value):
        return
    encoder.put(b"d" if type(value) is dict else b"dp", b"%d" % len(value))
    for key, item in value.items():
        encoder.add(key)
        encoder.add(item)


def _set(encoder: Encoder, value: Any) -> None:
    if type(value) is set and encoder.again(value):
        return
    tag = b"s" if type(value) is set else b"z"
    encoder.put(tag, b"".join(sorted(encoder.alone(item) for item in value)))


def _bytearray(encoder: Encoder, value: bytearray) -> None:
    if not encoder.again(value):
        encoder.put(b"y", bytes(value))


def _memoryview(encoder: Encoder, value: memoryview) -> None:
    encoder.mutable = True
    encoder.put(b"v", value.format.encode())
    encoder.add(value.shape)
    encoder.put(b"v", value.tobytes())


def _path(encoder: Encoder, value: PurePath) -> None:
    encoder.refer(b"p", type(value))
    encoder.put(b"p", str(value).encode("utf-8", "surrogateescape"))
    if isinstance(value, Path):
        encoder.put(b"p", (encoder.content(value) or "").encode())


def _method(encoder: Encoder, value: types.MethodType) -> None:
    encoder.put(b"m")
    encoder.add(value.__func__)
    encoder.add(value.__self__)


def _code(encoder: Encoder, value: Any) -> None:
    bound = getattr(value, "__self__", None)
    if isinstance(value, (types.BuiltinFunctionType, types.MethodWrapperType)) and not isinstance(
        bound, (types.ModuleType, type, types.NoneType)
    ):
        encoder.put(b"mb", value.__name__.encode())
        encoder.add(bound)
        return
    encoder.refer(b"c", value)


def _inert(encoder: Encoder, value: object) -> None:
    encoder.put(b"k", type(value).__name__.encode())


def _find_writer(kind: type) -> Callable[[Encoder, Any], None]:
    """Choose how the instances of one type are written."""
    if issubclass(kind, (type, *CODE)) or kind.__name__ == "cython_function_or_method":
        return _code
    if issubclass(kind, PurePath):
        return _path
    if hasattr(kind, "__dask_tokenize__"):
        return write_dask
    module = str(kind.__module__).partition(".")[0]
    if module == "numba":
        return write_compiled
    if module in ("numpy", "pandas"):
        from scalable_core.cache.tables import find_writer

        write = find_writer(kind)
        if write is not None:
            return write
    elif module not in sys.stdlib_module_names and _has_own_normalizer(kind):
        return write_dask
    return write_object


def _has_own_normalizer(kind: type) -> bool:
    """Say whether somebody else than Dask has taught Dask how to tokenize this type."""
    from dask.tokenize import normalize_token

    home: str = normalize_token.dispatch(kind).__module__
    return home.partition(".")[0] not in ("dask", "tlz", "toolz", "cytoolz")


_WRITERS: dict[type, Callable[[Encoder, Any], None]] = {
    type(None): lambda encoder, value: encoder.put(b"n"),
    type(...): lambda encoder, value: encoder.put(b"e"),
    type(NotImplemented): lambda encoder, value: encoder.put(b"ni"),
    bool: lambda encoder, value: encoder.put(b"b", b"1" if value else b"0"),
    int: lambda encoder, value: encoder.put(b"i", b"%x" % value),
    float: lambda encoder, value: encoder.put(b"f", struct.pack("<d", value)),
    complex: lambda encoder, value: encoder.put(b"x", struct.pack("<dd", value.real, value.imag)),
    str: lambda encoder, value: encoder.put(b"u", value.encode("utf-8", "surrogatepass")),
    bytes: lambda encoder, value: encoder.put(b"r", value),
    list: _sequence,
    tuple: _sequence,
    dict: _mapping,
    types.MappingProxyType: _mapping,
    set: _set,
    frozenset: _set,
    bytearray: _bytearray,
    memoryview: _memoryview,
    types.MethodType: _method,
    object: write_sentinel,
    typing.ForwardRef: lambda encoder, value: encoder.put(b"fr", repr(value).encode()),
    typing.TypeVar: write_variable,
    typing.ParamSpec: write_variable,
    **dict.fromkeys(_INERT, _inert),
}
