"""What a function reaches: its own code, the project's functions and classes, the values they read, packages.

The code that counts is the code that is loaded. Where it is also what its file says now, it is compared in a
form that no comment or layout changes; a file that was edited after it was imported makes a call uncacheable,
because workers would import something else than was looked at here.
"""

from __future__ import annotations

import functools
import sys
import threading
import types
import weakref
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalable_core.cache.bytecode import chains, normal_form
from scalable_core.cache.decorator import ATTRIBUTE, is_wrapper
from scalable_core.cache.encode import CODE, Encoder
from scalable_core.cache.functions import (
    functions_in,
    is_imported,
    is_published,
    label_of,
    name_in,
)
from scalable_core.cache.guards import MISSING, Guards, contents
from scalable_core.cache.names import Named, Names
from scalable_core.cache.packages import Origin, distribution_of, origin_of_file, origin_of_module
from scalable_core.cache.parts import Part, describe, digest_parts
from scalable_core.cache.sources import source_file
from scalable_core.cache.uncacheable import Uncacheable

Content = Callable[[Path], str | None]

#: Names of a class that say nothing of what it does, or that follow from the others.
_UNTOLD = frozenset(
    "__doc__ __module__ __dict__ __weakref__ __firstlineno__ __static_attributes__ __slotnames__ _abc_impl"
    " __abstractmethods__ __annotations_cache__ __annotate__ __annotate_func__ __classcell__"
    " __signature__ __pydantic_core_schema__ __pydantic_serializer__ __pydantic_validator__".split()
)
_WEAK = (weakref.WeakKeyDictionary, weakref.WeakValueDictionary, weakref.WeakSet)


@dataclass(frozen=True, slots=True, eq=False)
class Code:
    """All that one function, class or module reaches.

    Attributes:
        digest: 40 hex digits over all parts.
        parts: In the order in which they were found; the first is the code asked for.
        packages: Top-level names of the modules of installed packages.
    """

    digest: str
    parts: tuple[Part, ...]
    packages: frozenset[str]


_memo: OrderedDict[int, tuple[object, Guards, Code | Uncacheable]] = OrderedDict()
_lock = threading.RLock()


def code_of(root: Any, content: Content) -> Code:
    """Return what a function, a class or a module reaches, as it is now.

    Args:
        root: The function, class or module.
        content: Gives the digest of a file.

    Raises:
        Uncacheable: A part of it has no deterministic form.
    """
    with _lock:
        known = _memo.get(id(root))
        if known is None or not known[1].hold():
            walk = _Walk(content)
            found: Code | Uncacheable
            try:
                found = walk.run(root)
            except Uncacheable as error:
                found = error.with_traceback(None)
            except Exception as error:  # whatever the project's objects do when they are looked at
                found = Uncacheable(f"code {root!r}", f"cannot be looked at: {error!r}")
            known = _memo[id(root)] = root, walk.guards, found
            if len(_memo) > 256:
                _memo.popitem(last=False)
        _memo.move_to_end(id(root))
    if isinstance(known[2], Uncacheable):
        raise known[2]
    return known[2]


