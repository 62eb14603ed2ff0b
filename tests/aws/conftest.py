"""Real servers for the tests of AWS, as processes of their own, and a proxy that does wrong."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from localstack_client.session import Session

from scalable_aws import client
from scalable_core.types import HookContext

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "testbed"))

from aws.faults import FaultProxy  # noqa: E402
from aws.testbed import Testbed  # noqa: E402


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of moto's server."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    environ = {**os.environ, "MOTO_IAM_LOAD_MANAGED_POLICIES": "false"}
    log = tmp_path_factory.mktemp("moto") / "log"
    with open(log, "wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environ)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{url}/moto-api/data.json", timeout=30).close()
                break
            except OSError:
                assert process.poll() is None, log.read_text()
                time.sleep(0.1)
        yield url
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def fast_s3() -> Iterator[str]:
    """The URL of the benchmarks' server, where the step that takes a name is atomic, as it is on S3."""
    script = ROOT / "benchmarks" / "servers" / "small_s3.py"
    process = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Credentials that no real account has, and quick second attempts."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setattr(client, "PATIENCE", client.Patience(attempts=5, first=0.05))


@pytest.fixture
def s3(moto: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A boto3 client of S3, set up by localstack-client, and the same endpoint in the environment."""
    monkeypatch.setenv("LOCALSTACK_HOST", moto.removeprefix("http://"))
    theirs = Session().client("s3")
    monkeypatch.setenv("AWS_ENDPOINT_URL", theirs.meta.endpoint_url)
    return theirs


@pytest.fixture
def bucket(s3: Any) -> str:
    """The name of an empty bucket."""
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def proxy(bucket: str, moto: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """What stands between us and moto's server."""
    with FaultProxy(moto) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy


@pytest.fixture
def context(tmp_path: Path) -> HookContext:
    """The circumstances of a call, with a sink that keeps what it hears."""

    class Kept(list):
        emit = list.append

    return HookContext(project="p", run="run-1", workdir=tmp_path, events=Kept())


@pytest.fixture(scope="session")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Testbed]:
    """A local AWS whose members are real servers of Dask, many in one process."""
    clock = {"provision": 0.1, "pull": 0.1, "teardown": 0.1}
    with Testbed(tmp_path_factory.mktemp("local-aws"), hive=True, **clock) as bed:
        yield bed


@pytest.fixture(scope="session")
def real_bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Testbed]:
    """A local AWS whose members are processes, as containers are."""
    with Testbed(tmp_path_factory.mktemp("real-aws")) as bed:
        yield bed


@pytest.fixture
def become(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes this process a new user of a local AWS, and returns the user's access key: become(bed)."""

    def become(bed: Testbed) -> str:
        key = f"AKIA{uuid.uuid4().hex[:12].upper()}"
        for name, value in {**bed.environment, "AWS_ACCESS_KEY_ID": key}.items():
            monkeypatch.setenv(name, value)
        return key

    return become
