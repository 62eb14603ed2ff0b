"""A project's functions as they are today, without running its workflow."""

from __future__ import annotations

import ast
import importlib
import re
import sys
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalable_core.errors import UsageError

if TYPE_CHECKING:
    from scalable_core.cache import Entry, Fingerprint


def call_today(entry: Entry, code: Sequence[tuple[str, str, str]], workflow: Path) -> Fingerprint:
    """Return the call of a kept result as it would be today.

    Arguments are those of then, files among them are read again. Code that came with an argument is looked up
    by its name. An image is taken to be that of then: it is asked for when a run starts.

    Raises:
        UsageError: The function cannot be had without running the workflow, or it cannot be cached.
    """
    from scalable_core.cache import CallKeys, FileDigests, Fingerprint, Uncacheable
    from scalable_core.cache.parts import Part
    from scalable_core.cache.reach import code_of

    files = FileDigests()
    image = next((text for name, _, text in code if name == "image"), None)
    with project_modules(workflow):
        function = find_function(entry.function, workflow)
        try:
            keys = CallKeys(
                function, environment={} if image is None else {"image": image}, files=files
            )
            shared = {part.name: part for part in keys.of((), {}).shared}
            for name, _, _ in code:
                kind, _, label = name.partition(" ")
                found = find_object(label) if kind in ("code", "class") else None
                if name not in shared and callable(found):
                    for part in code_of(found, files.digest).parts:
                        shared.setdefault(part.name, part)
            texts = {
                part.name: Part(part.name, part.digest, part.read()) for part in shared.values()
            }
        except Uncacheable as error:
            raise UsageError(f"results of {entry.function}() are not kept today: {error}") from None
        own = tuple(_own_part(part, files, workflow.parent) for part in entry.parts)
    same = {(n, d) for n, d, _ in (*code, *entry.parts)} == {
        (part.name, part.digest) for part in (*texts.values(), *own)
    }
    return Fingerprint(
        key=entry.key if same else "", function=entry.function, code="",
        shared=tuple(texts.values()), own=own,
    )  # fmt: skip


def _own_part(part: tuple[str, str, str], files: Any, folder: Path) -> Any:
    """Return an argument of then; a file as it is now."""
    from scalable_core.cache.parts import Part, digest_parts

    name, digest, text = part
    found = re.fullmatch(r"(.+) sha256:([0-9a-f]{64}|missing)", text)
    if name.startswith("file ") and found and ", " not in text:
        now = files.digest(folder / found[1]) or "missing"
        if now != found[2]:
            return Part(name, digest_parts([("file", now)]), f"{found[1]} sha256:{now}")
    return Part(name, digest, text)


def call_of(entry: Entry, code: Sequence[tuple[str, str, str]]) -> Fingerprint:
    """Return the call that a kept result is of."""
    from scalable_core.cache import Fingerprint
    from scalable_core.cache.parts import Part

    return Fingerprint(
        key=entry.key,
        function=entry.function,
        code=entry.code,
        shared=tuple(Part(*part) for part in code),
        own=tuple(Part(*part) for part in entry.parts),
    )


@contextmanager
def project_modules(workflow: Path) -> Iterator[None]:
    """Let modules beside the workflow be imported, and find the files that they name as a run would."""
    path = sys.path[:]
    sys.path.insert(0, str(workflow.parent))
    main = sys.modules["__main__"]
    try:
        yield
    finally:
        sys.modules["__main__"], sys.path[:] = main, path


def find_function(function: str, workflow: Path) -> Any:
    """Return a function as it is today; call it inside `project_modules`.

    Modules beside the workflow are imported. The workflow itself is not run: what it defines is there only when
    its main part is below ``if __name__ == "__main__":``, and that part is left out.

    Args:
        function: ``module.qualname``, as it is in kept results.
        workflow: The workflow's file.

    Raises:
        UsageError: It cannot be had without running the workflow, or is not there any more.
    """
    if function.startswith("__main__."):
        found: Any = _definitions(workflow)
        rest = function.removeprefix("__main__.").split(".")
    else:
        found, rest = _module(function)
    for name in rest:
        if name == "<locals>":
            raise UsageError(
                f"{function}() is made while the workflow runs, so what it is today cannot be told",
                cure="define it at the top level of a module",
            )
        found = getattr(found, name, None)
        if found is None:
            raise UsageError(f"there is no {function}() today")
    return found


def find_object(name: str) -> Any:
    """Return a function or class by ``module.qualname`` from the modules that are loaded; None without one."""
    words = name.split(".")
    for end in range(len(words) - 1, 0, -1):
        found: Any = sys.modules.get(".".join(words[:end]))
        if found is not None:
            for word in words[end:]:
                found = getattr(found, word, None)
            return found
    return None


def _module(function: str) -> tuple[Any, list[str]]:
    words = function.split(".")
    for end in range(len(words) - 1, 0, -1):
        name = ".".join(words[:end])
        try:
            return importlib.import_module(name), words[end:]
        except ModuleNotFoundError as error:
            if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
                raise UsageError(f"{name} cannot be imported: {error}") from None
        except Exception as error:  # whatever a module of the project does
            raise UsageError(f"{name} cannot be imported: {error!r}") from None
    raise UsageError(f"there is no module of {function}() today")


def _definitions(workflow: Path) -> types.ModuleType:
    """Return the workflow as a module whose main part was not run."""
    try:
        source = workflow.read_bytes()
        tree = ast.parse(source, str(workflow))
    except (OSError, SyntaxError, ValueError) as error:
        raise UsageError(f"the workflow {workflow} cannot be read: {error}") from None
    body = [statement for statement in tree.body if not _is_guard(statement)]
    if len(body) == len(tree.body):
        raise UsageError(
            f"what {workflow.name} defines today cannot be told without running it",
            cure='put its main part below: if __name__ == "__main__":',
        )
    tree.body = body
    module = types.ModuleType("__main__")
    module.__file__ = str(workflow)
    sys.modules["__main__"] = module
    try:
        exec(compile(tree, str(workflow), "exec", dont_inherit=True), module.__dict__)
    except Exception as error:  # whatever the workflow does
        raise UsageError(f"{workflow.name} cannot be loaded: {error!r}") from None
    return module


def _is_guard(statement: ast.stmt) -> bool:
    """Tell whether a statement is ``if __name__ == "__main__":``."""
    if not isinstance(statement, ast.If) or not isinstance(statement.test, ast.Compare):
        return False
    return ast.unparse(statement.test) in (
        "__name__ == '__main__'",
        "'__main__' == __name__",
    )