class _Walk:
    """One walk from one root. Names stand for what they name in digests, so that circles end."""

    def __init__(self, content: Content) -> None:
        self.guards = Guards()
        self._content = content
        self._names = Names(self.guards, self._note)
        self._parts: dict[str, Part] = {}
        self._packages: set[str] = set()
        self._tokens: dict[int, str] = {}
        self._kept: list[object] = []
        self._named: dict[str, object] = {}
        self._taken: Counter[str] = Counter()
        self._waiting: deque[Callable[[], None]] = deque()

    def run(self, root: Any) -> Code:
        """Walk until nothing new is met."""
        pairs = [("root", self._token(root))]
        while self._waiting:
            self._waiting.popleft()()
        parts = tuple(self._parts.values())
        pairs += [(part.name, part.digest) for part in parts]
        return Code(digest_parts(pairs), parts, frozenset(self._packages))

    # What stands for code in a digest

    def _token(self, code: Any) -> str:
        """Return what stands for a piece of code, and have it looked at."""
        known = self._tokens.get(id(code))
        if known is None:
            self._kept.append(code)
            known = self._tokens[id(code)] = self._new_token(code)
        return known

    def _new_token(self, code: Any) -> str:
        if isinstance(code, types.FunctionType):
            return self._function_token(code)
        if isinstance(code, (type, types.ModuleType)):
            is_class = isinstance(code, type)
            name = f"class {label_of(code)}" if is_class else f"module {code.__name__}"
            if self._note(code.__module__ if is_class else code.__name__) != "project":
                return name
            return self._wait(name, code, self._look_at_class if is_class else self._look_at_module)
        inner = functions_in(code)
        if inner:
            return " ".join([type(code).__name__, *map(self._token, inner)])
        owner = getattr(code, "__objclass__", None) or getattr(code, "__self__", None)
        homes = [getattr(each, "__module__", None) for each in (code, owner)]
        module = next((home for home in homes if isinstance(home, str)), "builtins")
        self._note(module)
        return f"{type(code).__name__} {module} {getattr(code, '__qualname__', code)}"

    def _function_token(self, function: types.FunctionType) -> str:
        if is_wrapper(function):
            version = getattr(function, ATTRIBUTE).version
            return f"{self._token(function.__dict__['__wrapped__'])} version {version!r}"
        home = function.__globals__.get("__name__")
        known = isinstance(home, str) and home in sys.modules
        file = function.__code__.co_filename
        name = f"code {label_of(function)}"
        if file.startswith(
            "<attrs generated"
        ):  # follows from the fields; holds a hash that is random
            self._note("attr")
            return f"generated {label_of(function)}"
        if (origin_of_module(home) if known else origin_of_file(file)) == "project":
            self._note(home if known else None)
            return self._wait(name, function, self._look_at_function)
        self._note(home)
        if is_published(function):
            return f"function {label_of(function)}"
        return self._wait(name, function, self._look_at_foreign)

    def _wait(self, name: str, code: Any, look: Callable[[str, Any], None]) -> str:
        self._taken[name] += 1
        if self._taken[name] > 1:
            name = f"{name} #{self._taken[name]}"
        self._waiting.append(functools.partial(look, name, code))
        return f"project {name}"

    def _note(self, module: str | None) -> Origin:
        """Say where a module comes from and remember the package that has it."""
        origin = origin_of_module(module)
        top = (module or "").partition(".")[0]
        if origin == "package" or (origin == "project" and top and distribution_of(top)):
            self._packages.add(top)
        return origin

    # Functions

    def _look_at_function(self, name: str, function: types.FunctionType) -> None:
        self.guards.function(function)
        form, text = self._form(name, function)
        pairs: list[tuple[str, str | bytes]] = [("form", form)]
        for chain in chains(function.__code__):
            found = self._names.resolve(name, chain, function.__globals__)
            pairs.append((str(chain), found if isinstance(found, str) else self._read(found)))
        pairs.append(("annotations", self._annotations(function)))
        self._parts[name] = Part(name, digest_parts(pairs), text)
        self._look_inside(name, function)

    def _look_at_foreign(self, name: str, function: types.FunctionType) -> None:
        """What a package has made for the project, as decorators do: what it closes over counts."""
        self.guards.function(function)
        self._parts[name] = Part(name, digest_parts([("foreign", label_of(function))]))
        self._look_inside(name, function, skip=_WEAK)
        wrapped = function.__dict__.get("__wrapped__")
        if wrapped is not None:
            self._token(wrapped)

    def _look_inside(
        self, name: str, function: types.FunctionType, skip: tuple[type, ...] = ()
    ) -> None:
        """Look at the values that a function carries: defaults and closure."""
        label, space, code = name.removeprefix("code "), function.__globals__, function.__code__
        defaults = function.__defaults__ or ()
        last = code.co_varnames[: code.co_argcount][code.co_argcount - len(defaults) :]
        values = dict(zip(last, defaults, strict=True)) | (function.__kwdefaults__ or {})
        for parameter, value in values.items():
            self._value(f"default {label}.{parameter}", value, space)
        for variable, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            value = contents(cell)
            if value is not MISSING and not isinstance(value, skip):
                self._value(f"closure {label}.{variable}", value, space)

    def _form(self, name: str, function: types.FunctionType) -> tuple[bytes, Callable[[], str]]:
        """Return the comparable form of a function's code, and what gives its source."""
        code = function.__code__
        self.guards.file(code.co_filename)
        source = source_file(code.co_filename)
        written = source.find(code) if source is not None else None
        if source is not None and written is None and is_imported(function):
            raise Uncacheable(
                name,
                f"was changed in {code.co_filename} after it was imported",
                cure="start the workflow again, so that it runs what the file says now",
            )
        canonical = source.canonical(written) if source is not None and written else None
        if source is None or written is None or canonical is None:
            form = normal_form(code)
            return b"bytecode " + form, functools.partial(form.decode, errors="replace")
        return b"source " + canonical, functools.partial(source.text, written)

    def _annotations(self, function: types.FunctionType) -> bytes:
        try:
            return self._encode(function.__annotations__, function.__globals__)[0]
        except Exception:  # annotations may name what is not there
            return b""

    # Values

    def _read(self, found: Named) -> str:
        for label, value in found.attributes:
            self._value(f"global {label}", value, found.space)
        return self._value(f"global {found.label}", found.value, found.space)

    def _value(self, name: str, value: Any, space: dict[str, Any]) -> str:
        """Have a value looked at that code finds by a name; return what stands for it."""
        if isinstance(value, (type, *CODE)):
            return f"{name} {self._token(value)}"
        if self._named.setdefault(name, value) is not value:
            self._taken[name] += 1  # two modules of one name, as when a file is run twice
            name = f"{name} #{self._taken[name] + 1}"
        if name not in self._parts:
            self._parts[name] = Part(name, self._watch(name, value, space).hex(), describe(value))
        return name

    def _watch(self, name: str, value: Any, space: dict[str, Any], *, fixed: bool = False) -> bytes:
        """Return the digest of a value, and watch it when it can change in place."""
        try:
            digest, mutable = self._encode(value, space)
        except Uncacheable as error:
            raise Uncacheable(error.part or name, error.reason, cure=error.cure) from None
        if mutable and not fixed:
            self.guards.value(functools.partial(self._encode_again, value, space), digest)
        return digest

    def _encode(self, value: Any, space: dict[str, Any]) -> tuple[bytes, bool]:
        encoder = Encoder(self._token, self._file, functools.partial(name_in, space))
        return encoder.digest(value), encoder.mutable

    def _encode_again(self, value: Any, space: dict[str, Any]) -> bytes:
        def known(code: Any) -> str:
            return self._tokens.get(id(code), "new")

        try:
            return Encoder(known, self._file, functools.partial(name_in, space)).digest(value)
        except Uncacheable:
            return b""

    def _file(self, path: Path) -> str | None:
        """A file that code knows by a global name counts by its content; a folder would be too much."""
        return self._content(path) if path.is_file() else None

    # Classes and modules

    def _look_at_class(self, name: str, cls: type) -> None:
        self.guards.space(cls)
        bases = [self._token(base) for base in (type(cls), *cls.__bases__)]
        members = list(self._members(name, vars(cls), vars(sys.modules.get(cls.__module__, types))))
        text = [f"bases: {', '.join(bases[1:])}", *(f"{key}: {said}" for key, _, said in members)]
        pairs = [("bases", " ".join(bases)), *((key, digest) for key, digest, _ in members)]
        self._parts[name] = Part(name, digest_parts(pairs), "\n".join(text))

    def _members(
        self, name: str, members: Mapping[str, Any], space: dict[str, Any]
    ) -> list[tuple[str, str, str]]:
        """Return name, digest and text of each member of a class, in the order of their names."""
        found = []
        for key, value in sorted(members.items()):
            if isinstance(value, (type, *CODE)) and key not in _UNTOLD:
                found.append((key, self._token(value), self._token(value)))
            elif key not in _UNTOLD:
                fixed = key.startswith("_") and key.endswith("_")  # dataclass fields, enum members
                digest = self._watch(f"{name}.{key}", value, space, fixed=fixed)
                found.append((key, digest.hex(), describe(value)))
        return found

    def _look_at_module(self, name: str, module: types.ModuleType) -> None:
        """A module that is used as a whole, as by getattr: everything in it counts."""
        self.guards.space(module)
        self._parts[name] = Part(name, digest_parts([("module", module.__name__)]))
        for key, value in sorted(vars(module).items()):
            if not (key.startswith("__") and key.endswith("__")):
                self._value(f"global {module.__name__}.{key}", value, vars(module))
