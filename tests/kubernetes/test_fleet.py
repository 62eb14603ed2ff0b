"""Fleets of real pods: what is asked for comes, what is lost is replaced, and nothing is left."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import threading
import time

import pytest
from attrs import evolve

from scalable_core.types import Adaptive, WorkerGroup


def make_calls():
    """Functions that travel by value: pods do not have this module."""

    def square(x):
        import time

        time.sleep(0.3)
        return x * x

    def square_on_word(x):
        from distributed import Event

        Event("word").wait()
        return x * x

    def size_on_word():
        from distributed import Event, get_worker

        Event("word").wait()
        worker = get_worker()
        return worker.name, worker.memory_manager.memory_limit

    return square, square_on_word, size_on_word


square, square_on_word, size_on_word = make_calls()


@pytest.fixture
def components():
    """Two components of different sizes."""
    common = {"threads": 1, "minimum": 0, "image": "python:3"}
    return (
        WorkerGroup(name="small", cpus=0.5, memory=2**30, maximum=6, **common),
        WorkerGroup(name="large", cpus=4.0, memory=8 * 2**30, maximum=6, **common),
    )


def test_two_components_grow_from_nothing_and_go_again_and_no_result_is_lost(
    kubernetes, namespace, make_plan, components, start, wait_until
):
    """Each gets pods of its own size for its own calls; who goes has handed over what it holds."""
    from distributed import Event

    adaptive = Adaptive(minimum=0, maximum=6)
    fleet, client = start(make_plan(groups=components, adaptive=adaptive), data={})
    assert fleet.members("small") == fleet.members("large") == ()
    fleet.request_workers()

    futures = client.map(square_on_word, range(60), resources={"component:small": 0.0})
    large = client.submit(size_on_word, resources={"component:large": 0.0})

    def here():
        return [worker["name"] for worker in list(fleet.scheduler_info["workers"].values())]

    # Nobody goes while all calls wait for the word.
    wait_until(lambda: len(here()) > 3 and any("-large-" in name for name in here()), timeout=200)
    most = len(here())
    assert most <= 6
    pods = [(pod["metadata"]["labels"], pod["spec"]) for pod in kubernetes.pods(namespace)]
    requests = {
        labels["scalable-group"]: spec["containers"][0]["resources"] for labels, spec in pods
    }
    Event("word", client=client).set()
    assert client.gather(futures) == [x * x for x in range(60)]
    name, memory = large.result(timeout=120)
    assert memory == 8 * 2**30
    assert "-large-" in name
    assert requests["large"]["limits"] == {"cpu": "4", "memory": str(8 * 2**30)}
    assert requests["small"]["requests"] == {"cpu": "500m", "memory": str(2**30)}

    wait_until(lambda: len(here()) < most)
    assert client.gather(futures) == [x * x for x in range(60)]
    del futures, large
    wait_until(lambda: not fleet.scheduler_info["workers"])
    wait_until(lambda: len(kubernetes.pods(namespace)) == 1)  # the scheduler alone


def test_the_name_of_a_pod_is_that_of_its_worker(kubernetes, namespace, make_plan, start):
    """Who sees one in Dask's dashboard finds it with kubectl; everything has one owner."""
    fleet, client = start(make_plan(2), workers=2)

    names = {worker["name"] for worker in client.scheduler_info()["workers"].values()}
    short = fleet.fleet.run[len("run-20260101-000000-") :]
    pods = {pod["metadata"]["name"]: pod for pod in kubernetes.pods(namespace)}
    assert names == {f"{short}-analysis-0", f"{short}-analysis-1"}
    assert set(pods) == {*names, f"{short}-scheduler-0"}
    first = [fleet.logs(name, 500)[:1] for name in ("scheduler-0", f"{short}-scheduler-0")]
    assert first[0]
    assert first[0] == first[1]
    owners = {pod["metadata"]["ownerReferences"][0]["name"] for pod in pods.values()}
    assert owners == {f"scalable-{short}"}


