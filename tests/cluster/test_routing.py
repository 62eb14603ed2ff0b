"""How calls find the workers of their component."""

from __future__ import annotations

import pytest

from scalable_core.cluster import component_of, component_resource, task_resource


@pytest.fixture
def client():
    """Two workers of two threads, one of component a and one of b, under Dask's own scheduler."""
    from distributed import Client, Scheduler, SpecCluster, Worker

    workers = {
        f"{name}-0": {
            "cls": Worker,
            "options": {
                "nthreads": 2,
                "resources": component_resource(name),
                "dashboard_address": "127.0.0.1:0",
            },
        }
        for name in ("a", "b")
    }
    scheduler = {
        "cls": Scheduler,
        "options": {"protocol": "inproc://", "host": None, "dashboard_address": "127.0.0.1:0"},
    }
    with SpecCluster(workers=workers, scheduler=scheduler) as cluster, Client(cluster) as client:
        yield client


def test_a_call_runs_on_its_component_only(client):
    """Fifty calls on each of two components run where they belong."""

    def where():
        from distributed import get_worker

        return get_worker().name

    for name in ("a", "b"):
        calls = [client.submit(where, pure=False, resources=task_resource(name)) for _ in range(50)]
        assert {f"{name}-0"} == set(client.gather(calls))


def test_routing_does_not_limit_how_many_calls_run_at_once(client):
    """Routed calls that wait for routed calls of their own all end, however many there are."""
    resources = task_resource("a")

    def outer(i):
        from distributed import worker_client

        with worker_client() as client:
            return client.submit(lambda x: x + 1, i, resources=resources).result()

    assert list(range(1, 9)) == client.gather(client.map(outer, range(8), resources=resources))


def test_a_call_on_a_component_without_workers_waits(client):
    """It runs nowhere else."""
    from distributed import TimeoutError

    future = client.submit(abs, -1, resources=task_resource("c"))

    with pytest.raises(TimeoutError):
        future.result(timeout=1)


def test_a_group_names_the_resource_that_calls_ask_for():
    """What a plugin author gives to workers is what the routing looks for."""
    from scalable_core.types import WorkerGroup

    group = WorkerGroup(name="a", cpus=1, threads=1, minimum=0, maximum=1)
    assert group.resource == component_resource("a")


def test_a_component_is_read_back_from_resources():
    """Among others, and None where there is none."""
    assert component_of({"GPU": 1, **component_resource("solar-model")}) == "solar-model"
    assert component_of(task_resource("solar-model")) == "solar-model"
    assert component_of({"GPU": 1}) is None
    assert component_of(None) is None
