"""Hooks around a class of Dask clusters: one kind of worker, asked for late, and no claim that is not so."""

from __future__ import annotations

import json

import pytest

from scalable_core.adopt import adopt
from scalable_core.errors import UsageError
from scalable_core.plugins import PluginHost
from scalable_core.session.planning import load, make_plan
from scalable_core.types import ClusterRecord, HookContext, ReleaseReport


class Cluster:
    """Writes down what is asked of it."""

    def __init__(self):
        self.asked = []

    def scale(self, n):
        self.asked.append(n)

    def adapt(self, **bounds):
        self.asked.append(bounds)


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Makes a plan of two components."""
    monkeypatch.setenv("HUSH", "hunter2")

    def make(first=None, second=None, **target):
        components = {
            "first": {"cpus": 1, "memory": "1G", **(first or {})},
            "second": {"cpus": 2, "memory": "500M", **(second or {})},
        }
        document = {
            "version": 1,
            "project": {"name": "study"},
            "targets": {"there": {"provider": "local", **(target or {"max_workers": 3})}},
            "components": components,
            "tasks": {name: {"component": name} for name in components},
        }
        path = tmp_path / "scalable.yaml"
        path.write_text(json.dumps(document))
        host = PluginHost()
        return make_plan(load(path, target="there", host=host), host=host)

    return make


def start(plan, workers):
    """Start a cluster that remembers what its workers should be."""
    cluster = Cluster()
    cluster.workers = workers
    return cluster


CONTEXT = HookContext(project="study", secrets=lambda: {"SIGNING": "key"})


def test_one_kind_of_worker_is_enough_for_every_component(make):
    """The largest of each, the resources of all, and their environments together."""
    plan = make({"env": {"WORD": "${HUSH}"}}, {"env": {"OTHER": "1"}})

    workers = adopt("acme", start).provision_cluster(plan, CONTEXT).workers

    assert (workers.cpus, workers.threads, workers.memory) == (2, 2, 2**30)
    assert set(workers.resources) == {"component:first", "component:second"}
    assert workers.environment == {"WORD": "hunter2", "OTHER": "1", "SIGNING": "key"}
    assert "hunter2" not in repr(workers)


def test_components_that_cannot_share_a_worker_are_refused(make):
    """One variable cannot have two values."""
    plan = make({"env": {"WORD": "a"}}, {"env": {"WORD": "b"}})

    with pytest.raises(UsageError, match="component 'second' wants another value of WORD"):
        adopt("acme", start).provision_cluster(plan, CONTEXT)


def test_workers_are_asked_for_once_and_not_before_they_are_needed(make):
    """The cluster starts empty; the first request scales it, or lets it follow the work."""
    for bounds, wanted in [
        ({"max_workers": 3}, 3),
        ({"adaptive": {"minimum": 1, "maximum": 4}}, {"minimum": 1, "maximum": 4}),
    ]:
        cluster = adopt("acme", start).provision_cluster(make(**bounds), CONTEXT)
        assert (cluster.workers.count, cluster.asked) == (0, [])
        cluster.request_workers()
        cluster.request_workers()
        assert cluster.asked == [wanted]


def test_a_class_that_cannot_scale_has_all_its_workers_at_once(make):
    """Nobody asks it later."""
    cluster = adopt("acme", start, scales=False).provision_cluster(make(), CONTEXT)

    assert cluster.workers.count == 3
    assert not hasattr(cluster, "request_workers")


def test_a_price_that_nobody_has_said_is_unknown(make):
    """And 0 only where somebody says why."""
    plan = make()

    assert adopt("acme", start).estimate_cost(plan).expected is None
    free = adopt("acme", start, free="our own machines").estimate_cost(plan)
    assert free.expected == 0
    assert {line.source for line in free.lines} == {"our own machines"}


def test_a_plan_is_warned_of_what_the_cluster_does_not_do(make):
    """Unless the author says that it does."""
    plan = make({"gpus": 1})

    (problem,) = adopt("acme", start).preflight(plan)
    assert (problem.code, problem.severity) == ("W0403", "warning")
    assert "does not use the gpus of component 'first'" in problem.message
    assert adopt("acme", start, uses=("gpus",)).preflight(plan) == []


def test_release_is_the_authors_own_where_something_may_be_left():
    """Without one nothing can be: that is what the report says."""
    record = ClusterRecord(
        provider="acme", run="run-1", project="study", target="there", created="2026-01-01"
    )
    mine = ReleaseReport(provider="acme", notes=("two jobs cancelled",))

    assert adopt("acme", start, release=lambda _: mine).release_cluster(record) is mine
    assert "end with the process" in adopt("acme", start).release_cluster(record).notes[0]
