"""What a code object does and which names it reads, whatever its line numbers, comments and docstrings are."""

from __future__ import annotations

import dis
import functools
import inspect
import itertools
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_SILENT = frozenset({"NOP", "EXTENDED_ARG", "CACHE"})
_JUMPS = frozenset(dis.hasjrel) | frozenset(dis.hasjabs)
_CONSTANTS = frozenset(dis.hasconst)
_GLOBALS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
_ATTRIBUTES = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
#: Names that a class body stores and that say nothing of what it does.
_UNTOLD = frozenset({"__doc__", "__firstlineno__", "__static_attributes__"})
#: ``from __future__ import annotations`` is inherited by `exec`, and a docstring is flagged.
_FLAGS = ~(0x1000000 | 0x4000000)


@dataclass(frozen=True, slots=True)
class Chain:
    """One way in which code reaches something by name.

    Attributes:
        name: The global name, or the module that is imported.
        attributes: What is read of it, and of that, in turn.
        level: None for a global name; the number of leading dots for an import inside a function.
    """

    name: str
    attributes: tuple[str, ...] = ()
    level: int | None = None

    def __str__(self) -> str:
        return ".".join((self.name, *self.attributes))


@functools.lru_cache(maxsize=4096)
def normal_form(code: types.CodeType) -> bytes:
    """Return bytes that are equal for code objects that do the same, instruction by instruction."""
    return "\n".join(_lines(code)).encode("utf-8", "surrogatepass")


def _lines(code: types.CodeType) -> Iterator[str]:
    instructions = list(dis.get_instructions(code))
    kept = _without_untold(instructions)
    place: dict[int, int] = {}
    count = 0
    for instruction in instructions:
        place[instruction.offset] = count
        count += instruction.offset in kept
    yield (
        f"code {code.co_argcount} {code.co_posonlyargcount} {code.co_kwonlyargcount}"
        f" {code.co_flags & _FLAGS} {code.co_varnames} {code.co_freevars} {code.co_cellvars}"
    )
    for instruction in instructions:
        if instruction.offset not in kept:
            continue
        if instruction.opcode in _JUMPS:
            yield f"{instruction.opname} {place.get(instruction.argval, count)}"
        elif instruction.opcode in _CONSTANTS:
            yield f"{instruction.opname} {_constant(instruction.argval)}"
        else:
            yield f"{instruction.opname} {instruction.argval!r} {instruction.argrepr}"
    for entry in getattr(dis.Bytecode(code), "exception_entries", ()):
        bounds = [place.get(offset, count) for offset in (entry.start, entry.end, entry.target)]
        yield f"except {bounds} {entry.depth} {entry.lasti}"


def _without_untold(instructions: Sequence[dis.Instruction]) -> set[int]:
    """Return the offsets of all but what does nothing, docstrings and line numbers of class bodies."""
    kept = {each.offset for each in instructions if each.opname not in _SILENT}
    for before, store in itertools.pairwise(instructions):
        if store.opname == "STORE_NAME" and store.argval in _UNTOLD:
            kept -= {before.offset, store.offset}
    return kept


def _constant(value: Any) -> str:
    if isinstance(value, types.CodeType):
        return "{" + "\n".join(_lines(value)) + "}"
    if isinstance(value, (tuple, frozenset)):
        items = [_constant(item) for item in value]
        return f"{type(value).__name__}({', '.join(sorted(items) if isinstance(value, frozenset) else items)})"
    return f"{type(value).__name__} {value!r}"


@functools.lru_cache(maxsize=4096)
def chains(code: types.CodeType) -> tuple[Chain, ...]:
    """Return what code, and the code inside it, reads by global name or imports, in order and each once."""
    return tuple(dict.fromkeys(_chains(code)))


def _chains(code: types.CodeType) -> Iterator[Chain]:
    instructions = [each for each in dis.get_instructions(code) if each.opname not in _SILENT]
    for index, instruction in enumerate(instructions):
        if instruction.opname in _GLOBALS:
            yield Chain(instruction.argval, _attributes(instructions, index + 1))
        elif instruction.opname == "IMPORT_NAME":
            yield from _imported(instructions, index)
    for constant in code.co_consts:
        if inspect.iscode(constant):
            yield from _chains(constant)


def _attributes(instructions: Sequence[dis.Instruction], start: int) -> tuple[str, ...]:
    """Return the attributes that are read in turn from the value on top of the stack."""
    names = []
    for instruction in instructions[start:]:
        if instruction.opname not in _ATTRIBUTES:
            break
        names.append(instruction.argval)
    return tuple(names)


def _imported(instructions: Sequence[dis.Instruction], index: int) -> Iterator[Chain]:
    """Return what is used of a module that is imported inside a function."""
    level, wanted = (instruction.argval for instruction in instructions[index - 2 : index])
    module = instructions[index].argval
    if wanted:
        for name in wanted:
            yield Chain(module, (name,) if name != "*" else (), level)
        return
    after = instructions[index + 1]
    if after.opname == "IMPORT_FROM":  # import a.b as c
        yield Chain(module, (), level)
        return
    top = module.partition(".")[0]
    yield Chain(module, ("__name__",), level)  # it is imported, whatever is used of it
    uses = _uses_of_local(instructions, after)
    yield from (Chain(top, attributes, level) for attributes in uses)


def _uses_of_local(
    instructions: Sequence[dis.Instruction], store: dis.Instruction
) -> list[tuple[str, ...]]:
    """Return the attributes read of a local variable each time it is used; empty ones when it is used whole."""
    if not store.opname.startswith("STORE_FAST"):
        return [()]
    name = store.argval if isinstance(store.argval, str) else store.argval[0]
    uses: list[tuple[str, ...]] = []
    for index, instruction in enumerate(instructions):
        argument = instruction.argval
        names = argument if isinstance(argument, tuple) else (argument,)
        if name not in names or instruction.opcode in _CONSTANTS:
            continue
        opname = instruction.opname
        loads = opname.startswith("LOAD_FAST") and names.count(name) == 1
        if names[-1] == name and (loads or opname == "STORE_FAST_LOAD_FAST"):
            uses.append(_attributes(instructions, index + 1))
        elif opname.startswith("LOAD_") and instruction.opcode not in dis.hasname:
            uses.append(())
    return uses
