"""What a cluster refuses, or cannot give, ends in one sentence; what passes is borne."""

from __future__ import annotations

import datetime
import json
import socketserver
import threading

import pytest
import urllib3
from attrs import evolve

from scalable_core.errors import ClusterError, NoCapacityError
from scalable_core.types import HookContext, WorkerGroup
from scalable_kubernetes.access import from_endpoint
from scalable_kubernetes.observe import observe
from scalable_kubernetes.permissions import RIGHTS, each_right, role
from scalable_kubernetes.preflight import look, look_with
from scalable_kubernetes.release import find_with
from scalable_kubernetes.troubles import last_words


@pytest.fixture
def allow(kubernetes, namespace):
    """Gives a user rights in the namespace: allow("bob", rules)."""

    def allow(user, rules):
        root = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
        kubernetes.ask("POST", f"{root}/roles", {"metadata": {"name": user}, "rules": rules})
        group = "rbac.authorization.k8s.io"
        binding = {
            "metadata": {"name": user},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": user},
            "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
        }
        kubernetes.ask("POST", f"{root}/rolebindings", binding)
        headers = {"Authorization": f"Bearer {user}-token"}
        http = urllib3.PoolManager(ca_certs=str(kubernetes.pki / "ca.crt"))
        url = f"{kubernetes.server}/api/v1/namespaces/{namespace}/pods"
        kubernetes.wait_for(
            lambda: http.request("GET", url, headers=headers).status == 200, "the binding"
        )

    return allow


@pytest.fixture
def proxy(kubernetes):
    """A proxy in front of the API server that can do wrong."""
    from kube_faults import FaultProxy

    with FaultProxy(kubernetes.server, str(kubernetes.pki / "ca.crt")) as proxy:
        yield proxy


def rules(*, without=None):
    """The printed Role's rules, maybe without one verb on one resource."""
    from ruamel.yaml import YAML

    found = json.loads(json.dumps(YAML(typ="safe").load(role("any"))))["rules"]
    for rule in found:
        if without is not None and rule["resources"] == [without[1]]:
            rule["verbs"].remove(without[0])
    return [rule for rule in found if rule["verbs"]]


def messages(problems, severity):
    """Sentences of one severity."""
    return [problem.message for problem in problems if problem.severity == severity]


def test_the_printed_role_and_nothing_more_is_enough(
    kubernetes, namespace, make_plan, allow, start
):
    """For a whole run from outside of the cluster, and for the look before it."""
    allow("alice", rules())
    plan = make_plan(2, user="alice")
    context = HookContext(project="test")
    assert messages(look(plan, context), "error") == []

    fleet, client = start(plan, workers=2)
    assert client.submit(abs, -5).result(timeout=60) == 5
    client.close()
    fleet.close()
    assert kubernetes.pods(namespace) == []


def test_a_verb_that_is_missing_is_named_before_a_run_and_in_it(make_plan, allow, start):
    """The look before a run names it and what it is for; a run ends with one sentence and its cure."""
    allow("bob", rules(without=("create", "pods")))
    plan = make_plan(1, user="bob")

    (text,) = messages(look(plan, HookContext(project="test")), "error")
    assert "create pods (scheduler and workers)" in text
    assert text.startswith("1 of ")
    with pytest.raises(ClusterError, match=r"bob may not create pods in namespace") as caught:
        start(plan)
    assert "--print-policy" in caught.value.cure


def test_each_verb_that_is_missing_is_named_with_what_it_is_for(
    kubernetes, namespace, make_plan, allow, wait_until
):
    """One after the other is taken from the printed Role."""
    allow("carol", rules())
    plan, root = make_plan(1, user="carol"), "/apis/rbac.authorization.k8s.io/v1"
    for right, verb in each_right():
        document = {"metadata": {"name": "carol"}, "rules": rules(without=(verb, right.resource))}
        kubernetes.ask("PUT", f"{root}/namespaces/{namespace}/roles/carol", document)
        sentence = f"{verb} {right.resource} ({right.why})"

        def named(sentence=sentence):
            found = messages(look(plan, HookContext(project="test")), "error")
            return any(text.startswith("1 of ") and sentence in text for text in found)

        wait_until(named)


def test_every_right_that_is_asked_for_is_needed_by_something(make_plan, allow, start):
    """What creates the run's own objects fails without its right, each with the object's name."""
    allow("carol", rules(without=("create", "networkpolicies")))
    with pytest.raises(ClusterError, match="may not create networkpolicies"):
        start(make_plan(1, user="carol"))
    assert all(right.verbs and right.why for right in RIGHTS)


