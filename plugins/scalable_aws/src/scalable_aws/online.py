"""The hooks about what AWS is asked, and must allow, before a run; each where it is done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from scalable_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from scalable_core import types


@hookimpl
def resolve_image(
    request: types.ImageRequest, context: types.HookContext
) -> types.ResolvedImage | None:
    """Ask ECR with a token of AWS; leave other registries to the core."""
    from scalable_aws import images
    from scalable_aws.plugin import NAME

    return images.resolve_image(request, context, provider=NAME)


@hookimpl
def preflight(plan: types.Plan, context: types.HookContext) -> Sequence[types.Problem]:
    """Ask for identity, permissions, quotas, network, roles and images, all at once."""
    if plan.target.cluster_type == "eks":
        from scalable_aws.fleet import eks

        found: Sequence[types.Problem] = eks().preflight(plan, context)
        return found
    from scalable_aws import preflight

    return preflight.preflight(plan, context)


@hookimpl
def required_permissions(plan: types.Plan) -> types.Policy:
    """Say what somebody must be allowed to do."""
    if plan.target.cluster_type == "eks":
        from scalable_aws.fleet import eks

        printed: types.Policy = eks().required_permissions(plan, provider="aws")
        return printed
    from scalable_aws import policy
    from scalable_aws.plugin import NAME

    return policy.required_permissions(plan, provider=NAME)
