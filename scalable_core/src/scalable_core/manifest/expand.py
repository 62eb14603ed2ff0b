"""Replaces ``${VAR}`` and ``${VAR:-default}`` in values; ``$${`` stands for a plain ``${``.

A value under ``env`` or ``environment`` that used a variable becomes a `Secret`; the others stay texts that
remember how they were written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from scalable_core.manifest.findings import Findings
from scalable_core.manifest.tree import Expanded, Map, Path, Seq, Template, locate
from scalable_core.types import Secret

_PIECE = re.compile(
    r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^${}]*))?\}|\$\{"
)
_ENVIRONMENTS = frozenset({"env", "environment"})

#: Keys above this depth are names that people choose (``components.env`` is a component).
_NAMES = 2


class Expander:
    """Expands parts of one document.

    Args:
        root: The document, for positions.
        environ: The variables.
        findings: Takes what is wrong.
        lenient: Leave a text as it is when a variable of it is not set, instead of noting that.
    """

    def __init__(
        self, root: Map, environ: Mapping[str, str], findings: Findings, *, lenient: bool = False
    ) -> None:
        self._root = root
        self._environ = environ
        self._findings = findings
        self._lenient = lenient

    def expand(self, node: Any, path: Path) -> Any:
        """Return the value at ``path`` with its variables replaced; what has none is returned as it is."""
        return self._expand(node, path, secret=False)

    def _expand(self, node: Any, path: Path, *, secret: bool) -> Any:
        if isinstance(node, Template):
            return self._text(node, path, secret=secret)
        if isinstance(node, Map):
            changed: dict[str, Any] = {}
            for key, value in node.items():
                if isinstance(value, (Map, Seq, Template)):
                    hidden = secret or (len(path) >= _NAMES and key in _ENVIRONMENTS)
                    fresh = self._expand(value, (*path, key), secret=hidden)
                    if fresh is not value:
                        changed[key] = fresh
            if not changed:
                return node
            twin = node.copy()
            twin.update(changed)
            return twin
        if isinstance(node, Seq):
            items = [
                self._expand(item, (*path, index), secret=secret) for index, item in enumerate(node)
            ]
            if all(new is old for new, old in zip(items, node, strict=True)):
                return node
            seq = Seq()
            seq.extend(items)
            seq.marks = node.marks
            return seq
        return node

    def _text(self, template: Template, path: Path, *, secret: bool) -> Any:
        pieces: list[str] = []
        variables, end, unset = 0, 0, False
        for match in _PIECE.finditer(template):
            pieces.append(template[end : match.start()])
            end = match.end()
            if match[0] == "$${":
                pieces.append("${")
                continue
            variables += 1
            value = self._value(match, template, path)
            unset = unset or value is None
            pieces.append(value or "")
        if unset:
            return template
        pieces.append(template[end:])
        text = "".join(pieces)
        if secret and variables:
            return Secret(text, template=str(template))
        whole = variables == 1 and not any(pieces[::2])
        return Expanded(text, template=str(template), scalar=whole)

    def _value(self, match: re.Match[str], template: Template, path: Path) -> str | None:
        """Return the text of one variable, None when there is none."""
        name, default = match["name"], match["default"]
        if name is None:
            written = template[match.start() : match.start() + 40]
            cure = "write ${NAME} or ${NAME:-default}, and $${ for a plain ${"
            self._note("E0108", f"{written!r} is not a variable", match, template, path, cure)
            return None
        found = self._environ.get(name)
        if default is not None:
            return found or default
        if found is None and not self._lenient:
            cure = f"set it, or give it a default: ${{{name}:-...}}"
            self._note("E0107", f"the variable {name} is not set", match, template, path, cure)
        return found

    def _note(
        self,
        code: str,
        message: str,
        match: re.Match[str],
        template: Template,
        path: Path,
        cure: str,
    ) -> None:
        line, column = locate(self._root, path)
        if template.offset is not None:
            column += template.offset + match.start()
        self._findings.add(code, message, path=path, at=(line, column), cure=cure)
