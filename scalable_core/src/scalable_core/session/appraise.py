"""Gives plans what they are judged by: how long their runs take, and what those cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import evolve

from scalable_core.plan.forecast import make_forecast
from scalable_core.plugins import PluginHost
from scalable_core.records.past import PastRuns
from scalable_core.types import Forecast, History, HookContext, PastRun, PastTask, Plan


class Appraiser:
    """Gives plans of one project their forecast and estimate; what several have in common is found out once.

    Args:
        plan: Any of the project's plans.
        host: The plugins.
        hours: Estimate exactly so long, with every worker there; from what is known of the run when None.
        output_size: Bytes that the run stores; from what is known of it when None.
        history: The earlier runs, of another one's `history`; read from the plan's records when None.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        host: PluginHost,
        hours: float | None = None,
        output_size: int | None = None,
        history: History | None = None,
    ) -> None:
        self.host = host
        self.history = history or _Remembered(PastRuns(Path(plan.stores.records)))
        self.context = HookContext(
            project=plan.project.name, workdir=Path(plan.manifest).parent, dry_run=True
        )
        self._asked: dict[str, Any] = {"hours": hours, "output_size": output_size}
        self._forecasts: dict[Any, Forecast] = {}

    def __call__(self, plan: Plan) -> Plan:
        """Return the plan with its forecast and the provider's estimate.

        Raises:
            ProviderError: The provider cannot estimate.
            UsageError: The plan asks for what the provider does not have.
        """
        plan = evolve(plan, forecast=self._forecast(plan), cost=None)
        return evolve(plan, cost=self.host.estimate_cost(plan, self.context))

    def _forecast(self, plan: Plan) -> Forecast:
        profile = self.host.service_profile(plan.target)
        bounds = tuple((g.name, g.threads, g.minimum, g.maximum) for g in plan.groups)
        key = (plan.target.name, profile, plan.adaptive, plan.minimum, plan.maximum, bounds)
        if key not in self._forecasts:
            self._forecasts[key] = make_forecast(
                plan, history=self.history, profile=profile, **self._asked
            )
        return self._forecasts[key]


class _Remembered:
    """A `History` whose files are read once."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._runs: Sequence[PastRun] | None = None
        self._tasks: dict[PastRun, Sequence[PastTask]] = {}
        self._stored: dict[PastRun, int | None] = {}

    def runs(self) -> Sequence[PastRun]:
        """Return the runs that ended well, newest first."""
        if self._runs is None:
            self._runs = self._history.runs()
        return self._runs

    def tasks(self, run: PastRun) -> Sequence[PastTask]:
        """Return what a run computed."""
        if run not in self._tasks:
            self._tasks[run] = self._history.tasks(run)
        return self._tasks[run]

    def stored(self, run: PastRun) -> int | None:
        """Return the bytes of the artifacts that a run stored."""
        if run not in self._stored:
            self._stored[run] = self._history.stored(run)
        return self._stored[run]
