"""What AWS is asked before a run, by a process that has done nothing before, against the SDK alone.

The peer imports aiobotocore, makes the same clients on one session, and makes one call with each. Both ask the
local AWS, which takes 50 ms for a call. What a process needs to start Python is in neither.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "testbed"))

RUNS = 5
LATENCY = 0.05
MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"size": 1, "digest": f"sha256:{'0' * 64}"},
        "layers": [],
    }
)
CALLS = {
    "sts": ("get_caller_identity", {}),
    "iam": ("list_roles", {}),
    "service-quotas": (
        "get_service_quota",
        {"ServiceCode": "fargate", "QuotaCode": "L-3032A538"},
    ),
    "ec2": ("describe_subnets", {}),
    "ecr": ("describe_repositories", {}),
}


def ours() -> None:
    """Look at a plan for ten workers whose image is in ECR."""
    from scalable_aws.options import FargateOptions
    from scalable_aws.preflight import preflight
    from scalable_core.types import HookContext, Plan, Project, Stores, Target, WorkerGroup

    image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/solar:1"
    group = WorkerGroup(name="work", cpus=1.0, threads=1, minimum=0, maximum=10, image=image)
    options = FargateOptions(region="us-east-1")
    plan = Plan(
        project=Project(name="benchmark"),
        target=Target(name="aws", provider="aws", cluster_type="fargate", options=options),
        manifest="/nowhere/scalable.yaml",
        workflow="/nowhere/workflow.py",
        lock="sha256:0",
        groups=(group,),
        minimum=10,
        maximum=10,
        stores=Stores(records="/nowhere", artifacts="/nowhere", cache="/nowhere"),
    )
    codes = {problem.code for problem in preflight(plan, HookContext())}
    assert codes == {"I1151", "I1153", "I1154", "I1155", "I1159"}, codes


def peer() -> None:
    """Make the same clients, and a call with each, all at once."""
    import asyncio

    from aiobotocore.session import get_session

    async def ask(session: object, service: str) -> None:
        async with session.create_client(service) as client:  # type: ignore[attr-defined]
            name, parameters = CALLS[service]
            await getattr(client, name)(**parameters)

    async def ask_all() -> None:
        session = get_session()
        await asyncio.gather(*(ask(session, service) for service in CALLS))

    asyncio.run(ask_all())


def take(*names: str) -> list[tuple[float, ...]]:
    """Return the seconds of wall and CPU that new processes take, in turns; medians."""
    found: dict[str, list[list[float]]] = {name: [] for name in names}
    for _ in range(RUNS):
        for name in names:
            command = [sys.executable, __file__, name]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
            found[name].append(json.loads(done.stdout))
    return [tuple(map(statistics.median, zip(*each, strict=True))) for each in found.values()]


def main() -> None:
    """Take both, one after the other."""
    from aws.testbed import Testbed
    from measure import Figure, report

    with tempfile.TemporaryDirectory() as folder, Testbed(Path(folder), hive=True) as bed:
        os.environ.update(bed.environment)
        os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
        ecr = bed.client("ecr")
        ecr.create_repository(repositoryName="solar")
        ecr.put_image(repositoryName="solar", imageTag="1", imageManifest=MANIFEST)
        bed.client("ec2").describe_subnets()  # the first call of EC2 makes a network
        bed.tell("faults", [{"key": "testing", "seconds": LATENCY}])
        (wall, cpu), (wall_of_peer, cpu_of_peer) = take("ours", "peer")
    report(
        [
            Figure("preflight on AWS: wall", wall, "s", 2),
            Figure("preflight on AWS: CPU", cpu, "s", 1.5),
            Figure("preflight on AWS: wall against the SDK alone", wall / wall_of_peer, "x", 1.5),
            Figure("preflight on AWS: CPU against the SDK alone", cpu / cpu_of_peer, "x", 1.5),
        ]
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        began, cpu = time.perf_counter(), time.process_time()
        {"ours": ours, "peer": peer}[sys.argv[1]]()
        print(json.dumps([time.perf_counter() - began, time.process_time() - cpu]))
    else:
        main()
