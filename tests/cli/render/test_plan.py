"""A plan as text says where, on what, for what and for how much."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve, frozen

from scalable_core.cli.render.plan import plan_verdict, render_plan, render_summary
from scalable_core.cli.terminal import Look, display_width
from scalable_core.types import (
    CostEstimate,
    CostLine,
    Plan,
    Problem,
    Project,
    ResolvedImage,
    Stores,
    Target,
    Task,
    WorkerGroup,
)
from scalable_core.types.units import GIB

DIGEST = "sha256:" + "77aa" * 16


@frozen(kw_only=True)
class Options:
    """A target's options, as far as they are shown."""

    region: str = "us-east-1"


@pytest.fixture
def plan() -> Plan:
    """Two worker groups on a cloud."""
    groups = (
        WorkerGroup(
            name="simulate", cpus=4.0, memory=16 * GIB, threads=4, minimum=0, maximum=8,
            image="ghcr.io/acme/model:2.0.1",
        ),
        WorkerGroup(name="reduce", cpus=0.5, threads=1, minimum=0, maximum=8),
    )  # fmt: skip
    return Plan(
        project=Project(name="climate-sweep"),
        target=Target(name="aws", provider="aws", cluster_type="fargate", options=Options()),
        manifest="/study/scalable.yaml",
        workflow="/study/workflow.py",
        lock="sha256:" + "9f2c" * 16,
        groups=groups,
        adaptive=True,
        minimum=1,
        maximum=8,
        tasks={"run": Task(name="run", component="simulate", retries=2, timeout=1800.0, cache=True)},
        stores=Stores(
            records="/study/.scalable/runs", artifacts="s3://b/runs", cache="/elsewhere/cache"
        ),
        cost=CostEstimate(
            provider="aws",
            expected=0.108,
            low=0.09,
            high=0.24,
            basis="list prices",
            as_of="2026-11-20",
            lines=(
                CostLine(
                    item="Compute", component="simulate", quantity=1.26, unit="h", unit_price=0.0768,
                    amount=0.097,
                ),
                CostLine(
                    item="Requests", quantity=12345.0, unit="1k-requests", unit_price=0.000005,
                    amount=0.062,
                ),
                CostLine(item="Egress", quantity=None, unit="GB", unit_price=0.09),
            ),
        ),
    )  # fmt: skip


def text(plan: Plan, look: Look | None = None) -> str:
    """The whole plan as text."""
    lines = render_plan(plan, look or Look(), package="scalable-aws 1.2.0", folder=Path("/study"))
    return "\n".join(lines)


def test_the_whole_plan(plan: Plan) -> None:
    """Every part at its place, columns in line, unknown prices as question marks."""
    assert text(plan) == (
        "Project climate-sweep   Target aws (fargate, us-east-1)   Provider aws (scalable-aws 1.2.0)\n"
        "Manifest scalable.yaml   Lock sha256:9f2c9f2c9f2c..   Images as written\n"
        "\n"
        "WORKERS     count  vCPU  memory  threads  image\n"
        "  simulate    0-8     4     16G        4  ghcr.io/acme/model:2.0.1\n"
        "  reduce      0-8   0.5       -        1  -\n"
        "  1 to 8 workers together, as the queued work needs them\n"
        "\n"
        "TASKS  component  retries  timeout  cache\n"
        "  run  simulate         2   30m00s  yes\n"
        "\n"
        "STORES\n"
        "  records    .scalable/runs\n"
        "  artifacts  s3://b/runs\n"
        "  cache      /elsewhere/cache\n"
        "\n"
        "Cost Estimate for target 'aws':\n"
        "  Compute (simulate): $0.097 (1.26 h x $0.0768/h)\n"
        "  Requests:           $0.062 (12,345 1k-requests x $0.000005/1k-requests)\n"
        "  Egress:             ? (? GB x $0.09/GB)\n"
        "  Total:              ~$0.11 one-time (p10-p90 $0.09 - $0.24); 1 line not priced: Egress\n"
        "  Prices:             list, snapshot 2026-11-20, us-east-1, offline\n"
        "\n"
        "Plan: 2 worker groups, at most 8 workers, 1 task. "
        "Expected $0.11, at most $0.24 (p90); 1 line not priced."
    )


