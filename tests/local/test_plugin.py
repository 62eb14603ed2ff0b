"""The hooks of the local provider, besides the cluster itself."""

from __future__ import annotations

import os
import subprocess
import sys

import attrs
import psutil

from scalable_core.types import ClusterRecord, HookContext, Target, to_data
from scalable_local import plugin
from scalable_local.machine import cpu_count
from scalable_local.options import LocalOptions
from scalable_local.release import process_resource


def target(**options):
    return Target(name="local", provider="local", options=LocalOptions(**options))


def test_every_option_has_a_default_and_a_word_of_help():
    """``local: {provider: local}`` is a whole target."""
    fields = attrs.fields(plugin.target_options())

    assert cpu_count() == LocalOptions().max_workers
    assert all(field.metadata["help"] for field in fields)


def test_loading_the_plugin_and_planning_import_no_dask(make_plan):
    """Options, rules, estimate and preflight are answered without dask."""
    script = (
        "import sys\n"
        "from scalable_local import plugin\n"
        "from scalable_core.types import Target\n"
        "options = plugin.target_options()()\n"
        "plugin.check_target(Target(name='local', provider='local', options=options))\n"
        "import scalable_local.layout, scalable_local.machine, scalable_local.checks\n"
        "print(sorted({'dask', 'distributed', 'psutil'} & set(sys.modules)))\n"
    )

    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "[]"


def test_an_image_without_containers_is_a_warning():
    """It would be ignored without a word otherwise."""
    problems = plugin.check_target(target(image="python:3.12"))

    assert [(p.code, p.where, p.severity) for p in problems] == [("W1404", "image", "warning")]
    assert plugin.check_target(target(image="python:3.12", containers="podman")) == []


def test_local_costs_nothing_and_says_so(make_plan, group):
    """One line for each component, with a price of 0 that is known, not unknown."""
    estimate = plugin.estimate_cost(make_plan(group("a"), group("b")))

    assert estimate.expected == 0.0
    assert estimate.basis == "this machine; nothing is billed"
    assert [(line.component, line.unit_price) for line in estimate.lines] == [
        ("a", 0.0),
        ("b", 0.0),
    ]
    assert estimate.unpriced == ()
    assert to_data(estimate)


def test_preflight_warns_and_never_stops(make_plan, group):
    """What this machine cannot hold is smaller, and the run goes on."""
    problems = plugin.preflight(make_plan(group(maximum=2, memory=2**50)))

    assert [(p.code, p.severity) for p in problems] == [("W1401", "warning")]


def test_leftover_workers_are_released_from_the_record_alone():
    """A process that the record names is killed; asked again it is still gone."""
    process = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    resource = process_resource(process.pid, "run-1")
    record = ClusterRecord(
        provider="local",
        run="run-1",
        project="test",
        target="local",
        created="2026-01-01T00:00:00Z",
        resources=(resource,),
    )

    dry = plugin.release_cluster(record, HookContext(dry_run=True))
    assert (resource,) == dry.remaining
    assert process.poll() is None

    for _ in range(2):
        report = plugin.release_cluster(record, HookContext())
        assert ((resource,), ()) == (report.released, report.remaining)
    assert not psutil.pid_exists(process.pid)


def test_a_process_that_only_has_the_same_id_is_left_alone():
    """Ids are given again; the time of birth tells them apart."""
    mine = process_resource(os.getpid(), "run-1")
    record = ClusterRecord(
        provider="local",
        run="run-1",
        project="test",
        target="local",
        created="2026-01-01T00:00:00Z",
        resources=(attrs.evolve(mine, id=f"{os.getpid()}@1.00"),),
    )

    report = plugin.release_cluster(record, HookContext())

    assert report.remaining == ()
