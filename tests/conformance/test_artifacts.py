"""The clouds' providers pass the kit's checks of artifacts and storage, on servers of this machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scalable_core.testing.conformance import ArtifactConformance


class TestAwsArtifacts(ArtifactConformance):
    """S3."""

    provider = "aws"
    target = {"region": "us-east-1"}

    @pytest.fixture(autouse=True, scope="class")
    def place(self, request):
        """A bucket."""
        from bucket import s3_bucket

        with s3_bucket("conformance") as uri:
            request.cls.artifact_place = uri
            yield


class TestGcpArtifacts(ArtifactConformance):
    """Cloud Storage."""

    provider = "gcp"
    target = {"region": "us-central1"}
    artifact_place = "gs://bucket/conformance"

    @pytest.fixture(autouse=True, scope="class")
    def place(self, environ):
        """A server with a bucket named `bucket`."""
        script = Path(__file__).parents[1] / "testbed" / "gcp" / "storage.py"
        with subprocess.Popen(
            [sys.executable, script], stdout=subprocess.PIPE, text=True
        ) as server:
            environ["STORAGE_EMULATOR_HOST"] = server.stdout.readline().strip()
            yield
            server.kill()
