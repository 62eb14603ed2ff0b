"""What to pay: targets and regions side by side, and the plan that meets a deadline or a budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import attrs
from attrs import evolve

from scalable_core.errors import ScalableError, UsageError
from scalable_core.manifest import list_targets
from scalable_core.plan import build_plan
from scalable_core.plan.choose import Objective, Wish, fewest_workers, search
from scalable_core.plan.ways import Choice, Comparison, NoWay, Way
from scalable_core.plugins import PluginHost
from scalable_core.session.appraise import Appraiser
from scalable_core.session.planning import load
from scalable_core.types import Plan
from scalable_core.types.units import parse_hours


def compare_targets(
    path: str | Path,
    *,
    host: PluginHost,
    target: str | None = None,
    overlays: Sequence[str] = (),
    hours: float | None = None,
    output_size: int | None = None,
) -> Comparison:
    """Return every target of a manifest, each as it is and in the other ways that its work can be bought.

    Args:
        path: The manifest.
        host: The plugins.
        target: The target that is in use; the default one when None.
        overlays: Names of overlays to merge in.
        hours: Estimate exactly so long, with every worker there.
        output_size: Bytes that the run stores.

    Raises:
        Exception: No target can be planned for; that of the one that is in use, or of the first.
    """
    names, default = list_targets(path)
    chosen = target or default
    if chosen is not None and chosen not in names:
        load(path, target=chosen, overlays=overlays, host=host)  # says which there are
    ways: list[Way] = []
    failed: list[NoWay] = []
    current = history = None
    for name in names:
        try:
            plan = build_plan(load(path, target=name, overlays=overlays, host=host))
            appraise = Appraiser(
                plan, host=host, hours=hours, output_size=output_size, history=history
            )
            history = appraise.history  # all targets keep their records in the same folder
            own = _way(plan, _capacity(plan), appraise)
        except Exception as error:  # a plugin's own mistakes are its targets' matter, too
            failed.append(NoWay(target=name, error=error))
            continue
        current = own if name == chosen else current
        ways += [own, *_others(plan, appraise)]
    if not ways:
        raise next((no.error for no in failed if no.target == chosen), failed[0].error)
    return Comparison(ways=_by_cost(ways), current=current, failed=tuple(failed))


def compare_regions(
    plan: Plan,
    *,
    host: PluginHost,
    hours: float | None = None,
    output_size: int | None = None,
) -> Comparison:
    """Return a plan in each region that its provider has prices of.

    Args:
        plan: In the region that it is for.
        host: The plugins.
        hours: Estimate exactly so long, with every worker there.
        output_size: Bytes that the run stores.

    Raises:
        UsageError: The provider knows no other region.
    """
    appraise = Appraiser(plan, host=host, hours=hours, output_size=output_size)
    region = str(getattr(plan.target.options, "region", ""))
    current = _way(plan, region, appraise)
    others = list(_others(plan, appraise, regions=True))
    if not others:
        raise UsageError(
            f"the provider {plan.target.provider!r} knows no other region for target"
            f" {plan.target.name!r}",
            cure="compare the targets with --compare",
        )
    return Comparison(ways=_by_cost([current, *others]), current=current)


def choose_plan(
    plan: Plan,
    *,
    host: PluginHost,
    deadline: float | str | None = None,
    budget: float | None = None,
    objective: Objective | None = None,
    most: int | None = None,
    likely: bool = False,
    output_size: int | None = None,
) -> Choice:
    """Return how many workers a plan should have, and how they are bought, for a deadline, a budget or both.

    Processors and machine types stay as they are: another kind of processor needs other images.

    Args:
        plan: As the manifest has it.
        host: The plugins.
        deadline: Most hours from start to end, or a time such as ``90m``.
        budget: Most USD that are paid once.
        objective: The least time where only a budget is given, else the least cost when None.
        most: Most workers at one time; the plan's own number when None.
        likely: The limits hold for what is expected; otherwise at the ninetieth percentile.
        output_size: Bytes that the run stores; from what is known of it when None.

    Raises:
        UsageError: It is not known how long the tasks take, what is wanted makes no sense, or nobody can say
            whether the budget is kept.
    """
    wish = Wish(
        deadline=_hours(deadline),
        budget=_positive("budget", budget),
        objective=_objective(objective, deadline, budget),
        likely=likely,
    )
    fewest, most = fewest_workers(plan), plan.maximum if most is None else most
    if most < fewest:
        raise UsageError(
            f"target {plan.target.name!r} has at least {fewest} workers, not {most}",
            cure="allow more, or lower the target's minimum",
        )
    appraise = Appraiser(plan, host=host, output_size=output_size)
    own = _way(plan, _capacity(plan), appraise)
    if own.plan.forecast is None or not own.plan.forecast.known:
        raise UsageError(
            f"how long a run on {plan.target.name!r} takes with more or fewer workers is not known:"
            " there is no earlier run, and no task expects both count and duration",
            cure="run it once, or write for a task: expect: {count: 500, duration: 90s}",
        )
    others = _others(plan, appraise)
    kinds = [own, *(way for way in others if not _needs_other_images(way.plan, plan))]
    choice = search(kinds, wish, most=most, appraise=appraise)
    if budget is not None and wish.usd(choice.nearest) == float("inf"):
        missing = choice.nearest.plan.cost.unpriced_compute if choice.nearest.plan.cost else ()
        raise UsageError(
            f"nobody can say whether {budget:g} USD are enough for target {plan.target.name!r}:"
            f" not priced: {', '.join(dict.fromkeys(missing)) or 'anything'}",
            cure="leave --budget out, or name a region or machine that has a price",
        )
    return choice


def chosen_plan(
    plan: Plan,
    *,
    host: PluginHost,
    objective: Objective | None = None,
    deadline: float | str | None = None,
    budget: float | None = None,
) -> Plan:
    """Return what `choose_plan` chooses; the plan itself when nothing is asked for.

    Raises:
        UsageError: Nothing keeps to the limits; the message says what comes nearest. Also as `choose_plan`.
    """
    if (objective, deadline, budget) == (None, None, None):
        return plan
    choice = choose_plan(plan, host=host, deadline=deadline, budget=budget, objective=objective)
    if choice.chosen is not None:
        return choice.chosen.plan
    near = choice.nearest
    bought = f", {near.label}" if near.label else ""
    forecast, cost = near.plan.forecast, near.plan.cost
    hours = "?" if forecast is None else f"{forecast.high_wall_hours:.3g}"
    usd = "?" if cost is None or cost.high is None else f"{cost.high:.2f}"
    raise UsageError(
        f"nothing on target {plan.target.name!r} keeps to what was asked for; {near.workers} workers{bought}"
        f" come nearest, with {hours} h and {usd} USD at p90",
        cure="allow more time or money, or more workers in the manifest",
    )


def _objective(asked: Any, deadline: object, budget: object) -> Objective:
    if asked is None:
        return "minimize time" if deadline is None and budget is not None else "minimize cost"
    if asked not in get_args(Objective):
        known = ", ".join(map(repr, get_args(Objective)))
        raise UsageError(f"{asked!r} is no objective", cure=f"write one of {known}")
    return asked  # type: ignore[no-any-return]


def _hours(deadline: float | str | None) -> float | None:
    try:
        hours = None if deadline is None else parse_hours(deadline)
    except ValueError as error:
        raise UsageError(f"the deadline {error}") from None
    return _positive("deadline", hours)


def _positive(name: str, value: float | None) -> float | None:
    if value is not None and not 0 < value < float("inf"):
        raise UsageError(
            f"the {name} must be above 0, not {value:g}", cure="leave it out, or raise it"
        )
    return value


def _way(plan: Plan, label: str, appraise: Appraiser) -> Way:
    profile = appraise.host.service_profile(plan.target)
    return Way(
        target=plan.target.name,
        label=label,
        plan=appraise(plan),
        interruptions=profile.interruptions,
    )


def _others(plan: Plan, appraise: Appraiser, *, regions: bool = False) -> Iterator[Way]:
    """Yield the other ways that a provider knows; what cannot be had is left out."""
    host = appraise.host
    context = evolve(appraise.context, data={"regions": regions})
    for variant in host.variants(plan, context):
        name = plan.target.name
        label = variant.target.name.removeprefix(f"{name} (").removesuffix(")")
        named = evolve(
            variant,
            target=evolve(variant.target, name=name),
            changes=_changes(plan.target.options, variant.target.options),
        )
        problems = host.check_target(named.target, context)
        if any(problem.severity == "error" for problem in problems):
            continue
        try:
            yield _way(named, label, appraise)
        except ScalableError:
            continue


def _changes(before: Any, after: Any) -> dict[str, Any]:
    """Return the options that differ, by name."""
    if type(before) is not type(after) or not attrs.has(type(after)):
        return {}
    return {
        field.name: getattr(after, field.name)
        for field in attrs.fields(type(after))
        if getattr(after, field.name) != getattr(before, field.name)
    }


def _needs_other_images(variant: Plan, plan: Plan) -> bool:
    """Whether a variant changes more than how the same machines are paid."""
    return not set(variant.changes) <= {"spot", "capacity"}


def _capacity(plan: Plan) -> str:
    """Say how a target's workers are bought, by those of its options that say so on any provider."""
    options = plan.target.options
    capacity = getattr(options, "capacity", None)
    if capacity is None and hasattr(options, "spot"):
        capacity = "spot" if options.spot else "on-demand"
    arm = getattr(options, "architecture", None) == "arm64"
    words = [str(capacity).removesuffix("_with_fallback") if capacity else "", "arm64" * arm]
    return ", ".join(word for word in words if word)


def _by_cost(ways: Sequence[Way]) -> tuple[Way, ...]:
    wish = Wish(objective="minimize cost", likely=True)
    return tuple(sorted(ways, key=lambda way: (wish.usd(way), wish.hours(way))))
