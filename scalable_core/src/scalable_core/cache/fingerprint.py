"""The key of a call: 160 bits over everything that its result depends on, part by part.

What is in it: the name of the function; its declared version; its code and all that this reaches (see
`scalable_core.cache.reach`); the arguments, bound to the parameters' names; the image it runs in or, where
there is none, the versions of Python and of the packages that the code uses; whatever else the caller names
in ``environment``. What is not: files and services that the code opens by itself, time, chance.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_origin

from scalable_core.cache.decorator import (
    BYPASS,
    CacheOptions,
    DirType,
    FileType,
    is_wrapper,
    options_of,
)
from scalable_core.cache.encode import CODE, Encoder
from scalable_core.cache.files import FileDigests
from scalable_core.cache.functions import name_in
from scalable_core.cache.packages import versions_of
from scalable_core.cache.parts import Part, describe, digest_parts
from scalable_core.cache.reach import Code, code_of
from scalable_core.cache.uncacheable import Uncacheable

#: Changes when keys are computed in another way; results of before are then computed again.
_FORM = "1"

_files = FileDigests()


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The key of one call and what it was made from.

    Attributes:
        key: 40 hex digits.
        function: ``module.qualname``.
        code: 40 hex digits over ``shared``.
        shared: What its calls have in common: code, also that of the arguments' types, version, environment.
        own: The arguments of this call.
    """

    key: str
    function: str
    code: str
    shared: tuple[Part, ...] = field(repr=False)
    own: tuple[Part, ...] = field(repr=False)

    @property
    def parts(self) -> dict[str, Part]:
        """All parts by name, in order."""
        return {part.name: part for part in (*self.shared, *self.own)}

    def note(self, **more: Any) -> dict[str, Any]:
        """Return what goes into the metadata of the result, and ``more``, such as ``run``."""
        parts = [(part.name, part.digest, part.read()) for part in self.own]
        return {"function": self.function, "code": self.code, "parts": parts, **more}

    def code_parts(self) -> list[tuple[str, str, str]]:
        """Return name, digest and text of the shared parts, to be kept under ``code``."""
        return [(part.name, part.digest, part.read()) for part in self.shared]


def fingerprint(
    function: Callable[..., Any],
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    options: CacheOptions | None = None,
    environment: Mapping[str, str] | None = None,
    files: FileDigests | None = None,
) -> Fingerprint:
    """Return the key of one call.

    Args:
        function: A function, method, partial or callable object, decorated or not.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
        options: How it is cached; what `cacheable` said when None.
        environment: What else the result depends on, by name. ``image``, a digest, stands for the Python and
            the packages in it; without it the installed versions count.
        files: Remembers the digests of files.

    Raises:
        Uncacheable: A part cannot be computed deterministically; it says which.
    """
    keys = CallKeys(function, options=options, environment=environment, files=files)
    return keys.of(args, kwargs or {})


