"""Google's own descriptions of its APIs: which requests there are, and what may be in them."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

VERSIONS = {
    "run": "v2",
    "container": "v1",
    "compute": "v1",
    "secretmanager": "v1",
    "artifactregistry": "v1",
    "cloudresourcemanager": "v3",
    "serviceusage": "v1",
    "logging": "v2",
    "iam": "v1",
}


class Wrong(Exception):
    """A request that the service would refuse."""


@dataclass(frozen=True)
class Method:
    """One method: its id, what is in its path, and the schema of its body."""

    id: str
    verb: str
    pattern: re.Pattern[str]
    parameters: dict[str, Any]
    body: str | None


@lru_cache
def document(service: str) -> dict[str, Any]:
    """Return the description of a service."""
    import googleapiclient

    folder = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
    return json.loads((folder / f"{service}.{VERSIONS[service]}.json").read_text())


@lru_cache
def methods(service: str) -> tuple[Method, ...]:
    """Return all methods of a service."""
    found: list[Method] = []

    def walk(resources: dict[str, Any]) -> None:
        for resource in resources.values():
            for each in resource.get("methods", {}).values():
                found.append(_method(service, each))
            walk(resource.get("resources", {}))

    walk(document(service)["resources"])
    return tuple(found)


def _method(service: str, said: dict[str, Any]) -> Method:
    prefix = document(service)["servicePath"]
    path = prefix + said.get("flatPath", said["path"])
    pattern = re.sub(r"\\\{\w+\\\}", "([^/:]+)", re.escape(path).replace("\\/", "/"))
    return Method(
        said["id"],
        said["httpMethod"],
        re.compile(pattern + r"\Z"),
        {n: p for n, p in said.get("parameters", {}).items() if p["location"] == "query"},
        said.get("request", {}).get("$ref"),
    )


def check(service: str, verb: str, path: str, query: dict[str, str], body: Any) -> Method:
    """Return the method that a request means.

    Raises:
        Wrong: There is none, or it does not take what is in the request.
    """
    known = document(service)["parameters"]
    for method in methods(service):
        if method.verb == verb and method.pattern.match(path):
            for name, text in query.items():
                if name not in method.parameters and name not in known:
                    raise Wrong(
                        f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query parameter.'
                    )
                _scalar(method.parameters.get(name, known.get(name)), text, name)
            if body is not None:
                if method.body is None:
                    raise Wrong("this method takes no body")
                check_schema(service, method.body, body, "")
            return method
    raise Wrong(f"there is no method {verb} {path}")


def check_schema(service: str, name: str, value: Any, where: str) -> None:
    """Raise `Wrong` for what a schema does not have."""
    _value(service, {"$ref": name}, value, where)


def _value(service: str, schema: dict[str, Any], value: Any, where: str) -> None:
    if "$ref" in schema:
        schema = document(service)["schemas"][schema["$ref"]]
    kind = schema.get("type")
    if kind == "object":
        if not isinstance(value, dict):
            raise Wrong(f"{where}: an object is wanted, not {value!r}")
        properties, others = schema.get("properties", {}), schema.get("additionalProperties")
        for name, each in value.items():
            inner = properties.get(name, others)
            if inner is None:
                raise Wrong(
                    f"Invalid JSON payload received. Unknown name \"{name}\" at '{where}': Cannot find field."
                )
            if properties.get(name, {}).get("readOnly"):
                raise Wrong(f"{where}.{name} is output only")
            _value(service, inner, each, f"{where}.{name}".strip("."))
    elif kind == "array":
        if not isinstance(value, list):
            raise Wrong(f"{where}: a list is wanted, not {value!r}")
        for number, each in enumerate(value):
            _value(service, schema["items"], each, f"{where}[{number}]")
    else:
        _scalar(schema, value, where)


def _scalar(schema: dict[str, Any], value: Any, where: str) -> None:
    kind = schema.get("type")
    bad = Wrong(
        f"Invalid value at '{where}' ({kind} {schema.get('format', '')}), {json.dumps(value)}"
    )
    if "enum" in schema and value not in schema["enum"]:
        raise bad
    if kind == "boolean" and not (isinstance(value, bool) or value in ("true", "false")):
        raise bad
    if kind == "integer" and (isinstance(value, bool) or not re.fullmatch(r"-?\d+", str(value))):
        raise bad
    if kind == "number" and not re.fullmatch(r"-?\d+(\.\d+)?", str(value)):
        raise bad
    if kind == "string":
        if not isinstance(value, str):
            raise bad
        if schema.get("format") in ("int64", "uint64") and not re.fullmatch(r"-?\d+", value):
            raise bad
        if schema.get("format") == "google-duration" and not re.fullmatch(r"\d+(\.\d+)?s", value):
            raise bad
        if schema.get("format") == "byte":
            try:
                base64.b64decode(value, validate=True)
            except ValueError:
                raise bad from None
