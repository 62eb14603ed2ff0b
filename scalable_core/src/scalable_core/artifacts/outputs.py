"""What a task's ``outputs:`` name: files that each of its calls writes, stored when it has returned.

An output is a path from the worker's current folder. In it ``{argument}`` stands for an argument of the call,
so that each call has names of its own, and ``*``, ``?``, ``[...]`` and ``**`` stand for anything. Standard
library only.
"""

from __future__ import annotations

import glob
import inspect
import os
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from scalable_core.artifacts.names import check_name
from scalable_core.artifacts.task import store_artifact
from scalable_core.errors import ArtifactError

#: What tells one state of a file from another.
_State = tuple[int, int, int]


class StoringCall:
    """A function whose output files are stored when it has returned.

    Args:
        function: What to call; not a coroutine function.
        outputs: As in the manifest.
    """

    def __init__(self, function: Callable[..., Any], outputs: Sequence[str]) -> None:
        self.function, self.outputs = function, tuple(outputs)
        self.__name__ = getattr(function, "__name__", type(function).__name__)

    def __repr__(self) -> str:
        return repr(self.function)

    def __dask_tokenize__(self) -> Any:
        from dask.tokenize import normalize_token

        return "StoringCall", normalize_token(self.function), self.outputs

    def __reduce__(self) -> Any:
        return StoringCall, (self.function, self.outputs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function, store what it has written, and return its result.

        Raises:
            ArtifactError: An output without wildcards is not there, or cannot be stored.
        """
        paths = [
            (fill(output, self.function, args, kwargs), _is_wild(output)) for output in self.outputs
        ]
        for path, _ in paths:
            output_name(_unescaped(path))  # what cannot be kept is known before the work is done
        before = {path: dict(_matches(path)) for path, wild in paths if wild}
        result = self.function(*args, **kwargs)
        for path, wild in paths:
            if not wild:
                self._store(_unescaped(path))
                continue
            for match, state in _matches(path):
                if before[path].get(match) != state:
                    self._store(match)
        return result

    def _store(self, path: str) -> None:
        if not os.path.exists(path):
            raise ArtifactError(
                f"{self.__name__} has returned, and its output {path} is not in {os.getcwd()}",
                cure="write it there, or correct outputs: of its task in the manifest",
            )
        try:
            store_artifact(output_name(path), Path(path))
        except ArtifactError as error:
            if "exists already" in error.message:
                error.cure = (
                    "give each call files of its own: {argument} in outputs: stands for one"
                )
            raise


def fill(
    output: str,
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> str:
    """Return an output with the arguments of a call in place of their names.

    Raises:
        ArtifactError: The function has no such argument, or it cannot be written so.
    """
    try:
        bound = inspect.signature(function).bind(*args, **kwargs)
        bound.apply_defaults()
        known = {**bound.arguments, **kwargs}
    except (TypeError, ValueError):  # the call itself will say so, or it has no signature
        known = dict(kwargs)
    try:
        return os.path.normpath(_Escaping().vformat(output, args, known))
    except (LookupError, AttributeError, ValueError, TypeError) as error:
        names = ", ".join(known) or "none"
        raise ArtifactError(
            f"output {output!r} cannot be filled in for {getattr(function, '__name__', function)}: "
            f"{error}; its arguments: {names}",
            cure="correct outputs: of its task in the manifest",
        ) from None


def output_name(path: str) -> str:
    """Return the name under which an output is kept: its path, from the current folder or else from the root.

    Raises:
        ArtifactError: It cannot be the name of an artifact.
    """
    absolute = os.path.abspath(path)
    here = os.getcwd().rstrip("/") + "/"
    name = absolute.removeprefix(here) if absolute.startswith(here) else absolute.lstrip("/")
    if not os.path.isabs(path) and not absolute.startswith(here):
        name = path  # it leads out of the current folder, which is refused
    check_name(name)
    return name


class _Escaping(string.Formatter):
    """Fills in values whose own ``*`` and ``?`` mean themselves."""

    def format_field(self, value: Any, format_spec: str) -> str:
        return glob.escape(str(super().format_field(value, format_spec)))


def _is_wild(output: str) -> bool:
    """Whether an output has wildcards of its own, outside of its braces."""
    return any(glob.has_magic(text) for text, *_ in string.Formatter().parse(output))


def _unescaped(path: str) -> str:
    for character in "*?[":
        path = path.replace(f"[{character}]", character)
    return path


def _matches(path: str) -> Iterator[tuple[str, _State]]:
    for match in sorted(glob.glob(path, recursive=True)):
        try:
            found = os.stat(match)
        except OSError:
            continue  # gone since
        if os.path.isfile(match):
            yield match, (found.st_mtime_ns, found.st_size, found.st_ino)
