"""How members on AWS find the run's documents: what is below the mark travels to them as text.

It runs in images that have no SDK, so it signs its one request by itself. Its credentials are those of the
task's role, which may read the parameters of its own project and nothing else.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable
from typing import Any

PLACE = ""

# -- what travels --------------------------------------------------------------------------------------
import base64  # noqa: E402
import datetime  # noqa: E402
import hashlib  # noqa: E402
import hmac  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import random  # noqa: E402
import time  # noqa: E402
import urllib.request  # noqa: E402
import zlib  # noqa: E402

_documents: dict[str, str] = {}


def read(key: str) -> str | None:
    """Return a document, or None while it is not there."""
    if key not in _documents:
        try:
            _documents.update(join_documents(_parameters()))
        except Exception as error:  # it may not be allowed yet, or not now
            said = error.read().decode("utf-8", "replace") if hasattr(error, "read") else ""
            sys.stderr.write(f"the documents in {PLACE} cannot be read yet: {error} {said}\n")
        if key not in _documents:  # many members ask; AWS allows forty calls a second
            time.sleep(random.uniform(0.5, 3.0) * float(os.environ.get("SCALABLE_HASTE", "1")))
    return _documents.get(key)


def host() -> str:
    """Return the own address of this task, or of the machine that it shares."""
    if "SCALABLE_HOST" in os.environ:
        return os.environ["SCALABLE_HOST"]
    return str(_task()["Networks"][0]["IPv4Addresses"][0])


def task() -> str:
    """Return the ARN of this task."""
    return str(_task()["Labels"]["com.amazonaws.ecs.task-arn"])


def forget() -> None:
    """Delete the documents; who has read them needs them no more."""
    names = [path for path, _ in _parameters()]
    for start in range(0, len(names), 10):
        body = json.dumps({"Names": names[start : start + 10]}).encode()
        _ask("ssm", "AmazonSSM.DeleteParameters", body)


def name(wait: Callable[[str], Any], names: str) -> str:
    """Return the name that this task was given, once the driver knows which tasks there are."""
    if names != "*":
        return names
    own = os.environ.get("SCALABLE_MEMBER")
    if own is None:
        own = task().rpartition("/")[2]
    while True:
        given = wait("names")
        if own in given:
            return str(given[own])
        del _documents["names"]
        time.sleep(random.uniform(0.5, 3.0))


def notice() -> str | None:
    """Return what EC2 says once it is about to take a Spot machine back; tasks are told by a signal."""
    if "SCALABLE_MEMBER" not in os.environ:
        return None
    try:
        said = json.loads(_metadata("spot/instance-action"))
    except Exception:  # nothing is there until it is meant
        return None
    return "EC2 takes this Spot machine back: {action} at {time}".format(**said)


def join_documents(parameters: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the documents in parameters named ``<number>-<part>-<parts>``.

    Later ones replace earlier ones, but those called ``names``, each of which adds some.
    """
    parcels: dict[tuple[int, int], dict[int, str]] = {}
    for path, text in parameters:
        number, part, parts = map(int, path.rpartition("/")[2].split("-"))
        parcels.setdefault((number, parts), {})[part] = text
    documents: dict[str, str] = {}
    names: dict[str, str] = {}
    for (_, parts), texts in sorted(parcels.items()):
        if len(texts) == parts:
            packed = "".join(texts[part] for part in range(parts))
            found = json.loads(zlib.decompress(base64.b64decode(packed)))
            names.update(json.loads(found.pop("names", "{}")))
            documents.update(found)
    return {**documents, "names": json.dumps(names)} if names else documents


def _task() -> dict[str, Any]:
    return dict(json.loads(_get(os.environ["ECS_CONTAINER_METADATA_URI_V4"])))


def _get(url: str, method: str = "GET", **headers: str) -> bytes:
    """Ask this machine, whatever proxy the image is set up for."""
    straight = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    question = urllib.request.Request(url, headers=named, method=method)
    with straight.open(question, timeout=10) as answer:
        return bytes(answer.read())


def _metadata(path: str) -> str:
    """Return what an instance of EC2 knows of itself (IMDS, version 2)."""
    place = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254")
    token = _get(
        f"{place}/latest/api/token", "PUT", X_aws_ec2_metadata_token_ttl_seconds="60"
    ).decode()
    data = _get(f"{place}/latest/meta-data/{path}", X_aws_ec2_metadata_token=token)
    return data.decode()


def _parameters() -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    token: dict[str, str] = {}
    while True:
        body = {"Path": PLACE, "WithDecryption": True, "MaxResults": 10, **token}
        answer = json.loads(_ask("ssm", "AmazonSSM.GetParametersByPath", json.dumps(body).encode()))
        found += [(each["Name"], each["Value"]) for each in answer["Parameters"]]
        if not answer.get("NextToken"):
            return found
        token = {"NextToken": answer["NextToken"]}


def _ask(service: str, target: str, body: bytes) -> bytes:
    """Send one request, signed as AWS wants it (Signature Version 4)."""
    keys = _credentials()
    region = os.environ["AWS_REGION"]
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    place = "api.ecr" if service == "ecr" else service
    url = os.environ.get("AWS_ENDPOINT_URL") or f"https://{place}.{region}.{domain}"
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")  # noqa: UP017
    headers = {
        "content-type": "application/x-amz-json-1.1",
        "host": url.split("/")[2],
        "x-amz-date": now,
        "x-amz-security-token": keys["Token"],
        "x-amz-target": target,
    }
    signed = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = f"POST\n/\n\n{lines}\n{signed}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{now[:8]}/{region}/{service}/aws4_request"
    digest = hashlib.sha256(request.encode()).hexdigest()
    key = ("AWS4" + keys["SecretAccessKey"]).encode()
    for word in scope.split("/"):
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{digest}"
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    who = f"Credential={keys['AccessKeyId']}/{scope}"
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 {who}, SignedHeaders={signed}, Signature={signature}"
    )
    post = urllib.request.Request(url + "/", data=body, headers=headers, method="POST")
    with urllib.request.urlopen(post, timeout=10) as answer:
        return bytes(answer.read())


def _credentials() -> dict[str, str]:
    """Return those of the role that the task, or the machine, has."""
    if "SCALABLE_HOST" in os.environ:
        role = _metadata("iam/security-credentials/").split()[0]
        return dict(json.loads(_metadata(f"iam/security-credentials/{role}")))
    url = os.environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    if url is None:
        url = "http://169.254.170.2" + os.environ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]
    return dict(json.loads(_get(url)))


# -- end of what travels -------------------------------------------------------------------------------


def reader_source() -> str:
    """Return what travels, for `scalable_core.cluster.launcher.Fleet.program`."""
    text = inspect.getsource(sys.modules[__name__])
    return text.split("# -- what travels")[1].partition("\n")[2].partition("# -- end of")[0]
