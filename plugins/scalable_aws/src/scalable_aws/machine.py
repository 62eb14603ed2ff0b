"""What an instance of EC2 does from its start to its end: below the mark travels to it, as user data.

It is Python for the machine's own interpreter (3.9 or later), after what travels of `reader`. It holds no key:
the right to pull the image, to write logs and to read the run's documents comes from its instance profile.
"""

from __future__ import annotations

import base64
import inspect
import json
import sys
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scalable_aws.reader import reader_source
from scalable_core.errors import UsageError

if TYPE_CHECKING:
    from scalable_aws.reader import _ask, _metadata

#: Bytes of user data that EC2 takes.
LARGEST = 16384

# -- what travels --------------------------------------------------------------------------------------
import concurrent.futures  # noqa: E402
import os  # noqa: E402
import re  # noqa: E402
import subprocess  # noqa: E402
import time  # noqa: E402


def boot(order: dict[str, Any]) -> None:
    """Run one container for each worker, and end the machine when all have ended; it then bills no longer."""
    # Whatever happens, it does not outlive the run.
    subprocess.run(["shutdown", "-P", f"+{order['minutes']}"])
    own = ""
    try:
        own, address = _metadata("instance-id"), _metadata("local-ipv4")
        os.environ.update(AWS_REGION=order["region"], SCALABLE_HOST=address)
        prepare(order)
        with concurrent.futures.ThreadPoolExecutor(order["slots"]) as pool:
            list(pool.map(lambda n: serve(order, f"{own}.{n}", address), range(order["slots"])))
    except Exception as error:
        report(order, {"machine": own, "said": str(error)})
        raise
    finally:
        subprocess.run(["shutdown", "-P", "now"])


def prepare(order: dict[str, Any]) -> None:
    """Wait for Docker, and pull the image; try again what may pass."""
    subprocess.run(["systemctl", "disable", "--now", "--no-block", "ecs"])  # this is no cluster's
    registry, said = order["image"].split("/")[0], ""
    for pause in (2, 4, 8, 16, 32, 0):
        try:
            subprocess.run(["docker", "info"], check=True, stdout=subprocess.DEVNULL)
            if ".dkr.ecr" in registry or ".dkr-ecr" in registry:
                log_in(registry)
            pull = ["docker", "pull", "--quiet", order["image"]]
            done = subprocess.run(pull, stderr=subprocess.PIPE)
            if done.returncode == 0:
                return
            said = (done.stderr.decode("utf-8", "replace").strip() or "no reason").splitlines()[-1]
        except Exception as error:
            said = str(error)
        sys.stderr.write(f"not yet: {said}\n")
        if re.search("not found|manifest unknown|no matching manifest|invalid reference", said):
            break
        time.sleep(pause)
    raise RuntimeError(f"its image {order['image']} cannot be pulled: {said}")


def report(order: dict[str, Any], what: dict[str, Any]) -> None:
    """Say what became of a container, or of this machine, where the driver hears it."""
    place = {"logGroupName": order["log_group"], "logStreamName": order["reports"]}
    event = {"timestamp": int(time.time() * 1000), "message": json.dumps(what)}
    for word, more in (("CreateLogStream", {}), ("PutLogEvents", {"logEvents": [event]})):
        try:
            _ask("logs", f"Logs_20140328.{word}", json.dumps({**place, **more}).encode())
        except Exception as error:  # the stream is there already, or nobody can be told
            sys.stderr.write(f"{word}: {error}\n")


def log_in(registry: str) -> None:
    """Log Docker in to a registry of ECR, with the machine's own role."""
    own = os.environ["AWS_REGION"]
    found = re.search(r"\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.", registry)
    os.environ["AWS_REGION"] = found.group(1) if found else own
    try:
        target = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"
        (data,) = json.loads(_ask("ecr", target, b"{}"))["authorizationData"]
    finally:
        os.environ["AWS_REGION"] = own
    user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    command = ["docker", "login", "--username", user, "--password-stdin", registry]
    subprocess.run(command, input=password.encode(), check=True)


def serve(order: dict[str, Any], own: str, address: str) -> None:
    """Run one container to its end; where a worker's has failed, another waits for a name of its own."""
    last = 0 if order["role"] == "scheduler" else 2
    for number in range(last + 1):
        member = f"{own}.{number}" if number else own
        code = subprocess.run(container(order, member, address)).returncode
        if code == 0:
            return
        what = {"member": member, "code": code, "again": number < last}
        if code in (125, 126, 127):
            what["said"] = "Docker cannot start its container; has the image a python?"
        report(order, what)


def container(order: dict[str, Any], own: str, address: str) -> list[str]:
    """Return the command that runs a container."""
    command = ["docker", "run", "--rm", "--network", "host", "--stop-timeout", "110"]
    command += ["--log-driver", "awslogs", "--log-opt", f"awslogs-region={order['region']}"]
    command += ["--log-opt", f"awslogs-group={order['log_group']}"]
    command += ["--log-opt", f"awslogs-stream={order['role']}/member/{own}"]
    command += ["--log-opt", "mode=non-blocking", *order["limits"]]
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        command += ["-e", f"{name}={order['region']}"]
    command += ["-e", f"SCALABLE_HOST={address}", "-e", f"SCALABLE_MEMBER={own}"]
    command += ["--entrypoint", "python", order["image"], "-c", order["program"]]
    return [*command, order["role"], order["group"], order["name"], order["place"]]


# -- end of what travels -------------------------------------------------------------------------------


def user_data(order: Mapping[str, Any]) -> str:
    """Return the script that an instance runs when it starts, in base64, as EC2 takes it.

    Args:
        order: What `boot` does.

    Raises:
        UsageError: It is too large, which names alone can make it.
    """
    text = inspect.getsource(sys.modules[__name__]).split("# -- what travels")[1]
    body = text.partition("\n")[2].partition("# -- end of")[0]
    head = "from __future__ import annotations\nimport sys\nPLACE = ''\n"
    source = f"{head}{reader_source()}{body}\nboot(json.loads({json.dumps(dict(order))!r}))\n"
    packed = base64.b85encode(zlib.compress(source.encode(), 9)).decode()
    script = f"#!/usr/bin/python3\nimport base64, zlib\nexec(zlib.decompress(base64.b85decode({packed!r})))\n"
    if len(script) > LARGEST:
        raise UsageError(
            f"the start of an instance takes {len(script)} bytes, and EC2 takes {LARGEST}",
            cure="shorten the names and mounts of the component",
        )
    return base64.b64encode(script.encode()).decode()
