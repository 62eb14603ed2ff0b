"""What is known of a cluster without the process that made it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen


@frozen(kw_only=True)
class Resource:
    """One thing that exists because of a run, and may bill.

    Attributes:
        kind: The service's own noun, such as ``ecs:task`` or ``process``.
        id: The service's own name of it.
        region: Where it is; None on this machine.
        run: The run it belongs to.
        hourly: USD an hour while it exists; None when unknown.
        created: ISO time; None when unknown.
    """

    kind: str
    id: str
    region: str | None = None
    run: str | None = None
    hourly: float | None = None
    created: str | None = None


@frozen(kw_only=True)
class ClusterRecord:
    """Enough plain data to find and release every paid thing of a run.

    Attributes:
        provider: The plugin that provisioned it and can release it.
        run: The run's id; everything created is tagged with it.
        project: The project's name.
        target: The target's name in the manifest.
        created: ISO time.
        resources: What was created or was about to be.
        data: Whatever else the provider needs to release; plain data, no secrets.
    """

    provider: str
    run: str
    project: str
    target: str
    created: str
    resources: tuple[Resource, ...] = ()
    data: Mapping[str, Any] = {}


@frozen(kw_only=True)
class ReleaseReport:
    """What `release_cluster` did.

    Attributes:
        provider: The plugin that answered.
        released: What is gone, now or already.
        remaining: What could not be removed; empty means verified empty.
        notes: Sentences for the user.
    """

    provider: str
    released: tuple[Resource, ...] = ()
    remaining: tuple[Resource, ...] = ()
    notes: tuple[str, ...] = ()


@frozen(kw_only=True)
class LogLine:
    """One line that a member of a cluster wrote.

    Attributes:
        member: Its name: the worker's, or ``scheduler``.
        text: Without the end of the line.
        time: Seconds since the epoch; None when the service does not say.
    """

    member: str
    text: str
    time: float | None = None


@frozen(kw_only=True)
class Policy:
    """What somebody must be allowed to do to run a plan, in the service's own form.

    Attributes:
        provider: The plugin that answered.
        text: The policy, complete: JSON of an IAM policy, YAML of a Role.
        actions: What it allows, such as ``ecs:RunTask``, sorted.
    """

    provider: str
    text: str
    actions: tuple[str, ...] = ()
