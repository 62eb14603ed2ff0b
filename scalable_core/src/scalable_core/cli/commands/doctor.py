"""``scalable doctor``: whether a run could start, and what mends it if not."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from scalable_core.cli.options import (
    chosen,
    common_options,
    json_option,
    manifest_argument,
    overlay_option,
    target_option,
)

if TYPE_CHECKING:
    from scalable_core.plugins import PluginHost
    from scalable_core.types import Manifest


@click.command
@manifest_argument()
@target_option
@overlay_option
@click.option(
    "--print-policy",
    is_flag=True,
    help="Print what somebody must be allowed to do to run this, in the service's own form.",
)
@click.option("--detach", is_flag=True, help="Look at what a detached run needs.")
@json_option
@common_options
def command(
    manifest: str,
    target: str | None,
    overlays: tuple[str, ...],
    print_policy: bool,
    detach: bool,
    as_json: bool,
    quiet: bool,
    verbose: int,
    debug: bool,
) -> int:
    """Look at everything that a run would need, and say what mends what is missing.

    Credentials, permissions, quota, images, the way in, the storage, and what earlier runs may have left. The
    provider is asked; nothing is created.

    \b
    scalable doctor
    scalable doctor --target aws
    scalable doctor --target aws --print-policy > policy.json

    Exit code 3 when something would stop a run.
    """
    from scalable_core.cli.host import make_host
    from scalable_core.cli.render.doctor import checks_document, render_check, verdict
    from scalable_core.cli.terminal import look_of, say, show, show_json
    from scalable_core.session.doctor import examine
    from scalable_core.session.planning import load

    host = make_host(quiet=quiet, verbose=verbose, offline=print_policy)
    read = load(manifest, target=chosen(target), overlays=overlays, host=host)
    if print_policy:
        return _print_policy(read, host, detach, as_json=as_json)
    checks = []
    look = look_of(sys.stdout)
    for check in examine(read, host=host, detached=detach):
        checks.append(check)
        if not as_json:
            for line in render_check(check, look):
                show(line)
    if as_json:
        show_json(checks_document(read, checks))
    else:
        show("")
        show(verdict(checks))
    failed = any(check.status == "fail" for check in checks)
    if not (failed or as_json or quiet):
        say("Next: scalable run")
    return 3 if failed else 0


def _print_policy(manifest: Manifest, host: PluginHost, detach: bool, *, as_json: bool) -> int:
    from scalable_core.cli.terminal import show, show_json
    from scalable_core.errors import ProviderError
    from scalable_core.session.planning import make_plan
    from scalable_core.types import to_data

    plan = make_plan(manifest, host=host, detached=detach)
    policy = host.required_permissions(plan)
    if policy is None:
        raise ProviderError(
            f"provider {plan.target.provider!r} has no permissions to print",
            cure="only clouds and Kubernetes have policies; name such a target with --target",
        )
    if as_json:
        show_json({"schema": "scalable.policy/1", **to_data(policy)})
    else:
        show(policy.text.rstrip("\n"))
    return 0
