"""How a plan's groups run on this machine."""

from __future__ import annotations

from scalable_local.layout import lay_out
from scalable_local.machine import Machine

LARGE = Machine(cpus=64, memory=2**40)


def modes(layout):
    return {group.name: group.mode for group in layout.groups}


def test_processes_are_the_default(make_plan, group):
    """Without ``processes: false`` every group is processes, and nothing is said."""
    layout = lay_out(make_plan(group("a", timeout=True), group("b", env={"A": "1"})), LARGE)

    assert modes(layout) == {"a": "processes", "b": "processes"}
    assert layout.problems == ()


def test_threads_where_they_can_keep_what_the_groups_need(make_plan, group):
    """One line for each group that cannot be threads says why; the others are."""
    plan = make_plan(
        group("timed", timeout=True),
        group("first", env={"A": "1"}),
        group("same", env={"A": "1"}),
        group("other"),
        processes=False,
    )

    layout = lay_out(plan, LARGE)

    assert modes(layout) == {
        "timed": "processes",
        "first": "threads",
        "same": "threads",
        "other": "processes",
    }
    assert not layout.in_this_process
    assert [problem.message for problem in layout.problems] == [
        "the workers of 'timed' run in processes: "
        "one of its tasks has a timeout, which threads cannot keep",
        "the workers of 'other' run in processes: "
        "its env differs from that of 'first', and threads have only one",
    ]
    assert {("W1402", "warning")} == {(p.code, p.severity) for p in layout.problems}


def test_a_group_with_an_image_runs_in_containers(make_plan, group):
    """Where the target uses containers."""
    plan = make_plan(
        group("boxed", image="python:3.12", runtime="podman"), group("bare"), containers="podman"
    )

    layout = lay_out(plan, LARGE)

    assert modes(layout) == {"boxed": "container", "bare": "processes"}
    assert layout.problems == ()


def test_what_is_asked_for_and_not_given_is_said(make_plan, group):
    """Mounts without a container and GPUs are warnings, not silence."""
    plan = make_plan(group(mounts={"/data": "/data"}, gpus=1))

    layout = lay_out(plan, LARGE)

    assert [problem.code for problem in layout.problems] == ["W1405", "W1406"]
    assert {problem.severity for problem in layout.problems} == {"warning"}


def test_the_sizes_are_those_that_fit(make_plan, group):
    """A layout carries what `fit` gives, warning included."""
    plan = make_plan(group(maximum=4, cpus=4.0, threads=4, memory=16 * 2**30), processes=False)

    layout = lay_out(plan, Machine(cpus=2, memory=8 * 2**30))

    assert (layout.groups[0].size.threads, layout.groups[0].size.memory) == (1, 2 * 2**30)
    assert [problem.code for problem in layout.problems] == ["W1401"]
