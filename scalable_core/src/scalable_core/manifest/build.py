"""Builds the document from the parser's events: no recursion, no tags, no aliases that unfold without end."""

from __future__ import annotations

from typing import Any, NoReturn

from scalable_core.manifest.findings import Findings
from scalable_core.manifest.scalars import read_scalar
from scalable_core.manifest.tree import Map, Mark, Seq, Template

#: Values in a document, with every alias counted as often as it is used.
MAX_NODES = 100_000
MAX_DEPTH = 50

_MERGE = "<<"


class _Frame:
    """A mapping or list that is being filled."""

    __slots__ = ("anchor", "height", "key", "key_mark", "node", "nodes_before")

    def __init__(self, node: Map | Seq, anchor: str | None, nodes_before: int) -> None:
        self.node = node
        self.anchor = anchor
        self.nodes_before = nodes_before
        self.height = 1  # levels from here down, aliases included
        self.key: str | None = None
        self.key_mark: Mark = (0, 0)


class TreeBuilder:
    """Takes events in order; ``root`` is then the document.

    Duplicate keys, tags and keys that are no text are noted and the building goes on; anything that would make
    the rest meaningless stops it with a `ManifestError`.
    """

    def __init__(self, findings: Findings) -> None:
        self.root: Any = None
        self._findings = findings
        self._frames: list[_Frame] = []
        self._anchors: dict[str, tuple[Any, int, int]] = {}  # value, its nodes, its height
        self._nodes = 0
        self._documents = 0
        self._take = {
            "ScalarEvent": self._scalar,
            "MappingStartEvent": self._begin,
            "SequenceStartEvent": self._begin,
            "MappingEndEvent": self._end,
            "SequenceEndEvent": self._end,
            "AliasEvent": self._alias,
            "DocumentStartEvent": self._document,
        }

    def feed(self, event: Any) -> None:
        """Take the next event.

        Raises:
            ManifestError: The document cannot be built on from here.
        """
        take = self._take.get(type(event).__name__)
        if take is not None:
            mark = event.start_mark
            take(event, (mark.line + 1, mark.column + 1))

    def _document(self, event: Any, at: Mark) -> None:
        self._documents += 1
        if self._documents > 1:
            self._stop(
                "E0010",
                "a second document begins here, and a manifest is one",
                at,
                "remove the '---'",
            )
        if event.version not in (None, (1, 2)):
            self._stop("E0005", "only YAML 1.2 can be read", at, "remove the %YAML line")

    def _scalar(self, event: Any, at: Mark) -> None:
        self._count(1, at)
        text = event.value
        if event.ctag is not None:
            self._tag(event.tag, at)
        value: Any
        if event.style is None:
            value = read_scalar(text)
        else:
            value = text
            if event.style == '"' and not _writable(text):
                self._stop(
                    "E0003",
                    "this text has a character that no text may have",
                    at,
                    "remove the escape",
                )
        if type(value) is str and "${" in value:
            value = Template(value, offset=_offset(event))
        self._place(value, at, text)
        if event.anchor:
            self._anchors[event.anchor] = (value, 1, 0)

    def _begin(self, event: Any, at: Mark) -> None:
        self._count(1, at)
        if event.ctag is not None:
            self._tag(event.tag, at)
        self._check_depth(1, at)
        node = Map() if type(event).__name__ == "MappingStartEvent" else Seq()
        self._place(node, at, None)
        self._frames.append(_Frame(node, event.anchor, self._nodes - 1))
        if event.anchor:
            self._anchors.pop(event.anchor, None)

    def _end(self, event: Any, at: Mark) -> None:
        frame = self._frames.pop()
        if isinstance(frame.node, Map) and _MERGE in frame.node:
            self._merge(frame.node)
        if self._frames:
            self._frames[-1].height = max(self._frames[-1].height, frame.height + 1)
        if frame.anchor:
            nodes = self._nodes - frame.nodes_before
            self._anchors[frame.anchor] = (frame.node, nodes, frame.height)

    def _alias(self, event: Any, at: Mark) -> None:
        name = event.anchor[:60]
        if any(frame.anchor == event.anchor for frame in self._frames):
            self._stop(
                "E0008", f"*{name} stands inside &{name}, so it would never end", at, "write it out"
            )
        if event.anchor not in self._anchors:
            self._stop("E0005", f"there is no &{name} before this *{name}", at, "write it out")
        value, nodes, height = self._anchors[event.anchor]
        self._count(nodes, at)
        self._check_depth(height, at)
        if self._frames:
            self._frames[-1].height = max(self._frames[-1].height, height + 1)
        self._place(value, at, value if isinstance(value, str) else None)

    def _place(self, value: Any, at: Mark, text: str | None) -> None:
        """Put a value where the document has got to: root, item of a list, key or value of a mapping."""
        if not self._frames:
            self.root = value
            return
        frame = self._frames[-1]
        node = frame.node
        if isinstance(node, Seq):
            node.append(value)
            node.marks.append(at)
        elif frame.key is None:
            self._key(frame, node, value, at, text)
        else:
            node[frame.key] = value
            node.marks[frame.key] = (*frame.key_mark, *at)
            frame.key = None

    def _key(self, frame: _Frame, node: Map, value: Any, at: Mark, text: str | None) -> None:
        if text is None:
            self._stop(
                "E0009",
                "a key must be a text, not a mapping or a list",
                at,
                "write a name before the ':'",
            )
        if not isinstance(value, str):
            what = "empty" if text == "" else f"{text} is not a text"
            self._findings.add("E0009", f"the key {what}", at=at, cure="put the key in quotes")
        if text in node:
            first = node.marks[text][0]
            message = f"the key {text[:60]!r} is here a second time, first on line {first}"
            self._findings.add("E0006", message, at=at, cure="remove one of the two")
        frame.key, frame.key_mark = str(text), at

    def _merge(self, node: Map) -> None:
        """Apply ``<<: *base``: the keys of the base, save those that are set here."""
        at = node.marks[_MERGE][2:]
        bases = node[_MERGE]
        node.drop(_MERGE)
        for base in bases if isinstance(bases, Seq) else [bases]:
            if not isinstance(base, Map):
                self._findings.add(
                    "E0101", "'<<' takes a mapping", at=at, cure="write <<: *name of an &anchor"
                )
                continue
            for key, value in base.items():
                if key not in node:
                    node.put(key, value, base.marks[key])

    def _tag(self, tag: str | None, at: Mark) -> None:
        message = f"tags such as {str(tag)[:60]} are not allowed in a manifest"
        self._findings.add("E0007", message, at=at, cure="remove the tag")

    def _count(self, nodes: int, at: Mark) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            message = f"this makes more than {MAX_NODES:,} values, aliases counted each time"
            self._stop("E0008", message, at, "use fewer aliases")

    def _check_depth(self, height: int, at: Mark) -> None:
        if len(self._frames) + height > MAX_DEPTH:
            self._stop("E0008", f"this is nested more than {MAX_DEPTH} deep", at, "make it flatter")

    def _stop(self, code: str, message: str, at: Mark, cure: str) -> NoReturn:
        self._findings.add(code, message, at=at, cure=cure)
        self._findings.fail()


def _writable(text: str) -> bool:
    """Whether a text can be handed to a process and written to a file: no NUL, no lone surrogate."""
    return not any(char == "\0" or "\ud800" <= char <= "\udfff" for char in text)


def _offset(event: Any) -> int | None:
    """Characters from the mark of a scalar to its text, None when the text is not on the line as it is."""
    start, end = event.start_mark, event.end_mark
    if start.line != end.line or event.anchor or event.ctag is not None:
        return None
    quotes = 0 if event.style is None else 1
    return quotes if end.column - start.column == len(event.value) + 2 * quotes else None
