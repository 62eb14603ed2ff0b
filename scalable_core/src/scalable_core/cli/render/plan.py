"""A plan as text: where, on what, what for, where to, and for how much."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from scalable_core.cli.render.cost import cost_verdict, render_cost
from scalable_core.cli.render.problems import count, render_problems
from scalable_core.cli.render.table import Cell, flow, table, wrap
from scalable_core.cli.terminal import Look, clean
from scalable_core.types import Plan, Problem, WorkerGroup, to_data
from scalable_core.types.units import format_duration, format_size

_INDENT = "  "


def render_plan(
    plan: Plan, look: Look, *, package: str = "", folder: Path | None = None
) -> list[str]:
    """Return a whole plan as lines.

    Args:
        plan: With or without an estimate.
        look: Of the stream.
        package: Dist and version of the provider, such as ``scalable-local 0.1.0``.
        folder: Paths below it are written relative to it; the current one when None.
    """
    here = folder or Path.cwd()
    lines = [*render_header(plan, look, package=package, folder=here), ""]
    lines += [*_workers(plan, look), ""]
    if plan.packages:
        lines += [*_packages(plan, look), ""]
    if plan.tasks:
        lines += [*_tasks(plan, look), ""]
    lines += [*_stores(plan, look, here), ""]
    if plan.cost is not None:
        lines += [*render_cost(plan, look), ""]
    problems = render_problems(own_problems(plan), look)
    lines += [*problems, ""] if problems else []
    return lines + wrap(plan_verdict(plan), look, rest=_INDENT)


def render_header(plan: Plan, look: Look, *, package: str = "", folder: Path) -> list[str]:
    """Return what a plan is for and what it was made from."""
    region = getattr(plan.target.options, "region", None)
    kind = ", ".join(text for text in (plan.target.cluster_type, region) if text)
    target = f"{plan.target.name} ({kind})" if kind else plan.target.name
    provider = f"{plan.target.provider} ({package})" if package else plan.target.provider
    pairs = [
        [("Project", plan.project.name), ("Target", target), ("Provider", provider)],
        [
            ("Manifest", _near(plan.manifest, folder)),
            *([("Overlays", ", ".join(plan.overlays))] if plan.overlays else []),
            ("Lock", f"{plan.lock[:19]}.."),
        ],
    ]
    if plan.changes:
        pairs[1].append(("Chosen", ", ".join(changed_options(plan))))
    if any(group.image for group in plan.groups):
        pairs[1].append(("Images", "pinned by digest" if plan.online else "as written"))
    return [
        line
        for row in pairs
        for line in flow([f"{look.paint(name, 'dim')} {clean(value)}" for name, value in row], look)
    ]


def changed_options(plan: Plan) -> list[str]:
    """Return the options of the target that were chosen, as ``capacity: spot_with_fallback``."""
    values = to_data(plan.changes).items()
    return [f"{name}: {v if isinstance(v, str) else json.dumps(v)}" for name, v in values]


def plan_verdict(plan: Plan) -> str:
    """Return the plan in one sentence of numbers."""
    workers = count(plan.maximum, "worker")
    most = f"at most {workers}" if plan.adaptive else workers
    parts = [count(len(plan.groups), "worker group"), most, count(len(plan.tasks), "task")]
    warnings = sum(problem.severity == "warning" for problem in own_problems(plan))
    if warnings:
        parts.append(count(warnings, "warning"))
    return f"Plan: {', '.join(parts)}. {cost_verdict(plan.cost)}"


def own_problems(plan: Plan) -> list[Problem]:
    """Return the warnings of a plan that are not about the manifest's other targets."""
    own = f"targets.{plan.target.name}"
    return [
        problem
        for problem in plan.problems
        if not problem.where.startswith("targets.") or f"{problem.where}.".startswith(f"{own}.")
    ]