def test_one_deletion_of_the_owner_ends_everything(
    kubernetes, namespace, make_plan, start, wait_until
):
    """Whatever happens to the driver, the cluster itself removes pods, Secret, Service and rules."""
    fleet, _ = start(make_plan(1), workers=1)
    name = fleet.crew.launcher.data["name"]
    core = f"/api/v1/namespaces/{namespace}"
    assert kubernetes.ask("GET", f"{core}/secrets/{name}")["type"] == "Opaque"

    kubernetes.ask("DELETE", f"{core}/configmaps/{name}")

    wait_until(lambda: not kubernetes.pods(namespace))
    gone = [f"{core}/secrets/{name}", f"{core}/services/{name}"]
    gone += [f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies/{name}"]
    policy = "v1beta1" if kubernetes.minor < 21 else "v1"
    gone += [f"/apis/policy/{policy}/namespaces/{namespace}/poddisruptionbudgets/{name}"]
    for path in gone:
        wait_until(lambda path=path: kubernetes.ask("GET", path, ok=False).get("code") == 404)


def test_a_pod_that_is_killed_is_replaced_and_costs_no_call(
    kubernetes, namespace, make_plan, start, wait_until
):
    """Its calls run elsewhere, and what has become of it is said."""
    fleet, client = start(make_plan(2), workers=2)
    futures = client.map(square, range(40))
    wait_until(lambda: sum(future.done() for future in futures) > 3)
    victim = fleet.members("analysis")[0]
    workers = client.scheduler_info()["workers"].items()
    (address,) = [address for address, worker in workers if worker["name"] == victim]
    nanny = client.run(os.getppid, workers=[address])

    os.kill(next(iter(nanny.values())), signal.SIGKILL)

    assert client.gather(futures) == [x * x for x in range(40)]
    wait_until(lambda: victim not in fleet.members("analysis"))
    client.wait_for_workers(2, timeout=60)
    wait_until(lambda: fleet.sink.texts("worker.lost"))
    assert "137" in fleet.sink.texts("worker.lost")[0]


def test_a_run_survives_the_restart_of_the_api_server(kubernetes, make_plan, start, wait_until):
    """The way to the scheduler breaks in the middle and goes on over the next one; no call is lost."""
    fleet, client = start(make_plan(2), workers=2)
    futures = client.map(square, range(40))
    wait_until(lambda: sum(future.done() for future in futures) > 3)
    (forward,) = fleet.crew.launcher._forwards.values()
    links = forward.links

    kubernetes.stop_api()
    time.sleep(2)
    kubernetes.start_api()

    assert client.gather(futures) == [x * x for x in range(40)]
    assert forward.links > links
    assert client.submit(square, 9).result(timeout=60) == 81
    client.scheduler_info()
    fleet.scale(3)
    client.wait_for_workers(3, timeout=90)


def test_links_that_are_cut_again_and_again_lose_not_a_byte(
    kubernetes, make_plan, start, tmp_path, wait_until
):
    """Data in both directions, and whatever the driver asks the API server meanwhile, go on over new ones."""
    from kube_cutter import Cutter

    with Cutter(kubernetes.server) as way:
        config = tmp_path / "kubeconfig"
        config.write_text(kubernetes.kubeconfig().read_text().replace(kubernetes.server, way.url))
        plan = make_plan(2)
        options = evolve(plan.target.options, kubeconfig=str(config))
        fleet, client = start(evolve(plan, target=evolve(plan.target, options=options)), workers=2)
        (forward,) = fleet.crew.launcher._forwards.values()
        over = threading.Event()

        def cut():
            while not over.wait(0.5):
                way.cut()

        cutting = threading.Thread(target=cut)
        cutting.start()
        try:
            for turn in range(3):
                data = random.Random(turn).randbytes(12 * 2**20)
                (sent,) = client.scatter([data])
                assert (
                    client.submit(lambda data: data[::-1], sent).result(timeout=120)[::-1] == data
                )
            fleet.scale(3)
            wait_until(lambda: way.cuts > 5 and forward.links > 5)
        finally:
            over.set()
            cutting.join()
        client.wait_for_workers(3, timeout=120)
        assert fleet.sink.texts("worker.lost") == []
        client.close()
        fleet.close()


def test_the_workers_of_a_lost_node_are_replaced_on_another(
    kubernetes, namespace, make_plan, start, wait_until
):
    """A node that does not answer any more takes its workers with it; the calls go on elsewhere."""
    prefer = {"weight": 100, "preference": {"matchExpressions": [
        {"key": "kubernetes.io/hostname", "operator": "In", "values": ["n2"]}]}}  # fmt: skip
    affinity = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [prefer]}}
    bears = ({"key": "testbed/node", "operator": "Equal", "value": "n2"},)
    fleet, client = start(make_plan(2, affinity=affinity, tolerations=bears), workers=2)
    before = fleet.members("analysis")
    assert {m.zone for s in fleet.crew.seats.values() if (m := s.member)} == {"n1", "n2"}
    futures = client.map(square, range(30))
    try:
        kubernetes.lose_node("n2")
        assert client.gather(futures) == [x * x for x in range(30)]
        client.wait_for_workers(2, timeout=90)
        wait_until(lambda: not set(before) & set(fleet.members("analysis")))
        wait_until(lambda: not kubernetes.node_ready("n2"))
    finally:
        kubernetes.start_node("n2")
        kubernetes.wait_for(lambda: kubernetes.node_ready("n2"), "node n2")


