"""Turns the values of options that are declared secret into `Secret`, before anything else sees them."""

from __future__ import annotations

from typing import Any, get_args

import attrs

from scalable_core.manifest.tree import Expanded, Map, Seq, Template
from scalable_core.manifest.wanted import arms
from scalable_core.types import Secret


def seal(node: Any, cls: type) -> Any:
    """Return the options of a target with the secret ones sealed; a secret shows its template, or ``***``.

    Args:
        node: What the manifest gives for ``cls``.
        cls: An attrs class whose field types are resolved.
    """
    if not isinstance(node, Map):
        return node
    twin = node.copy()
    for field in attrs.fields(cls):
        if field.name in node:
            value = node[field.name]
            hide = field.metadata.get("secret")
            twin[field.name] = _hide(value) if hide else _seal_within(value, field.type)
    return twin


def _seal_within(value: Any, type_: Any) -> Any:
    """Seal what is secret in a value whose type names classes of options."""
    for arm in arms(type_):
        if attrs.has(arm):
            return seal(value, arm)
        if isinstance(value, (Map, Seq)):
            for inner in get_args(arm):
                if inner is not str and inner is not Ellipsis:
                    value = _on_each(value, lambda item, inner=inner: _seal_within(item, inner))
    return value


def _hide(value: Any) -> Any:
    if isinstance(value, (Map, Seq)):
        return _on_each(value, _hide)
    if isinstance(value, Expanded):
        return Secret(str(value), template=value.template)
    if isinstance(value, str) and not isinstance(value, Template):
        return Secret(value)
    return value


def _on_each(value: Map | Seq, change: Any) -> Map | Seq:
    if isinstance(value, Map):
        twin = value.copy()
        for key, item in value.items():
            twin[key] = change(item)
        return twin
    seq = Seq()
    seq.extend(change(item) for item in value)
    seq.marks = value.marks
    return seq