def render_summary(plan: Plan, look: Look, *, package: str = "") -> list[str]:
    """Return a plan in few lines, for the start of a run.

    Args:
        plan: About to be run.
        look: Of the stream.
        package: Dist and version of the provider.
    """
    groups = []
    for group in plan.groups:
        memory = f", {format_size(group.memory)}" if group.memory else ""
        groups.append(f"{_bounds(group)} x {group.name} ({group.cpus:g} vCPU{memory})")
    workers = f"{look.paint('Workers', 'dim')} {', '.join(groups)}"
    lines = render_header(plan, look, package=package, folder=Path.cwd())[:1]
    lines += wrap(f"{workers}   {cost_verdict(plan.cost)}", look, rest=_INDENT)
    return [*lines, *render_problems(own_problems(plan), look)]


def _workers(plan: Plan, look: Look) -> list[str]:
    gpus = any(group.gpus for group in plan.groups)
    heads = ["WORKERS", "count", "vCPU", *(["GPU"] if gpus else []), "memory", "threads", "image"]
    rows: list[Sequence[Cell]] = [[(head, "bold" if head.isupper() else "dim") for head in heads]]
    for group in plan.groups:
        memory = format_size(group.memory) if group.memory else "-"
        rows.append([
            _INDENT + group.name,
            _bounds(group),
            f"{group.cpus:g}",
            *([str(group.gpus)] if gpus else []),
            memory,
            str(group.threads),
            _image(group),
        ])  # fmt: skip
    align = "lrr" + "r" * gpus + "rrl"
    lines = table(rows, look, align=align, shrink=len(align) - 1)
    if plan.adaptive:
        text = f"{plan.minimum} to {plan.maximum} workers together, as the queued work needs them"
    elif len(plan.groups) > 1:
        text = f"{count(plan.maximum, 'worker')} together"
    else:
        return lines
    return lines + wrap(look.paint(text, "dim"), look, first=_INDENT, rest=_INDENT)


def _bounds(group: WorkerGroup) -> str:
    if group.minimum == group.maximum:
        return str(group.maximum)
    return f"{group.minimum}-{group.maximum}"


def _image(group: WorkerGroup) -> str:
    if group.image is None:
        return "-"
    image = group.image
    if group.resolved is not None and "@" not in image:
        image += f"@{group.resolved.digest[:19]}.."
    return clean(f"{image} ({group.runtime})" if group.runtime else image)


def _packages(plan: Plan, look: Look) -> list[str]:
    """Say what goes to workers whose image has Python alone."""
    bare = ", ".join(group.name for group in plan.groups if group.environment)
    head = f"{look.paint('PACKAGES', 'bold')} of this environment, brought to {clean(bare)}"
    return [head, *wrap(clean(", ".join(plan.packages)), look, first=_INDENT, rest=_INDENT)]


def _tasks(plan: Plan, look: Look) -> list[str]:
    heads = ["TASKS", "component", "retries", "timeout", "cache"]
    rows: list[Sequence[Cell]] = [[(head, "bold" if head.isupper() else "dim") for head in heads]]
    rows += [
        [
            _INDENT + task.name,
            task.component,
            str(task.retries),
            "-" if task.timeout is None else format_duration(task.timeout),
            "yes" if task.cache else "-",
        ]
        for task in plan.tasks.values()
    ]
    return table(rows, look, align="llrrl", shrink=0)


def _stores(plan: Plan, look: Look, folder: Path) -> list[str]:
    stores = plan.stores
    named = {"records": stores.records, "artifacts": stores.artifacts, "cache": stores.cache}
    rows = [[_INDENT + name, _near(where, folder)] for name, where in named.items()]
    return [look.paint("STORES", "bold"), *table(rows, look, align="ll", shrink=1)]


def _near(path: str, folder: Path) -> str:
    """Write a path below the folder relative to it; others and URIs as they are."""
    if "://" in path:
        return path
    near = os.path.relpath(path, folder)
    return path if near.startswith("..") else near
