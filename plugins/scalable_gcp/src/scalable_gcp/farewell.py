"""What the scheduler's machine does last: it removes what its run still has, and itself.

The driver does so too; this is for when there is none any more. It runs alone, in the members' image: standard
library only. What its service account may not remove is left to `scalable down`, to the machine's own time
limit, and to the pools, which end when the run's secret has ended.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.parse
import urllib.request
from typing import Any


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
    """Call an API, and say what it has refused."""
    try:
        return ask(method, service, path)
    except OSError as error:
        sys.stderr.write(f"farewell: {method} {service} {path}: {error}\n")
        return {}


def main() -> None:
    """Remove the run's pools and its secret, then this machine."""
    secret = sys.argv[1].partition("#")[0]
    run = secret.rpartition("/")[2]
    project = metadata("project/project-id")
    zone, name = metadata("instance/zone").rpartition("/")[2], metadata("instance/name")
    region = zone.rpartition("-")[0]
    location = f"projects/{project}/locations/{region}"
    token = ""
    while True:
        page = tried("GET", "run", f"v2/{location}/workerPools?pageSize=100&pageToken={token}")
        for pool in page.get("workerPools", []):
            if pool["name"].rpartition("/")[2].startswith(f"{run}-"):
                tried("DELETE", "run", f"v2/{pool['name']}")
        token = urllib.parse.quote(page.get("nextPageToken", ""))
        if not token:
            break
    tried("DELETE", "secretmanager", f"v1/{secret}")
    tried("DELETE", "compute", f"compute/v1/projects/{project}/zones/{zone}/instances/{name}")


if __name__ == "__main__":
    main()
