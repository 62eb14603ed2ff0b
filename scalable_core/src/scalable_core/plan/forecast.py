"""How long a run will take and how many workers it will have: as asked, as before, as expected, or one hour."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve, frozen

from scalable_core.plan.band import past_ratios, with_past_errors
from scalable_core.plan.simulate import Durations, GroupBounds, Stage, simulate
from scalable_core.types import (
    Forecast,
    GroupForecast,
    History,
    PastRun,
    PastTask,
    Plan,
    ServiceProfile,
)

#: How many earlier runs are looked at.
RUNS = 5

#: By how much a task's durations differ from run to run: where they were measured here, or somewhere else, or
#: only written down.
_MEASURED, _FOREIGN, _STATED = 0.1, 0.3, 0.3


def make_forecast(
    plan: Plan,
    *,
    history: History,
    profile: ServiceProfile,
    hours: float | None = None,
    output_size: int | None = None,
) -> Forecast:
    """Return how long a plan's run will take and how many workers it will have.

    What is asked for comes first, then the earlier runs on this target, then those on others, then what the
    manifest expects of its tasks; where nothing is known it is one hour.

    Args:
        plan: With its groups.
        history: The project's earlier runs.
        profile: How the service behaves.
        hours: Exactly so long, with every group at its most workers.
        output_size: Bytes that are stored; otherwise as known from elsewhere.
    """
    if hours is not None:
        forecast = _whole(plan, hours, f"{hours:g} h as asked")
    else:
        known = _from_history(plan, history) or _from_expect(plan)
        forecast = _simulated(plan, known, profile) if known else _unknown(plan)
        if forecast.known:
            forecast = with_past_errors(forecast, past_ratios(history, plan.target.name))
    return forecast if output_size is None else evolve(forecast, output_bytes=output_size)


@frozen(kw_only=True)
class _Known:
    """What is known of a run beforehand."""

    basis: str
    stages: tuple[Stage, ...]
    uncertainty: float
    output: int | None
    download: int | None


def _whole(plan: Plan, hours: float, basis: str) -> Forecast:
    """Every group at its most workers for a whole time."""
    groups = {
        name: GroupForecast(
            worker_hours=count * hours, low=count * hours, high=count * hours, workers=count
        )
        for name, count in _most(plan).items()
    }
    return Forecast(
        basis=basis, wall_hours=hours, low_wall_hours=hours, high_wall_hours=hours, groups=groups
    )


def _most(plan: Plan) -> dict[str, int]:
    """Share the plan's most workers out over its groups evenly, earlier ones first, none above its own."""
    counts = dict.fromkeys((group.name for group in plan.groups), 0)
    left = plan.maximum
    while left > 0:
        open_groups = [g for g in plan.groups if counts[g.name] < g.maximum]
        if not open_groups:
            break
        each = max(left // len(open_groups), 1)
        for group in open_groups:
            more = min(each, group.maximum - counts[group.name], left)
            counts[group.name] += more
            left -= more
    return counts


def _unknown(plan: Plan) -> Forecast:
    partly = [name for name, task in plan.tasks.items() if task.expect is not None]
    why = "no history"
    if partly:
        why += f", and expect of {', '.join(partly)} lacks count or duration"
    return _whole(plan, 1.0, f"1 h assumed: {why}")


def _simulated(plan: Plan, known: _Known, profile: ServiceProfile) -> Forecast:
    outcome = simulate(
        known.stages,
        _bounds(plan),
        adaptive=plan.adaptive,
        maximum=plan.maximum,
        profile=profile,
        uncertainty=known.uncertainty,
    )
    groups = {
        name: GroupForecast(
            worker_hours=band.expected / 3600,
            low=band.low / 3600,
            high=band.high / 3600,
            workers=outcome.most[name],
        )
        for name, band in outcome.workers.items()
    }
    return Forecast(
        basis=known.basis,
        wall_hours=outcome.wall.expected / 3600,
        low_wall_hours=outcome.wall.low / 3600,
        high_wall_hours=outcome.wall.high / 3600,
        output_bytes=known.output,
        download_bytes=known.download,
        groups=groups,
        known=True,
    )


def _bounds(plan: Plan) -> list[GroupBounds]:
    """The groups' bounds; the fewest workers of an adaptive plan are shared out, earlier groups first."""
    each, rest = divmod(plan.minimum if plan.adaptive else 0, max(len(plan.groups), 1))
    return [
        GroupBounds(
            name=group.name,
            threads=group.threads,
            minimum=max(group.minimum, each + (place < rest)),
            maximum=group.maximum,
        )
        for place, group in enumerate(plan.groups)
    ]


def _from_history(plan: Plan, history: History) -> _Known | None:
    runs = history.runs()
    own = [run for run in runs if run.target == plan.target.name]
    others = [run for run in runs if run.target != plan.target.name]
    for chosen, uncertainty in ((own, _MEASURED), (others, _FOREIGN)):
        found = _informative(chosen, history)
        if found:
            return _of_runs(plan, history, found, uncertainty)
    return None


def _informative(runs: Sequence[PastRun], history: History) -> list[tuple[PastRun, list[PastTask]]]:
    """The newest runs that computed something. One that took all from the cache says no durations."""
    found = []
    for run in runs[: 2 * RUNS]:
        tasks = list(history.tasks(run))
        if any(task.measured for task in tasks):
            found.append((run, tasks))
        if len(found) == RUNS:
            break
    return found


def _of_runs(
    plan: Plan,
    history: History,
    found: Sequence[tuple[PastRun, list[PastTask]]],
    uncertainty: float,
) -> _Known:
    """The calls are those of the last run, cached ones counted as computed; durations are those of all."""
    newest, tasks = found[0]
    stages = []
    download: int | None = None
    for task in tasks:
        same = [past for _, its in found for past in its if past.task == task.task]
        measured = [past for past in same if past.measured]
        if not measured:
            continue
        durations = tuple(
            Durations(mean=m.mean, p10=m.p10, p50=m.p50, p90=m.p90, longest=m.longest)
            for m in measured
        )
        group = _group_of(plan, task.task, task.component)
        stages.append(Stage(group=group, calls=task.calls + task.attempts, durations=durations))
        sized = next((past for past in measured if past.nbytes is not None), None)
        if sized is not None and sized.nbytes is not None:
            download = (download or 0) + round(sized.nbytes / sized.measured * task.calls)
    targets = ", ".join(dict.fromkeys(run.target for run, _ in found))
    count = len(found)
    basis = f"history: {count} run{'s' * (count != 1)} on {targets}"
    if newest.target != plan.target.name:
        basis += f", none on {plan.target.name}"
    return _Known(
        basis=basis,
        stages=tuple(stages),
        uncertainty=uncertainty,
        output=history.stored(newest),
        download=download,
    )


def _from_expect(plan: Plan) -> _Known | None:
    """What the manifest expects; tasks whose count or duration it leaves open are not known."""
    stages, names, output = [], [], None
    for name, task in plan.tasks.items():
        expect = task.expect
        if expect is None or expect.count is None or expect.duration is None:
            continue
        seconds = expect.duration
        names.append(name)
        durations = Durations(
            mean=seconds, p10=0.6 * seconds, p50=seconds, p90=1.4 * seconds, longest=2 * seconds
        )
        group = _group_of(plan, name, task.component)
        stages.append(Stage(group=group, calls=expect.count, durations=(durations,)))
        if expect.output is not None:
            output = (output or 0) + expect.count * expect.output
    if not any(stage.calls for stage in stages):
        return None
    left = [name for name in plan.tasks if name not in names]
    basis = f"expect of {', '.join(names)}"
    if left:
        basis += f"; nothing is known of {', '.join(left)}"
    return _Known(
        basis=basis, stages=tuple(stages), uncertainty=_STATED, output=output, download=None
    )


def _group_of(plan: Plan, task: str, component: str | None) -> str:
    """Where a task's calls run; those that may run anywhere are given to the largest group."""
    named = plan.tasks[task].component if task in plan.tasks else component
    if any(group.name == named for group in plan.groups):
        return str(named)
    return max(plan.groups, key=lambda group: group.maximum * group.threads).name
