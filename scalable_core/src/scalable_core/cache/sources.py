"""Source files: what they say now, compiled so that only what counts is left, and as text for people."""

from __future__ import annotations

import ast
import functools
import importlib.util
import inspect
import linecache
import os
import textwrap
import types
from collections import defaultdict
from collections.abc import Iterator

from scalable_core.cache.bytecode import normal_form

State = tuple[int, int] | None


def state_of(filename: str) -> State:
    """Return what changes when a file is edited: its time (ns) and size; None when there is no such file."""
    try:
        found = os.stat(filename)
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size


class SourceFile:
    """One source file in one state.

    The same tree is compiled twice: as it is written, to find the code that runs, and without docstrings and
    with one line number for each function, so that no change of comments or layout can be seen in it. (The
    compiler looks at line numbers when it lays out jumps.)
    """

    def __init__(self, filename: str, text: str) -> None:
        self.lines = text.splitlines(keepends=True)
        tree = ast.parse(text)
        self._written: dict[str, list[types.CodeType]] = defaultdict(list)
        for code in _walk(compile(tree, filename, "exec", dont_inherit=True)):
            self._written[code.co_qualname].append(code)
        places = _Flatten().flatten(tree)
        self._canonical: dict[tuple[str, int], list[types.CodeType]] = defaultdict(list)
        for code in _walk(compile(tree, filename, "exec", dont_inherit=True)):
            line = places.get(code.co_firstlineno, 0)
            self._canonical[code.co_qualname, line].append(code)

    def find(self, code: types.CodeType) -> types.CodeType | None:
        """Return the code object of this file that does what ``code`` does; None when there is none now."""
        named = self._written.get(code.co_qualname, ())
        for written in named:
            if written == code:
                return written
        wanted = normal_form(code)
        return next((written for written in named if normal_form(written) == wanted), None)

    def canonical(self, written: types.CodeType) -> bytes | None:
        """Return the normal form of one of this file's code objects; None when others look like it."""
        found = self._canonical.get((written.co_qualname, written.co_firstlineno), ())
        forms = {normal_form(code) for code in found}
        return forms.pop() if len(forms) == 1 else None

    def text(self, written: types.CodeType) -> str:
        """Return the source of one of this file's code objects without comments and docstrings."""
        block = inspect.getblock(self.lines[written.co_firstlineno - 1 :])
        source = textwrap.dedent("".join(block))
        try:
            tree = ast.parse(source)
        except SyntaxError:
            return source
        _Flatten().flatten(tree)
        return ast.unparse(tree)


@functools.lru_cache(maxsize=512)
def _read(filename: str, state: State) -> SourceFile | None:
    try:
        if state is None:  # a notebook's cell, or text that was typed
            text = "".join(linecache.getlines(filename))
        else:
            with open(filename, "rb") as file:
                text = importlib.util.decode_source(file.read())
        return SourceFile(filename, text) if text else None
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None


def source_file(filename: str) -> SourceFile | None:
    """Return a source file as it is now; None when it cannot be read."""
    return _read(filename, state_of(filename))


def _walk(code: types.CodeType) -> Iterator[types.CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield constant
            yield from _walk(constant)


_Scope = (
    ast.FunctionDef
    | ast.AsyncFunctionDef
    | ast.ClassDef
    | ast.Lambda
    | ast.ListComp
    | ast.SetComp
    | ast.DictComp
    | ast.GeneratorExp
)


class _Flatten(ast.NodeVisitor):
    """Drops docstrings, and gives all nodes of a scope one line number that no other scope has."""

    def __init__(self) -> None:
        self._line = 1
        self._places: dict[int, int] = {}

    def flatten(self, tree: ast.AST) -> dict[int, int]:
        """Change a tree in place and return the new line number of each scope with the one it had."""
        self.visit(tree)
        return self._places

    def generic_visit(self, node: ast.AST) -> None:
        before = self._line
        if isinstance(node, _Scope):
            decorators = getattr(node, "decorator_list", None)
            first = decorators[0].lineno if decorators else node.lineno
            self._line = len(self._places) + 2
            self._places[self._line] = first
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            _drop_docstring(node)
        if hasattr(node, "lineno"):
            for name, value in (("lineno", self._line), ("end_lineno", self._line)):
                setattr(node, name, value)
            node.col_offset = node.end_col_offset = 0  # type: ignore[attr-defined]
        super().generic_visit(node)
        self._line = before


def _drop_docstring(
    node: ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef,
) -> None:
    first = node.body[0] if node.body else None
    if (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    ):
        node.body[0] = ast.copy_location(ast.Pass(), first)
        if len(node.body) > 1:
            del node.body[0]