@pytest.mark.parametrize("width", [60, 80])
def test_a_narrow_terminal_is_kept(plan: Plan, width: int) -> None:
    """No line is wider than the terminal."""
    lines = text(plan, Look(width=width, unicode=True)).splitlines()

    assert max(map(display_width, lines)) <= width


def test_an_unknown_cost_is_never_nothing(plan: Plan) -> None:
    """Without any price there is no number, only question marks and their count."""
    line = CostLine(item="Compute", unit="h")
    unknown = evolve(plan, cost=CostEstimate(provider="aws", lines=(line, line)))

    assert "$" not in text(unknown).partition("Cost Estimate")[2]
    assert plan_verdict(unknown).endswith("Cost unknown: 2 lines not priced.")


def test_nothing_billed_is_said_in_words(plan: Plan) -> None:
    """A free target has no table of zeros."""
    free = evolve(plan, cost=CostEstimate(provider="local", expected=0.0, basis="this machine"))

    assert "Cost Estimate for target 'aws':\n  nothing is billed: this machine\n" in text(free)
    assert plan_verdict(free).endswith("Nothing is billed.")


def test_what_is_kept_is_billed_each_month(plan: Plan) -> None:
    """Storage after the run has its own sum."""
    line = CostLine(item="Storage", quantity=3.1, unit="GB", amount=0.07, monthly=True)
    kept = evolve(
        plan, cost=CostEstimate(provider="aws", expected=0.0, monthly=0.07, lines=(line,))
    )

    shown = text(kept).splitlines()
    places = [i for i, row in enumerate(shown) for word in ("Storage:", "Total:") if word in row]

    assert places == sorted(places)
    assert len(places) == 2
    assert "$0.00 one-time + $0.07/month (storage)" in shown[places[1]]
    assert "Nothing is billed" not in text(kept)


def test_pinned_images_show_their_digest(plan: Plan) -> None:
    """A plan made online says so, and shows what was found."""
    image = ResolvedImage(reference="x", pinned=f"x@{DIGEST}", digest=DIGEST, provider="oci")
    groups = (evolve(plan.groups[0], resolved=image), plan.groups[1])
    online = text(evolve(plan, groups=groups, online=True))

    assert "Images pinned by digest" in online
    assert "ghcr.io/acme/model:2.0.1@sha256:77aa77aa77aa.." in online


def test_gpus_and_runtimes_are_shown_where_there_are_some(plan: Plan) -> None:
    """A column of GPUs appears only when a group has some."""
    groups = (evolve(plan.groups[0], gpus=2, runtime="podman"), plan.groups[1])
    shown = text(evolve(plan, groups=groups))

    assert "GPU" not in text(plan)
    assert "vCPU  GPU  memory" in shown
    assert "ghcr.io/acme/model:2.0.1 (podman)" in shown


def test_warnings_about_other_targets_are_left_to_validate(plan: Plan) -> None:
    """A plan shows the warnings that are about it."""
    problems = tuple(
        Problem(code="W0202", message=f"about {where}", where=where, severity="warning")
        for where in ("targets.aws.image", "targets.aws-2.image", "targets.gcp", "components.x")
    )
    shown = text(evolve(plan, problems=problems))

    assert "about targets.aws.image" in shown
    assert "about components.x" in shown
    assert "about targets.aws-2.image" not in shown
    assert "about targets.gcp" not in shown
    assert "1 task, 2 warnings." in shown


def test_a_run_starts_with_a_short_plan(plan: Plan) -> None:
    """Two lines: where, on what, for how much."""
    assert render_summary(plan, Look(), package="scalable-aws 1.2.0") == [
        "Project climate-sweep   Target aws (fargate, us-east-1)   Provider aws (scalable-aws 1.2.0)",
        "Workers 0-8 x simulate (4 vCPU, 16G), 0-8 x reduce (0.5 vCPU)   "
        "Expected $0.11, at most $0.24 (p90); 1 line not priced.",
    ]
