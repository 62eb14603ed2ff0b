"""From plain data to records: cattrs, driven by the types and metadata of the records' own fields."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import attrs

from scalable_core.manifest import leaves
from scalable_core.manifest.leaves import Hook
from scalable_core.manifest.tree import Path
from scalable_core.manifest.wanted import Wrong, allows_none, arms, describe, is_union, misfit
from scalable_core.types import Secret

if TYPE_CHECKING:
    from cattrs import Converter


def structure(value: Any, cls: type) -> tuple[Any, list[tuple[Path, Wrong]]]:
    """Return a record of ``cls``, or None together with everything that is wrong.

    Args:
        value: A `Map` of the document; None stands for an empty one.
        cls: An attrs class of options.
    """
    try:
        return _converter().structure(value, cls), []
    except Exception as error:
        return None, list(_unfold(error, ()))


def _unfold(error: BaseException, path: Path) -> list[tuple[Path, Wrong]]:
    """Return the leaves of a tree of cattrs' errors with their paths."""
    from cattrs.errors import BaseValidationError, ForbiddenExtraKeysError

    if isinstance(error, Wrong):
        return [(path, error)]
    if isinstance(error, BaseValidationError):
        found = []
        for inner in error.exceptions:
            step = _step(inner)
            if isinstance(inner, KeyError) and inner.args == (step,):
                wrong = Wrong(f"{step!r} is missing", code="E0103", cure=f"add {step}")
                found.append((path, wrong))
            else:
                found += _unfold(inner, path if step is None else (*path, step))
        return found
    if isinstance(error, ForbiddenExtraKeysError):
        known = _settable(error.cl)
        return [
            ((*path, key), Wrong("unknown", code="E0102", word=key, known=known))
            for key in error.extra_fields
        ]
    # A record's own validator: its words are the plugin author's.
    return [(path, Wrong(str(error) or type(error).__name__))]


def _step(error: BaseException) -> str | int | None:
    """Return the field or index that cattrs noted on an error."""
    for note in getattr(error, "__notes__", ()):
        step = getattr(note, "name", None)
        if step is None:
            step = getattr(note, "index", None)
        if step is not None:
            return step if isinstance(step, int) else str(step)
    return None


def _settable(cls: type) -> list[str]:
    return [field.name for field in attrs.fields(cls) if not field.metadata.get("internal")]


@functools.cache
def _converter() -> Converter:
    from cattrs import Converter

    converter = Converter(detailed_validation=True, forbid_extra_keys=True)
    converter.register_structure_hook(str, leaves.read_text)
    converter.register_structure_hook(Secret, leaves.read_secret)
    converter.register_structure_hook(int, leaves.read_whole_number)
    converter.register_structure_hook(float, leaves.read_number)
    converter.register_structure_hook(bool, leaves.read_truth)
    converter.register_structure_hook_func(_is_anything, leaves.read_untyped)
    converter.register_structure_hook_func(_is_choice, leaves.read_choice)
    for applies, factory in (
        (_is_mapping, _mapping_hook),
        (_is_list, _list_hook),
        (is_union, _union_hook),
        (attrs.has, _class_hook),
    ):
        converter.register_structure_hook_factory(applies, functools.partial(factory, converter))
    return converter


def _is_anything(type_: Any) -> bool:
    return type_ is Any or type_ is object


def _is_choice(type_: Any) -> bool:
    return get_origin(type_) is Literal


def _is_mapping(type_: Any) -> bool:
    origin = get_origin(type_) or type_
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _is_list(type_: Any) -> bool:
    origin = get_origin(type_) or type_
    return isinstance(origin, type) and issubclass(origin, Sequence) and not issubclass(origin, str)


def _class_hook(converter: Converter, cls: Any) -> Hook:
    from cattrs.gen import make_dict_structure_fn, override

    attrs.resolve_types(cls)
    overrides: dict[str, Any] = {}
    for field in attrs.fields(cls):
        metadata = field.metadata
        if metadata.get("internal"):
            overrides[field.name] = override(omit=True)
        elif metadata.get("secret"):
            inner = converter.get_structure_hook(field.type)
            overrides[field.name] = override(struct_hook=leaves.discreet_hook(field, inner))
        elif any(metadata.get(key) is not None for key in ("quantity", "minimum", "maximum")):
            inner = converter.get_structure_hook(field.type)
            overrides[field.name] = override(struct_hook=leaves.bounded_hook(field, inner))
    build = make_dict_structure_fn(
        cls,
        converter,
        _cattrs_forbid_extra_keys=True,
        _cattrs_detailed_validation=True,
        **overrides,
    )

    def hook(value: Any, _: Any) -> Any:
        if value is None:
            value = {}
        if not isinstance(value, Mapping):
            raise misfit("a mapping", value)
        return build(value, cls)

    return hook


def _mapping_hook(converter: Converter, type_: Any) -> Hook:
    args = get_args(type_)
    inner_type = args[1] if len(args) == 2 else Any
    inner = converter.get_structure_hook(inner_type)

    def hook(value: Any, _: Any) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise misfit("a mapping", value)
        return dict(_each(value.items(), inner, inner_type))

    return hook


def _list_hook(converter: Converter, type_: Any) -> Hook:
    args = get_args(type_)
    inner_type = args[0] if args else Any
    inner = converter.get_structure_hook(inner_type)
    make = list if get_origin(type_) is list else tuple

    def hook(value: Any, _: Any) -> Sequence[Any]:
        if value is None:
            return make(())
        if not isinstance(value, (list, tuple)):
            raise misfit(
                "a list", value, cure=None if isinstance(value, Mapping) else "put it in [ ]"
            )
        return make(item for _, item in _each(enumerate(value), inner, inner_type))

    return hook


def _each(items: Any, inner: Hook, inner_type: Any) -> list[tuple[Any, Any]]:
    """Structure the items of a collection; all that is wrong is raised together, as cattrs does."""
    from cattrs.errors import IterableValidationError, IterableValidationNote

    done, errors = [], []
    for step, value in items:
        try:
            done.append((step, inner(value, inner_type)))
        except Exception as error:
            error.add_note(IterableValidationNote(f"item {step}", step, inner_type))
            errors.append(error)
    if errors:
        raise IterableValidationError("while structuring a collection", errors, dict)
    return done


def _union_hook(converter: Converter, type_: Any) -> Hook:
    choices = [(arm, converter.get_structure_hook(arm)) for arm in arms(type_)]

    def hook(value: Any, _: Any) -> Any:
        if allows_none(type_) and leaves.own_scalar(value) is None:
            return None
        if len(choices) == 1:
            return choices[0][1](value, choices[0][0])
        nested = None
        for arm, inner in choices:
            try:
                return inner(value, arm)
            except Exception as error:
                # What is wrong inside a mapping or list says more than that it is not, say, a text.
                nested = nested if isinstance(error, Wrong) else error
        raise nested or misfit(describe(type_), value, cure=leaves.quoting(value))

    return hook
