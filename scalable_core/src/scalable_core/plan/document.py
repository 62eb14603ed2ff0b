"""`plan.json`: a plan as a file that can be read, kept, and run later."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
from attrs import evolve

from scalable_core.errors import PlanDriftError, UsageError
from scalable_core.types import (
    PLAN_SCHEMA,
    CostEstimate,
    Forecast,
    Manifest,
    Plan,
    Target,
    WorkerGroup,
    from_data,
    to_data,
)


def plan_document(plan: Plan) -> dict[str, Any]:
    """Return a plan as plain data with ``schema`` first; secrets appear as the variables' names."""
    data = to_data(plan)
    del data["document"]
    if plan.cost is not None:
        data["cost"]["unpriced"] = list(plan.cost.unpriced)
    return {"schema": PLAN_SCHEMA, **data}


def write_plan(plan: Plan, path: Path) -> None:
    """Write ``plan.json``; the manifest is named relative to it, so that the folder can be moved."""
    document = plan_document(plan)
    document["manifest"] = os.path.relpath(plan.manifest, path.absolute().parent)
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def read_plan(path: Path) -> dict[str, Any]:
    """Return the document of a ``plan.json``, its manifest as a path that can be opened from here.

    Raises:
        UsageError: The file is not a plan of this format.
    """
    cure = "make one with: scalable plan --output plan.json"
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", cure=cure) from None
    except ValueError:
        raise UsageError(f"{path} is not a plan: it is not JSON", cure=cure) from None
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != PLAN_SCHEMA:
        raise UsageError(
            f"{path} is not a plan: its schema is {schema!r}, not {PLAN_SCHEMA!r}", cure=cure
        )
    try:
        document["manifest"] = str(path.absolute().parent / document["manifest"])
        _ = document["target"]["name"], document["overlays"], document["lock"], document["groups"]
    except (KeyError, TypeError) as error:
        raise UsageError(f"{path} is not a whole plan: {error} is missing", cure=cure) from None
    return document


def restore_plan(document: Mapping[str, Any], fresh: Plan, manifest: Manifest) -> Plan:
    """Return exactly the saved plan, with the secrets and options of the manifest as it is read today.

    Args:
        document: What `read_plan` gave.
        fresh: The plan that today's manifest gives.
        manifest: Today's manifest, read for the saved plan's target and overlays.

    Raises:
        PlanDriftError: The manifest or a variable it uses has changed since the plan was made.
        UsageError: The document's groups cannot be read.
    """
    if document["lock"] != manifest.lock:
        raise PlanDriftError(
            f"the plan was made from another state of {manifest.path}: it has lock "
            f"{document['lock'][:19]}.., the manifest has {manifest.lock[:19]}..",
            cure="the manifest, or a variable it uses, has changed; make the plan again",
        )
    try:
        groups = tuple(from_data(group, WorkerGroup) for group in document["groups"])
        cost = document.get("cost")
        estimate = None if cost is None else from_data(_without(cost, "unpriced"), CostEstimate)
        known = document.get("forecast")
        forecast = None if known is None else from_data(known, Forecast)
        today = {group.name: group for group in fresh.groups}
        changes = dict(document.get("changes", {}))
        groups = tuple(evolve(group, env=today[group.name].env) for group in groups)
        return evolve(
            fresh,
            groups=groups,
            cost=estimate,
            forecast=forecast,
            online=bool(document["online"]),
            adaptive=bool(document["adaptive"]),
            minimum=int(document["minimum"]),
            maximum=int(document["maximum"]),
            target=_changed(fresh.target, changes),
            changes=changes,
        )
    except Exception as error:
        raise UsageError(
            f"the saved plan cannot be read: {error}", cure="make the plan again"
        ) from error


def _changed(target: Target, changes: Mapping[str, Any]) -> Target:
    """Return a target with the options that were chosen for it."""
    if not changes:
        return target
    fields = attrs.fields_dict(attrs.resolve_types(type(target.options)))
    types: dict[str, Any] = {name: field.type for name, field in fields.items()}
    values = {name: from_data(value, types[name]) for name, value in changes.items()}
    return evolve(target, options=evolve(target.options, **values))


def _without(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name != key}
