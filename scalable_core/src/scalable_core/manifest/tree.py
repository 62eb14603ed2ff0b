"""The document as read: plain data that remembers where each value stands in the file.

Mappings are `Map`, lists are `Seq`; both keep the marks of what they hold, so that a problem found anywhere
later finds its line and column without a second pass. Scalars are plain Python values, save texts with
variables in them (`Template`, then `Expanded`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scalable_core.types import Secret

#: Steps from the top of the document to a value: keys of mappings, indexes of lists.
Path = tuple[str | int, ...]

#: 1-based line and column.
Mark = tuple[int, int]

TOP: Mark = (1, 1)


class Map(dict[str, Any]):
    """A mapping; ``marks`` holds line and column of each key, then of its value."""

    __slots__ = ("marks",)

    def __init__(self) -> None:
        super().__init__()
        self.marks: dict[str, tuple[int, int, int, int]] = {}

    def put(self, key: str, value: Any, marks: tuple[int, int, int, int] | None) -> None:
        """Set a key together with its marks; without marks it stands where its mapping stands."""
        self[key] = value
        if marks is not None:
            self.marks[key] = marks

    def drop(self, key: str) -> None:
        """Remove a key and its marks, if it is there."""
        self.pop(key, None)
        self.marks.pop(key, None)

    def copy(self) -> Map:
        """Return a shallow copy; children are shared and must not be changed."""
        twin = Map()
        twin.update(self)
        twin.marks = self.marks.copy()
        return twin


class Seq(list[Any]):
    """A list; ``marks`` holds line and column of each item."""

    __slots__ = ("marks",)

    def __init__(self) -> None:
        super().__init__()
        self.marks: list[Mark] = []


class Template(str):
    """A text with ``${``, before its variables are replaced.

    Attributes:
        offset: Characters between the value's mark and the text, 1 for a quoted one; None when the text
            cannot be mapped onto the line, as in a block scalar.
    """

    __slots__ = ("offset",)

    offset: int | None

    def __new__(cls, text: str, *, offset: int | None = None) -> Template:
        """Make one."""
        template = super().__new__(cls, text)
        template.offset = offset
        return template


class Expanded(str):
    """A text whose variables have been replaced.

    Attributes:
        template: The text as written.
        scalar: The whole text was one variable, so a field that wants a number may read one from it.
    """

    __slots__ = ("scalar", "template")

    template: str
    scalar: bool

    def __new__(cls, text: str, *, template: str, scalar: bool) -> Expanded:
        """Make one."""
        expanded = super().__new__(cls, text)
        expanded.template = template
        expanded.scalar = scalar
        return expanded


def dotted(path: Sequence[str | int]) -> str:
    """Write a path as people read it: ``targets.aws.region``."""
    return ".".join(str(step) for step in path)


def find(root: Any, path: Sequence[str | int]) -> Any:
    """Return the value at a path, None when nothing is there."""
    node = root
    for step in path:
        if isinstance(node, Map):
            node = node.get(str(step))
        elif isinstance(node, Seq) and isinstance(step, int) and 0 <= step < len(node):
            node = node[step]
        else:
            return None
    return node


def locate(root: Any, path: Sequence[str | int], *, key: bool = False) -> Mark:
    """Return line and column of the value at a path.

    What is not there is placed at the key of the deepest mapping that is.

    Args:
        root: The document.
        path: From the top.
        key: The place of the last key instead of its value's.
    """
    node, here = root, TOP
    for depth, step in enumerate(path, start=1):
        last = depth == len(path)
        if isinstance(node, Map) and step in node.marks:
            line, column, value_line, value_column = node.marks[str(step)]
            here = (line, column)
            if last and not key:
                return (value_line, value_column)
            node = node[str(step)]
        elif isinstance(node, Seq) and isinstance(step, int) and 0 <= step < len(node):
            here, node = node.marks[step], node[step]
        else:
            break
    return here


def plain(node: Any) -> Any:
    """Return a copy as dicts, lists and scalars; a secret becomes its template."""
    if isinstance(node, dict):
        return {key: plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [plain(item) for item in node]
    if isinstance(node, Secret):
        return node.template
    return str(node) if isinstance(node, str) else node
