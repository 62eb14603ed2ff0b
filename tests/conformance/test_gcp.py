"""The `gcp` provider passes the conformance kit on a local Google Cloud that runs its workers."""

from __future__ import annotations

import pytest

from scalable_core.testing.conformance import ClusterConformance


@pytest.mark.slow  # minutes: each member is a process of its own
class TestGcpClusters(ClusterConformance):
    """Cloud Run."""

    provider = "gcp"
    kills = 4
    target = {
        "region": "us-central1",
        "image": "us-central1-docker.pkg.dev/study-project/models/demeter:2",
    }

    @pytest.fixture(autouse=True, scope="class")
    def service(self, request, tmp_path_factory, environ):
        """A user of the local Google Cloud."""
        from gcp.testbed import Testbed

        with Testbed(tmp_path_factory.mktemp("local-gcp")) as bed:
            environ.update(bed.environment)
            bed.tell("images", **{"models/demeter:2": f"sha256:{'1' * 64}"})
            request.cls.bed = bed
            yield
