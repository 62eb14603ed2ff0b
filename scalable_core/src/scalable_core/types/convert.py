"""Records to plain JSON data and back. Secrets go out as their templates and do not come back."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from scalable_core.types.secret import Secret

if TYPE_CHECKING:
    from cattrs import Converter

T = TypeVar("T")


@functools.cache
def _converter() -> Converter:
    from cattrs import Converter

    converter = Converter(unstruct_collection_overrides={tuple: list}, omit_if_default=False)
    converter.register_unstructure_hook(Secret, lambda secret: secret.template)
    converter.register_unstructure_hook(Path, str)
    converter.register_structure_hook(Path, lambda value, _: Path(value))
    converter.register_structure_hook(str | Secret, lambda value, _: str(value))
    converter.register_structure_hook(Secret, lambda value, _: Secret("", template=str(value)))
    return converter


def to_data(record: Any) -> Any:
    """Return a record as plain data: dicts, lists, strings, numbers, booleans and None.

    Args:
        record: Any record of `scalable_core.types`, or a container of them.
    """
    return _plain(_converter().unstructure(record))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, (Secret, Path)) else value


def from_data(data: Any, cls: type[T]) -> T:
    """Return a record of ``cls`` from what `to_data` gave.

    Raises:
        Exception: The data do not fit; from cattrs, with the place.
    """
    return _converter().structure(data, cls)
