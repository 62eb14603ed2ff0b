"""The driver of a detached run: a task on Fargate that runs the workflow, with the scheduler in its process.

It is a task whatever the workers are, since a task ends, and bills no longer, with its command. What nobody
else may know waits for it in Parameter Store, and is deleted there as soon as it has been read.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import time
from collections.abc import Mapping
from typing import Any

from attrs import evolve, fields

from scalable_aws import requests
from scalable_aws.account import Account, CallError
from scalable_aws.machine_standing import find_or_make_machines
from scalable_aws.options import AwsOptions, Ec2Options, FargateOptions
from scalable_aws.policy import driver_policy
from scalable_aws.reader import reader_source
from scalable_aws.secrets import SecretStore, delete_parameters, find_parameters
from scalable_aws.sizes import driver_size
from scalable_aws.standing import (
    PROJECT,
    RUN,
    Standing,
    find_or_make,
    log_group_name,
    make_role,
    secrets_path,
)
from scalable_aws.tasks import DRIVER, KIND, find_or_register, own_task
from scalable_core.cluster.commission import scheduler_group
from scalable_core.cluster.launcher import MemberGroup, Offer
from scalable_core.errors import ClusterError, UsageError
from scalable_core.types import BundleRef, ClusterRecord, HookContext, Plan, Resource

#: Seconds for which a new role may not be known everywhere yet, and between tries meanwhile.
SETTLING, PAUSE = 90.0, 3.0


def start(plan: Plan, bundle: BundleRef, context: HookContext, *, provider: str) -> ClusterRecord:
    """Start the driver of a plan.

    Raises:
        UsageError: It has no image, or a size that Fargate does not have.
        ClusterError: It cannot be started; nothing of it is left.
    """
    from scalable_aws import client as aws

    options: AwsOptions = plan.target.options
    assert context.run is not None
    task = aws.run(_start(plan, bundle, context, options))
    return ClusterRecord(
        provider=provider,
        run=context.run,
        project=plan.project.name,
        target=plan.target.name,
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        resources=(Resource(kind=KIND, id=task, region=options.region, run=context.run),),
        data={
            "region": options.region,
            "profile": options.profile,
            "cluster_type": plan.target.cluster_type or "fargate",
            "log_group": log_group_name(plan.project.name),
        },
    )


def driver_host() -> str | None:
    """Return the address of this process for workers, in the driver of a detached run; None elsewhere."""
    return os.environ.get("SCALABLE_DRIVER_HOST") if own_task() else None


def program() -> str:
    """Return what a driver's container runs: it makes itself into the command that it finds in its order."""
    head = "from __future__ import annotations\nimport sys\nPLACE = sys.argv[4]"
    return f"{head}\n{reader_source()}\n{inspect.getsource(_become)}\n_become(globals())\n"


async def _start(plan: Plan, bundle: BundleRef, context: HookContext, options: AwsOptions) -> str:
    group, own = _group(plan), _task_options(plan)
    account = Account.of(options)
    standing, role = await _stand(account, plan)
    tags = {**options.tags, PROJECT: plan.project.name, RUN: str(context.run)}
    store = SecretStore(account, f"{secrets_path(plan.project.name)}/{context.run}/{DRIVER}", tags)
    order = {
        "environment": dict(context.secrets()) if context.secrets else {},
        "command": list(bundle.command),
    }
    standing = evolve(standing, task_role=role)
    definition = requests.task_definition(group, own, standing, program())
    request = requests.run_task(
        group,
        [DRIVER],
        Offer(name="on-demand"),
        definition=await find_or_register(account, definition),
        options=own,
        standing=standing,
        groups=[standing.security_group, *options.security_groups],
        run=str(context.run),
        tags=tags,
        place=store.path,
    )
    try:
        await store.publish({DRIVER: json.dumps(order)})
        return await _run(account, request)
    except BaseException:
        await delete_parameters(account, await find_parameters(account, store.path))
        raise


async def _stand(account: Account, plan: Plan) -> tuple[Standing, str]:
    """Return what stands, all of it made that the driver may not make itself, and the role that it has."""
    options, project, storage = plan.target.options, plan.project.name, plan.stores.artifacts
    standing = await find_or_make(account, options, project, storage)
    if isinstance(options, Ec2Options):
        await find_or_make_machines(account, options, project, storage)
    if options.driver_role_arn:
        return standing, str(options.driver_role_arn)
    policy = driver_policy(plan)
    return standing, await make_role(account, f"{standing.name}-{DRIVER}", policy, standing.tags)


async def _run(account: Account, request: Mapping[str, Any]) -> str:
    """Start the task, once its role is known everywhere; return its ARN."""
    until = time.monotonic() + SETTLING
    while True:
        try:
            answer = await account.call("ecs", "RunTask", **request)
        except CallError as error:
            if "assume" not in error.said or time.monotonic() > until:
                raise
            await asyncio.sleep(PAUSE)
            continue
        if answer["tasks"]:
            return str(answer["tasks"][0]["taskArn"])
        reasons = [each.get("reason") or "" for each in answer.get("failures", [])]
        failure = requests.failure_of(next(iter(reasons), "ECS says no reason"))
        raise ClusterError(
            f"the driver cannot be started: {failure.message}", cure=failure.cure or "try again"
        )


def _group(plan: Plan) -> MemberGroup:
    image = plan.target.options.driver_image or scheduler_group(plan).image
    if image is None:
        raise UsageError(
            "the driver of a detached run needs an image that has scalable with the plugin of aws",
            cure="set driver_image in the target, or image",
        )
    return MemberGroup(name=DRIVER, role="scheduler", image=image)


def _task_options(plan: Plan) -> FargateOptions:
    """Return the target's options as those of a task that is as large as the driver."""
    options = plan.target.options
    size = driver_size(options, plan.target.name)
    names = {field.name for field in fields(FargateOptions)} & {
        field.name for field in fields(type(options))
    }
    given = {name: getattr(options, name) for name in names - {"ephemeral_storage"}}
    return FargateOptions(**{**given, "scheduler_cpu": size.cpus, "scheduler_mem": size.memory})


def _become(given: dict[str, Any]) -> None:
    # Everything is inside, imports too: this function travels as text, and alone.
    import importlib.util
    import json
    import os
    import sys
    import time

    def say(words: str) -> None:
        sys.stdout.write(words + "\n")
        sys.stdout.flush()

    def end(error: str, cure: str) -> None:
        say("scalable-member: " + json.dumps({"error": error, "cure": cure}))
        os._exit(1)

    lacking = [name for name in ("scalable", "scalable_aws") if not importlib.util.find_spec(name)]
    if lacking:
        end(
            "the driver's image lacks " + " and ".join(lacking),
            "install scalable[aws] in it, or name one that has it: driver_image",
        )
    until, text = time.time() + 300, None
    while text is None:
        text = given["read"]("driver")
        if text is None and time.time() > until:
            end(f"the order in {given['PLACE']} was not found", "start the run again")
    order = json.loads(text or "")
    try:
        given["forget"]()
    except Exception as error:  # the end of the run removes them too
        say(f"what is in {given['PLACE']} cannot be deleted yet: {error}")
    os.environ.update(order["environment"])
    os.environ["SCALABLE_DRIVER_HOST"] = given["host"]()
    os.environ["SCALABLE_DRIVER_TASK"] = given["task"]()
    os.execv(sys.executable, [sys.executable, *order["command"]])