def test_a_quota_that_is_used_up_says_so_and_the_run_goes_on_with_what_it_has(
    kubernetes, namespace, make_plan, start, wait_until
):
    """Workers that the quota has no room for are not asked for again and again; the others work."""
    hard = {"pods": "3"}
    path = f"/api/v1/namespaces/{namespace}/resourcequotas"
    kubernetes.ask("POST", path, {"metadata": {"name": "small"}, "spec": {"hard": hard}})
    wait_until(lambda: "hard" in kubernetes.ask("GET", path)["items"][0].get("status", {}))
    plan = make_plan(5)
    (text,) = messages(look(plan, HookContext(project="test")), "warning")
    assert text == "quota small: pods has room for 3, and all workers need 6"

    fleet, client = start(plan, workers=2)
    assert client.gather(client.map(abs, range(-9, 0)))[0] == 9
    (short,) = fleet.sink.texts("fleet.short")
    assert "the namespace's quota is used up: small, requested: pods=1" in short


def test_an_image_that_cannot_be_pulled_ends_the_run_with_its_name(make_plan, start, monkeypatch):
    """With what the node has said of the pull: its status says only that it waits before the next."""
    monkeypatch.setattr("scalable_kubernetes.observe.IMAGE_PATIENCE", 3.0)
    monkeypatch.setattr("scalable_kubernetes.launcher.SAY_AFTER", 0.5)
    plan = make_plan(1)
    groups = tuple(evolve(group, image="missing.invalid/model:1") for group in plan.groups)
    with pytest.raises(ClusterError, match=r"ImagePullBackOff: Failed to pull .*NotFound"):
        start(evolve(plan, groups=groups))


def test_a_volume_that_is_not_there_is_named_by_what_the_node_says(
    make_plan, start, monkeypatch, wait_until
):
    """Only events tell; at once as an event of the run, and as the reason when there is no hope any more."""
    monkeypatch.setattr("scalable_kubernetes.launcher.SAY_AFTER", 0.5)
    monkeypatch.setattr("scalable_kubernetes.troubles.ASK_EVERY", 1.0)
    plan = make_plan(3, schedule_timeout=5.0)
    groups = tuple(evolve(g, mounts={"configmap:nowhere": "/etc/model"}) for g in plan.groups)
    fleet, client = start(evolve(plan, groups=groups))
    call = client.submit(abs, -1)

    text = wait_until(lambda: fleet.sink.texts("worker.waits"))[0]
    name, _, words = text.partition(" waits: ")
    assert "-analysis-" in name
    assert words.startswith("FailedMount: MountVolume.SetUp failed")
    assert 'configmap "nowhere" not found' in text
    with pytest.raises(ClusterError, match=r'it cannot start: FailedMount.*"nowhere" not found'):
        call.result(timeout=90)


@pytest.mark.parametrize(
    ("mark", "words"),
    [
        ("oom", "it has used more memory than its pod may"),
        ("evicted", "its node has evicted it: The node was low on resource: ephemeral-storage"),
    ],
)
def test_a_pod_that_is_ended_says_why_and_another_does_its_work(
    make_plan, start, wait_until, mark, words
):
    """Whether the kernel or its node has ended it."""
    fleet, client = start(make_plan(1), workers=1)

    def end(mark):
        import os
        import signal
        import threading
        from pathlib import Path

        Path(mark).write_text("The node was low on resource: ephemeral-storage.")
        threading.Timer(0.3, os.kill, (os.getppid(), signal.SIGKILL)).start()

    (victim,) = fleet.members("analysis")
    client.run(end, mark)
    (text,) = wait_until(lambda: fleet.sink.texts("worker.lost"))
    assert text.startswith(f"{victim} ended: {words}")
    assert "exit code 137" in text
    assert client.submit(abs, -2).result(timeout=90) == 2


def test_a_worker_that_no_node_takes_says_what_the_scheduler_says(
    kubernetes, make_plan, start, monkeypatch, wait_until
):
    """At once as an event, and as the end of its calls when it has waited too long."""
    monkeypatch.setattr("scalable_kubernetes.launcher.SAY_AFTER", 0.5)
    plan = make_plan(1, schedule_timeout=6.0)
    groups = tuple(evolve(group, cpus=900.0) for group in plan.groups)
    fleet, client = start(evolve(plan, groups=groups))
    call = client.submit(abs, -1)

    (text,) = wait_until(lambda: fleet.sink.texts("worker.waits"))
    assert "-analysis-0 waits: 0/2 nodes are available:" in text
    assert "Insufficient cpu" in text
    with pytest.raises(NoCapacityError, match="no node takes it: 0/2 nodes are available"):
        call.result(timeout=120)


