"""The `gcp` provider passes the conformance kit on a local Google Cloud that runs its workers."""

from __future__ import annotations

import pytest
from gcp_steps import look_often

from scalable_core.testing.conformance import ClusterConformance


class TestGcpClusters(ClusterConformance):
    """Cloud Run."""

    provider = "gcp"
    steps = "gcp_steps:count_calls"
    kills = 4
    target = {
        "region": "us-central1",
        "image": "us-central1-docker.pkg.dev/study-project/models/demeter:2",
    }

    @pytest.fixture(autouse=True, scope="class")
    def service(self, request, tmp_path_factory, environ):
        """A user of the local Google Cloud, which is looked at often."""
        from gcp.testbed import Testbed

        with Testbed(tmp_path_factory.mktemp("local-gcp"), hive=True) as bed:
            environ.update(bed.environment)
            bed.tell("settings", delay=0.0)
            bed.tell("images", **{"models/demeter:2": f"sha256:{'1' * 64}"})
            request.cls.bed = bed
            with pytest.MonkeyPatch.context() as patch:
                look_often(patch.setattr)
                yield

    def lose_worker(self, client, address):
        """End what runs in its instance, which Cloud Run then starts again."""
        name = client.scheduler_info(n_workers=-1)["workers"][address]["name"]
        state = self.bed.state
        (pool,) = [
            pool.rpartition("/")[2]
            for pool, body in state["pools"].items()
            if body["labels"]["scalable-run"] == client.session.run_id
            and name in str(body["annotations"])
        ]
        (instance,) = [
            id
            for id, each in state["instances"].items()
            if id.startswith(f"{pool}/") and each["member"] == name
        ]
        self.bed.tell("kill", id=instance)