def test_the_node_of_the_scheduler_is_lost_and_the_run_ends_with_that_sentence(
    kubernetes, namespace, make_plan, start, wait_until, tmp_path, monkeypatch
):
    """Long before any deadline; and closing leaves nothing."""
    monkeypatch.setattr("scalable_kubernetes.observe.SILENT", 4.0)
    monkeypatch.setattr("scalable_kubernetes.removal.STRUCK_OFF", 2.0)
    bears = {"key": "testbed/node", "operator": "Equal", "value": "n2", "effect": "NoSchedule"}
    spec = {"nodeSelector": {"kubernetes.io/hostname": "n2"}, "tolerations": [bears]}
    (tmp_path / "pod.yaml").write_text(json.dumps({"spec": spec}))
    fleet, client = start(make_plan(1, pod_template="pod.yaml"), workers=1)
    (pod,) = [
        each for each in kubernetes.pods(namespace) if "-scheduler-" in each["metadata"]["name"]
    ]
    assert pod["spec"]["nodeName"] == "n2"
    try:
        kubernetes.lose_node("n2")
        failure = wait_until(lambda: fleet.failure)
        assert "its node n2 does not answer any more" in failure.message
        client.close()
        fleet.close()
    finally:
        kubernetes.start_node("n2")
        kubernetes.wait_for(lambda: kubernetes.node_ready("n2"), "node n2")
    assert kubernetes.pods(namespace) == []


def test_who_has_no_certificate_of_the_run_gets_nowhere(kubernetes, make_plan, start):
    """Neither without TLS, nor with certificates of another run, through the forwarded port or the service."""
    from distributed import Client, Security, rpc

    from scalable_core.cluster.certificates import make_certificates

    fleet, _ = start(make_plan(1), workers=1)
    inside = f"{fleet.crew.launcher._service}:8786"
    outside = fleet.scheduler_address.partition("://")[2]
    other = make_certificates("another", 600).driver_security()

    async def ask(address, security):
        args = security.get_connection_args("client") if security else {}
        async with rpc(address, connection_args=args, timeout=2) as scheduler:
            return await scheduler.identity()

    for place in (inside, outside):
        for scheme, security in (("tcp", None), ("tls", other)):
            with pytest.raises((OSError, ValueError)):
                asyncio.run(ask(f"{scheme}://{place}", security))
    with pytest.raises((OSError, ValueError, TypeError)):
        Client(f"tls://{outside}", security=Security(), timeout=2)
    assert asyncio.run(ask(f"tls://{inside}", fleet.security))["type"].endswith("Scheduler")


def test_closing_leaves_nothing_behind(kubernetes, namespace, make_plan, start):
    """Neither objects nor open entries in the ledger."""
    fleet, client = start(make_plan(2), workers=2)
    client.close()
    fleet.close()

    kinds = ("pods", "configmaps", "services")
    core = f"/api/v1/namespaces/{namespace}"
    listed = [kubernetes.ask("GET", f"{core}/{kind}")["items"] for kind in kinds]
    left = [item["metadata"]["name"] for items in listed for item in items]
    assert [name for name in left if name.startswith(("scalable", "calm"))] == []
    secrets = kubernetes.ask("GET", f"{core}/secrets")["items"]
    assert [s["metadata"]["name"] for s in secrets if s["type"] == "Opaque"] == []
    assert fleet.fleet.ledger.entries == ()
