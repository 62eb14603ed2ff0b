"""The JSON Schema of a manifest, from the same fields that the reading goes by. Draft 2020-12."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

import attrs

from scalable_core.manifest.outline import NAME_PATTERN, VERSION
from scalable_core.manifest.wanted import allows_none, arms
from scalable_core.types import Component, Project, Secret, Task

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]

_VARIABLE: Schema = {"$ref": "#/$defs/variable"}
_SCALARS: dict[Any, Schema] = {
    str: {"type": "string"},
    Secret: {"type": "string"},
    bool: {"anyOf": [{"type": "boolean"}, _VARIABLE]},
}


def manifest_schema(options: Mapping[str, type | Mapping[str, type]]) -> Schema:
    """Return the JSON Schema of a manifest.

    Args:
        options: Provider name to its options class, or to a mapping of cluster type to class, default first.
    """
    targets = {"properties": {"provider": {"type": "string"}}, "type": "object"}
    target = targets | {
        "required": ["provider"],
        "allOf": [_target(name, options[name]) for name in sorted(options)],
    }
    sections = {
        "project": _record(Project),
        "targets": _names(target, "Places to run; each names its provider."),
        "components": _names(_nullable(_record(Component)), "Kinds of worker."),
        "tasks": _names(_record(Task), "Kinds of call."),
    }
    partial = {
        "project": _record(Project, required=False),
        "targets": _names(_nullable({"type": "object"}), "Changes to targets."),
        "components": _names(
            _nullable(_record(Component, required=False)), "Changes to components."
        ),
        "tasks": _names(_nullable(_record(Task, required=False)), "Changes to tasks."),
    }
    overlay = {"type": "object", "additionalProperties": False, "properties": partial}
    return {
        "$schema": DIALECT,
        "title": "Manifest of Scalable",
        "type": "object",
        "additionalProperties": False,
        "required": ["version", "project", "targets"],
        "properties": {
            "version": {"const": VERSION, "description": "Version of the manifest's format."},
            "project": sections["project"],
            "targets": sections["targets"] | {"minProperties": 1},
            "components": _nullable(sections["components"]),
            "tasks": _nullable(sections["tasks"]),
            "overlays": _nullable(
                _names(_nullable(overlay), "Changes that a target or --overlay brings in.")
            ),
        },
        "$defs": {
            "variable": {
                "type": "string",
                "pattern": r"^\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^${}]*)?\}$",
            },
            "name": {"type": "string", "pattern": NAME_PATTERN},
        },
    }


def _names(entry: Schema, description: str) -> Schema:
    return {
        "type": "object",
        "description": description,
        "propertyNames": {"$ref": "#/$defs/name"},
        "additionalProperties": entry,
    }


def _nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _target(provider: str, classes: type | Mapping[str, type]) -> Schema:
    """Return the condition: a target of this provider has these options."""
    chosen = {"properties": {"provider": {"const": provider}}, "required": ["provider"]}
    if not isinstance(classes, Mapping):
        return {"if": chosen, "then": _options(classes, {})}
    names = list(classes)
    kind: Schema = {"enum": names, "description": f"Kind of cluster; {names[0]} when left out."}
    cases: list[Schema] = [{"properties": {"cluster_type": {"anyOf": [kind, _VARIABLE]}}}]
    for name, cls in classes.items():
        condition: Schema = {"properties": {"cluster_type": {"const": name}}}
        if name != names[0]:
            condition["required"] = ["cluster_type"]
        cases.append({"if": condition, "then": _options(cls, {"cluster_type": kind})})
    return {"if": chosen, "then": {"allOf": cases}}


def _options(cls: type, more: Schema) -> Schema:
    """Return the schema of a target whose options are ``cls``."""
    schema = _record(cls)
    text = {"type": "string"}
    own = {
        "provider": {"description": "Name of the provider plugin.", **text},
        "overlay": {
            "description": "Overlays that this target brings in, in order.",
            "anyOf": [text, {"type": "array", "items": text}],
        },
    }
    schema["properties"] = own | more | schema["properties"]
    required = schema.pop("required", None)
    if required:  # an overlay may bring them
        schema["anyOf"] = [{"required": required}, {"required": ["overlay"]}]
    return schema


def _record(cls: type, *, required: bool = True) -> Schema:
    attrs.resolve_types(cls)
    fields = [field for field in attrs.fields(cls) if not field.metadata.get("internal")]
    schema: Schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {field.name: _field(field) for field in fields},
    }
    needed = [field.name for field in fields if field.default is attrs.NOTHING]
    if needed and required:
        schema["required"] = needed
    return schema


def _field(field: attrs.Attribute[Any]) -> Schema:
    metadata = field.metadata
    schema: Schema = {"description": metadata["help"]} if metadata.get("help") else {}
    quantity = metadata.get("quantity")
    if quantity is None:
        schema |= _type(field.type, metadata)
    else:
        number = {"type": "number", "minimum": 0}
        bare = quantity != "size" or metadata.get("unit") is not None
        choices: list[Schema] = [{"type": "string"}, *([number] if bare else [])]
        schema["anyOf"] = [*choices, *([{"type": "null"}] if allows_none(field.type) else [])]
    default = field.default
    if isinstance(default, (str, int, float)) and not metadata.get("secret"):
        schema["default"] = default
    return schema


def _type(type_: Any, metadata: Mapping[Any, Any]) -> Schema:
    """Return the schema of a field's type; bounds apply where it is a number."""
    schemas = [_arm(arm, metadata) for arm in arms(type_)]
    if allows_none(type_):
        schemas.append({"type": "null"})
    unique = [schema for index, schema in enumerate(schemas) if schema not in schemas[:index]]
    return unique[0] if len(unique) == 1 else {"anyOf": unique}


def _arm(type_: Any, metadata: Mapping[Any, Any]) -> Schema:
    origin = get_origin(type_) or type_
    args = get_args(type_)
    if type_ in (int, float):
        bounds = {
            key: metadata[key] for key in ("minimum", "maximum") if metadata.get(key) is not None
        }
        return {"anyOf": [{"type": "integer" if type_ is int else "number", **bounds}, _VARIABLE]}
    if type_ in _SCALARS:
        return _SCALARS[type_]
    if origin is Literal:
        return {"anyOf": [{"enum": list(args)}, _VARIABLE]}
    if isinstance(origin, type) and attrs.has(origin):
        return _record(origin)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {
            "type": ["object", "null"],
            "additionalProperties": _type(args[1], {}) if len(args) == 2 else True,
        }
    if origin in (tuple, list):
        return {"type": ["array", "null"], "items": _type(args[0], {}) if args else True}
    return {}