class CallKeys:
    """Computes the keys of many calls of one function, looking at its code once.

    Args:
        function: As for `fingerprint`.
        options: As for `fingerprint`.
        environment: As for `fingerprint`.
        files: As for `fingerprint`.

    Raises:
        Uncacheable: The function's code has no deterministic form.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        options: CacheOptions | None = None,
        environment: Mapping[str, str] | None = None,
        files: FileDigests | None = None,
    ) -> None:
        self._options = options or options_of(function) or CacheOptions()
        self._environment = tuple((environment or {}).items())
        self._content = (files or _files).digest
        self._target, self._before, self._named, by_type = _unfold(function)
        self._code = code_of(self._target, self._content)
        self._reached: dict[int, tuple[object, Code]] = {}
        self._signature = None if by_type else _signature(self._target)
        label = f"{self._target.__module__}.{self._target.__qualname__}"
        self.function = f"{label}.__call__" if by_type else label

    def of(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Fingerprint:
        """Return the key of one call.

        Raises:
            Uncacheable: An argument has no deterministic form.
        """
        named = {**self._named, **kwargs}
        named.pop(BYPASS, None)
        met: dict[str, Code] = {}
        own = [self._argument(*each, met) for each in self._bind((*self._before, *args), named)]
        shared, digest = _share(
            (self._code, *met.values()), self._environment, self._options.version
        )
        pairs = [("form", _FORM), ("function", self.function), ("shared", digest)]
        key = digest_parts([*pairs, *((part.name, part.digest) for part in own)])
        return Fingerprint(key, self.function, digest, shared, tuple(own))

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[tuple[str, Any]]:
        """Give each argument its parameter's name, however it was passed."""
        if self._signature is not None:
            try:
                bound = self._signature.bind(*args, **kwargs)
            except TypeError:
                pass  # the call will say what is wrong with it
            else:
                bound.apply_defaults()
                return list(bound.arguments.items())
        return [*((str(place), value) for place, value in enumerate(args)), *kwargs.items()]

    def _argument(self, name: str, value: Any, met: dict[str, Code]) -> Part:
        part = f"argument {name}"

        def token(code: Any) -> str:
            known = self._reached.get(id(code))
            if known is None:
                known = self._reached[id(code)] = code, code_of(code, self._content)
            found = known[1]
            label = f"{getattr(code, '__module__', '')}.{getattr(code, '__qualname__', code)}"
            if met.setdefault(label, found) is not found:
                label = f"{label} {found.digest}"  # another one of this name
                met[label] = found
            return f"{'project ' if found.parts else ''}{label}"

        try:
            declared = self._options.types.get(name)
            if declared is not None and _is_content(declared) and value is not None:
                return self._content_part(part, value)
            space = getattr(self._target, "__globals__", {})
            encoder = Encoder(token, self._content, functools.partial(name_in, space))
            digest = encoder.digest(value).hex()
        except Uncacheable as error:
            raise Uncacheable(error.part or part, error.reason, cure=error.cure) from None
        except Exception as error:  # whatever objects do when they are looked at
            raise Uncacheable(part, f"cannot be looked at: {error!r}") from error
        return Part(part, digest, functools.partial(describe, value))

    def _content_part(self, part: str, value: Any) -> Part:
        paths = list(value) if isinstance(value, (list, tuple)) else [value]
        found = []
        for path in paths:
            if "://" in str(path):
                raise Uncacheable(part, f"is {path}, whose content cannot be compared from here")
            found.append(self._content(Path(path)) or "missing")
        kind = type(value).__name__ if isinstance(value, (list, tuple)) else "path"
        digest = digest_parts([("content", kind), *(("file", each) for each in found)])
        said = ", ".join(f"{path} sha256:{each}" for path, each in zip(paths, found, strict=True))
        return Part(part.replace("argument", "file", 1), digest, said)


@functools.lru_cache(maxsize=256)
def _share(
    codes: tuple[Code, ...], environment: tuple[tuple[str, str], ...], version: str | None
) -> tuple[tuple[Part, ...], str]:
    """Return the parts that the calls of a function share, and a digest over them."""
    said = dict(environment)
    if "image" not in said:
        versions = versions_of(frozenset().union(*(code.packages for code in codes)))
        said |= {f"package {name}": number for name, number in versions.items()}
    if version is not None:
        said["version"] = version
    parts = [Part(name, digest_parts([(name, text)]), text) for name, text in said.items()]
    pairs = [("code", code.digest) for code in codes]
    pairs += [(part.name, part.digest) for part in parts]
    return (*_merge(codes), *parts), digest_parts(pairs)


def _merge(codes: tuple[Code, ...]) -> list[Part]:
    """Return the parts of several walks, those that are in more than one once."""
    merged: dict[str, Part] = {}
    for code in codes:
        for part in code.parts:
            known = merged.setdefault(part.name, part)
            if known.digest != part.digest:
                merged[f"{part.name} ({part.digest[:8]})"] = part
    return list(merged.values())


def _is_content(declared: Any) -> bool:
    if get_origin(declared) in (list, tuple):
        return any(_is_content(each) for each in get_args(declared))
    return declared in (FileType, DirType)


def _unfold(function: Any) -> tuple[Any, tuple[Any, ...], dict[str, Any], bool]:
    """Return the function proper, and what partials, methods and objects put before a call's arguments.

    The last is true for objects whose call is written in C: their type stands for the function.
    """
    before: tuple[Any, ...] = ()
    named: dict[str, Any] = {}
    while True:
        if is_wrapper(function):
            function = function.__wrapped__
        elif isinstance(function, functools.partial):
            before, named = (*function.args, *before), {**function.keywords, **named}
            function = function.func
        elif isinstance(function, types.MethodType):
            before = (function.__self__, *before)
            function = function.__func__
        elif isinstance(function, (type, *CODE)):
            return function, before, named, False
        else:
            before = (function, *before)
            call = type(function).__call__
            if not isinstance(call, types.FunctionType):  # written in C: the type stands for it
                return type(function), before, named, True
            function = call


@functools.lru_cache(maxsize=1024)
def _signature(function: Any) -> inspect.Signature | None:
    """Return the parameters as the function itself has them, whatever it wraps."""
    if not isinstance(function, (types.FunctionType, type)):
        function = getattr(
            function, "__wrapped__", function
        )  # functools.cache passes on what it gets
    try:
        return inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):
        return None