def test_a_component_that_no_node_has_room_for_takes_no_other_along(
    kubernetes, make_plan, start, wait_until
):
    """Its calls end with what the scheduler says; those of the other go on."""
    large = {"cpus": 900.0, "memory": 2**30, "threads": 1, "minimum": 0, "image": "python:3"}
    plan = make_plan(2, schedule_timeout=5.0)
    few = tuple(evolve(group, maximum=1) for group in plan.groups)
    groups = (*few, WorkerGroup(name="large", maximum=1, **large))
    fleet, client = start(evolve(plan, groups=groups), workers=1)

    wait_until(lambda: fleet.sink.texts("fleet.short"))
    call = client.submit(abs, -1, resources={"component:large": 0.0})
    with pytest.raises(NoCapacityError, match=r"component 'large'.*no node takes it: 0/2 nodes"):
        call.result(timeout=120)
    assert client.submit(abs, -3, resources={"component:analysis": 0.0}).result(timeout=60) == 3


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"nodeSelector": {"disk": "golden"}}, "0/2 nodes are available: "),
        ({"schedulerName": "nobody"}, "the cluster does not say why"),
    ],
)
def test_a_scheduler_that_no_node_takes_ends_the_start_and_leaves_nothing(
    kubernetes, namespace, make_plan, start, tmp_path, spec, words
):
    """With one sentence, whether the cluster says why or nothing at all."""
    (tmp_path / "pod.yaml").write_text(json.dumps({"spec": spec}))
    plan = make_plan(1, schedule_timeout=6.0, pod_template="pod.yaml")
    with pytest.raises(NoCapacityError, match=f"-scheduler-0 .*no node takes it: {words}"):
        start(plan)
    assert kubernetes.pods(namespace) == []
    owners = kubernetes.ask("GET", f"/api/v1/namespaces/{namespace}/configmaps")["items"]
    assert not [each for each in owners if each["metadata"]["name"].startswith("scalable-")]


def test_an_api_server_that_asks_for_time_gets_it_and_one_that_forgets_is_asked_anew(
    kubernetes, namespace, make_plan, proxy, start
):
    """429 with Retry-After is waited for, 410 leads to a new list; neither costs a worker."""
    refused, expired = [], []

    def fault(method, path):
        if method == "POST" and path.endswith("/pods") and len(refused) < 4:
            refused.append(path)
            return 429, {"Retry-After": "1"}
        if "watch=true" in path and len(expired) < 3:
            expired.append(path)
            said = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
            return {"type": "ERROR", "object": said}
        return None

    proxy.fault = fault
    access = from_endpoint(proxy.url, None, lambda fresh: "admin-token", inside=True)
    fleet, client = start(make_plan(3), access=access, workers=3)

    assert client.submit(abs, -3).result(timeout=60) == 3
    assert (len(refused), len(expired)) == (4, 3)
    assert fleet.crew.launcher._watch.lists == 4
    assert fleet.sink.texts("fleet.short") == []


def test_a_token_that_is_refused_is_renewed_once(kubernetes, namespace, proxy):
    """A token may end before its time; who gives tokens is asked for a fresh one."""
    from scalable_kubernetes.api import Api, ApiError, path

    asked, current = [], ["old-token"]

    def token(fresh):
        asked.append(fresh)
        if fresh:
            current[0] = "admin-token"
        return current[0]

    api = Api(from_endpoint(proxy.url, None, token))
    assert api.get(path("v1", "pods", namespace))["items"] == []
    assert asked.count(True) == 1
    current[0] = "old-token"
    watch = [("watch", "true"), ("timeoutSeconds", "1")]
    assert list(api.stream(path("v1", "pods", namespace), watch)) == []
    assert asked.count(True) == 2

    never = Api(from_endpoint(proxy.url, None, lambda fresh: "never"))
    with pytest.raises(ApiError) as caught:
        never.get(path("v1", "pods", namespace))
    assert caught.value.status == 401
    assert len([each for each in proxy.seen if each[1].endswith("/pods")]) == 6


