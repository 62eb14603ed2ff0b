"""What runs in Google Cloud around a driver or a scheduler: a driver's first words, and the last ones of a run.

    onsite.py farewell SECRET...                             on a machine, when its member has ended
    onsite.py drive SECRET JOB -m scalable drive PLACE RUN   in place of the driver's own command

It travels as text and runs alone, in the members' image: standard library only. The driver removes what its run
has too; the farewell is for when it could not. What the service account may not remove is left to
`scalable down`, to the machine's own time limit, and to the pools, which end when the run's secret has ended.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

#: Names the variables that are for the driver alone, and not for the workers that it starts.
SECRETS = "SCALABLE_DRIVER_SECRETS"
#: Names the variable with the name of the driver's job or machine.
HOME = "SCALABLE_DRIVER_HOME"
#: Seconds for which a secret may be out of reach.
PATIENCE = 300.0


def metadata(path: str) -> str:
    """Ask the machine's own metadata server."""
    server = os.environ.get("GCE_METADATA_HOST") or "metadata.google.internal"
    request = urllib.request.Request(
        f"http://{server}/computeMetadata/v1/{path}", headers={"Metadata-Flavor": "Google"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as answer:
        return str(answer.read().decode())


def ask(method: str, service: str, path: str) -> Any:
    """Call an API with the token of the machine's service account."""
    override = os.environ.get(f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{service.upper()}")
    root = override or f"https://{service}.googleapis.com/"
    token = json.loads(metadata("instance/service-accounts/default/token"))["access_token"]
    request = urllib.request.Request(
        root + path, method=method, headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read() or b"{}")


def tried(method: str, service: str, path: str) -> Any:
    """Call an API, and say what it has refused; what is gone already is as it should be."""
    try:
        return ask(method, service, path)
    except urllib.error.HTTPError as error:
        if error.code != 404:
            sys.stderr.write(f"farewell: {method} {service} {path}: {error}\n")
    except OSError as error:
        sys.stderr.write(f"farewell: {method} {service} {path}: {error}\n")
    return {}


def say_farewell(secrets: list[str]) -> None:
    """Remove the run's pools, rules and secrets, then this machine.

    Args:
        secrets: Whole names; the first one's last word begins the names of all things of the run.
    """
    run = secrets[0].rpartition("/")[2]
    project = metadata("project/project-id")
    zone, name = metadata("instance/zone").rpartition("/")[2], metadata("instance/name")
    location = f"projects/{project}/locations/{zone.rpartition('-')[0]}"
    token = ""
    while True:
        page = tried("GET", "run", f"v2/{location}/workerPools?pageSize=100&pageToken={token}")
        for pool in page.get("workerPools", []):
            if pool["name"].rpartition("/")[2].startswith(f"{run}-"):
                tried("DELETE", "run", f"v2/{pool['name']}")
        token = urllib.parse.quote(page.get("nextPageToken", ""))
        if not token:
            break
    for secret in secrets:
        tried("DELETE", "secretmanager", f"v1/{secret}")
    if len(secrets) > 1:  # a driver's account may remove rules too
        for rule in ("members", "driver"):
            tried(
                "DELETE", "compute", f"compute/v1/projects/{project}/global/firewalls/{run}-{rule}"
            )
    tried("DELETE", "compute", f"compute/v1/projects/{project}/zones/{zone}/instances/{name}")


def read(secret: str) -> dict[str, str]:
    """Return a driver's variables; the grant to read them takes a moment to be known everywhere."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            said = ask("GET", "secretmanager", f"v1/{secret}/versions/1:access")
            break
        except OSError as error:
            if time.monotonic() > until:
                raise
            sys.stderr.write(f"the driver's variables cannot be read yet: {error}\n")
            time.sleep(2)
    variables: dict[str, str] = json.loads(base64.b64decode(said["payload"]["data"]))
    return variables


def drive(secret: str, job: str, words: list[str]) -> int:
    """Run a driver with the variables of its secret, and tell it to end when this is told to.

    Args:
        secret: Whole name.
        job: Whole name of the job that this is, which is removed in the end; empty on a machine.
        words: The driver's command, without the Python.
    """
    try:
        __import__("scalable_gcp")
    except ImportError as error:
        sys.stderr.write(
            f"the image has no driver: {error}; cure: install scalable-core and scalable-gcp in it, "
            "in the versions of the machine that starts the run\n"
        )
        return 1
    variables = read(secret)
    environment = {**os.environ, **variables, SECRETS: ",".join(variables), HOME: job or "machine"}
    child = subprocess.Popen(
        [sys.executable, *words], env=environment, cwd=tempfile.mkdtemp(prefix="scalable-driver-")
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: child.send_signal(signal.SIGTERM))
    return child.wait()


def main() -> int:
    """Do what the first word says."""
    verb, *words = sys.argv[1:]
    if verb == "farewell":
        say_farewell(words)
        return 0
    secret, job, *command = words
    code = 1
    try:
        code = drive(secret, job, command)
    finally:
        sys.stdout.flush()
        if job:
            tried("DELETE", "secretmanager", f"v1/{secret}")
            tried("DELETE", "run", f"v2/{job}")
    return code


if __name__ == "__main__":
    sys.exit(main())
