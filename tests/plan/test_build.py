"""The plan gives each component in use its workers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scalable_core.errors import UsageError
from scalable_core.plan import build_plan
from scalable_core.types import Adaptive, Component, Manifest, Project, Target, Task
from scalable_core.types.units import GIB


def manifest(
    *,
    components: dict[str, dict[str, Any]] | None = None,
    tasks: dict[str, dict[str, Any]] | None = None,
    project: dict[str, Any] | None = None,
    **options: Any,
) -> Manifest:
    """A manifest as the manifest stage gives it, for a target with these options."""
    return Manifest(
        version=1,
        path=Path("/study/scalable.yaml"),
        project=Project(name="study", **(project or {})),
        target=Target(name="t", provider="p", options=SimpleNamespace(**options)),
        providers={"t": "p"},
        components={k: Component(name=k, **v) for k, v in (components or {}).items()},
        tasks={k: Task(name=k, **v) for k, v in (tasks or {}).items()},
        lock="sha256:0",
        document={},
    )


def test_a_component_sizes_its_workers_and_the_target_those_that_set_none() -> None:
    """The target's worker_cpu and worker_mem are only a default."""
    plan = build_plan(
        manifest(
            components={"big": {"cpus": 8, "memory": 32 * GIB}, "plain": {}},
            worker_cpu=4,
            worker_mem=16 * GIB,
        )
    )

    assert [(g.cpus, g.memory, g.threads) for g in plan.groups] == [
        (8, 32 * GIB, 8),
        (4, 16 * GIB, 4),
    ]


def test_a_component_that_no_task_names_gets_no_workers_and_a_warning() -> None:
    """Nothing is paid for workers that nothing uses."""
    plan = build_plan(manifest(components={"a": {}, "b": {}}, tasks={"run": {"component": "a"}}))

    assert [g.name for g in plan.groups] == ["a"]
    assert plan.unused == ("b",)
    assert [(p.code, p.where) for p in plan.problems] == [("W0401", "components.b")]


def test_without_tasks_every_component_is_in_use() -> None:
    """Calls may still name a component with tag=."""
    assert [g.name for g in build_plan(manifest(components={"a": {}, "b": {}})).groups] == [
        "a",
        "b",
    ]


def test_a_manifest_without_components_still_has_workers() -> None:
    """The smallest manifest runs."""
    plan = build_plan(manifest(max_workers=3))

    assert [(g.name, g.maximum) for g in plan.groups] == [("default", 3)]


def test_a_fixed_number_of_workers_is_shared_out_over_the_groups() -> None:
    """The target's number is the total."""
    plan = build_plan(manifest(components={"a": {}, "b": {}, "c": {}}, n_workers=5))

    assert [(g.minimum, g.maximum) for g in plan.groups] == [(2, 2), (2, 2), (1, 1)]
    assert (plan.minimum, plan.maximum, plan.adaptive) == (5, 5, False)


def test_every_group_has_a_worker_even_when_the_target_allows_fewer() -> None:
    """A group without workers would wait for ever."""
    plan = build_plan(manifest(components={"a": {}, "b": {}}, n_workers=1))

    assert [g.maximum for g in plan.groups] == [1, 1]
    assert plan.maximum == 2


def test_adaptive_bounds_the_total_and_any_group_may_take_it_all() -> None:
    """The work decides which component gets the workers."""
    plan = build_plan(
        manifest(components={"a": {}, "b": {}}, adaptive=Adaptive(minimum=1, maximum=10))
    )

    assert [(g.minimum, g.maximum) for g in plan.groups] == [(0, 10), (0, 10)]
    assert (plan.minimum, plan.maximum, plan.adaptive) == (1, 10, True)


def test_an_image_is_not_used_where_the_target_runs_without_containers() -> None:
    """On the bare laptop a component's image is for the other targets."""
    parts = {"components": {"a": {"image": "python:3.12"}}}

    assert build_plan(manifest(**parts, containers="none")).groups[0].image is None
    podman = build_plan(manifest(**parts, containers="podman")).groups[0]
    assert (podman.image, podman.runtime) == ("python:3.12", "podman")
    assert build_plan(manifest(**parts)).groups[0].image == "python:3.12"


def test_a_task_with_a_timeout_marks_its_group() -> None:
    """Only processes can be stopped in the middle of a call."""
    plan = build_plan(
        manifest(
            components={"a": {}, "b": {}},
            tasks={"x": {"component": "a", "timeout": 5.0}, "y": {"component": "b"}},
        )
    )

    assert [g.timeout for g in plan.groups] == [True, False]


def test_stores_are_beside_the_manifest_unless_it_says_otherwise() -> None:
    """A run from any folder writes to the same places."""
    plain = build_plan(manifest(), environ={}).stores
    named = build_plan(
        manifest(project={"default_storage": "s3://b/runs/", "local_cache": "c"}), environ={}
    ).stores
    moved = build_plan(manifest(), environ={"SCALABLE_CACHE_DIR": "/fast"}).stores

    assert (plain.records, plain.artifacts, plain.cache) == (
        "/study/.scalable/runs",
        "/study/.scalable/artifacts",
        "/study/.scalable/cache",
    )
    assert (named.artifacts, named.cache) == ("s3://b/runs/", "/study/c")
    assert moved.cache == "/fast"


def test_a_manifest_read_for_no_target_has_no_plan() -> None:
    """The sentence says what to do."""
    import attrs

    with pytest.raises(UsageError, match="--target"):
        build_plan(attrs.evolve(manifest(), target=None))