def test_a_namespace_that_is_not_there_and_a_server_that_is_not_there_are_said(
    kubernetes, make_plan, start
):
    """Each with what to do about it."""
    plan = make_plan(1)
    options = evolve(plan.target.options, namespace="nowhere")
    plan = evolve(plan, target=evolve(plan.target, options=options))
    with pytest.raises(ClusterError, match=r'namespaces "nowhere" not found') as caught:
        start(plan)
    assert "kubectl create namespace" in caught.value.cure
    options = evolve(options, context="wrong")
    plan = evolve(plan, target=evolve(plan.target, options=options))
    with pytest.raises(ClusterError, match="does not lead to a cluster"):
        start(plan)


def test_a_server_that_does_not_answer_is_asked_once_by_who_only_looks(make_plan, tmp_path):
    """`scalable doctor` and `status` say so at once, each with one sentence."""
    dialled = []

    class Mute(socketserver.BaseRequestHandler):
        def handle(self):
            dialled.append(self.client_address)

    plan = make_plan(1)
    with socketserver.TCPServer(("127.0.0.1", 0), Mute) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        access = from_endpoint(url, None, lambda fresh: "any-token")
        (problem,) = look_with(plan, plan.target.options, access, tmp_path)
        assert "the API server cannot be reached" in problem.message
        assert "kubectl get pods" in problem.cure
        with pytest.raises(ClusterError, match="any cannot be looked at: the API server cannot"):
            find_with(access, "any", None, HookContext(project="test"))
        server.shutdown()
    assert len(dialled) == 2


@pytest.mark.parametrize(
    ("group", "since", "more", "state"),
    [
        ("analysis", 30, {}, "running"),
        ("analysis", 70, {}, "stopping"),
        ("scheduler", 70, {}, "stopped"),
        ("scheduler", 70, {"readinessGates": [{"conditionType": "theirs"}]}, "running"),
    ],
)
def test_a_pod_whose_node_is_silent_is_given_up_after_a_while(group, since, more, state):
    """Long before the cluster itself deletes it; who else speaks for its readiness may keep it."""
    at = datetime.datetime.fromtimestamp(1e9 - since, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    pod = {
        "metadata": {"name": "it", "labels": {"scalable-group": group}, "creationTimestamp": at},
        "spec": {"nodeName": "n7", **more},
        "status": {
            "phase": "Running",
            "containerStatuses": [{"name": "member", "ready": True, "state": {"running": {}}}],
            "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": at}],
        },
    }
    member = observe(pod, now=1e9, patience=300.0)

    assert member.state == state
    assert (member.reason == "its node n7 does not answer any more") is (state != "running")


@pytest.mark.parametrize(("since", "state"), [(1700, "pending"), (1900, "stopped")])
def test_a_pod_that_its_node_never_starts_is_given_up_though_nothing_bad_is_said(since, state):
    """The largest image is pulled in half an hour; the scheduler's pod is one that nobody else gives up."""
    at = datetime.datetime.fromtimestamp(1e9 - since, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    waiting = {"waiting": {"reason": "ContainerCreating"}}
    pod = {
        "metadata": {"name": "it", "labels": {}, "creationTimestamp": at},
        "spec": {"nodeName": "n7"},
        "status": {
            "phase": "Pending",
            "containerStatuses": [{"name": "member", "ready": False, "state": waiting}],
            "conditions": [{"type": "PodScheduled", "status": "True", "lastTransitionTime": at}],
        },
    }
    member = observe(pod, now=1e9, patience=300.0)

    assert member.state == state
    text = None if state == "pending" else "its node n7 has not started it in 1900 s"
    assert member.reason == text


def test_the_last_word_of_events_counts_and_a_pull_that_failed_longer_than_its_next_try():
    """What was wrong and has passed is not said any more."""
    pulled = [
        {"reason": "Failed", "type": "Warning", "message": "Failed to pull: not found"},
        {"reason": "Failed", "type": "Warning", "message": "Error: ErrImagePull"},
        {"reason": "BackOff", "type": "Normal", "message": "Back-off pulling image"},
    ]
    mount = {"reason": "FailedMount", "type": "Warning", "message": "no secret"}
    timed = [{**each, "lastTimestamp": f"2026-01-01T00:00:0{i}Z"} for i, each in enumerate(pulled)]
    mount["lastTimestamp"] = "2025-12-31T00:00:00Z"

    assert last_words([]) is None
    assert last_words([*timed, mount]) == "Failed to pull: not found"
    assert last_words([mount]) == "FailedMount: no secret"
    pulling = {"reason": "Pulling", "type": "Normal", "message": "Pulling image"}
    assert last_words([mount, {**pulling, "eventTime": "2026-01-01T00:00:00.000000Z"}]) is None
