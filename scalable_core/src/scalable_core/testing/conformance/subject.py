"""The provider under test: its plugin, a manifest with its target, its plans, runs, and a fresh Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import attrs
from attrs import field, frozen

from scalable_core.errors import PluginContractError
from scalable_core.plugins import PluginHost, PluginStatus
from scalable_core.types import Event, HookContext, Plan, Target

if TYPE_CHECKING:
    from scalable_core.session import ScalableSession
    from scalable_core.session.client import ScalableClient

    class Run(ScalableClient):
        """The client of a run, with its session."""

        session: ScalableSession


#: Name of the target in the manifests of the kit, and of their components and tasks.
TARGET, FIRST, SECOND = "there", "first", "second"


#: What `Subject.probe` has seen, by what it was asked for.
_probed: dict[str, dict[str, Any]] = {}


class Sink:
    """Keeps the events of a run, and does what it is told to at each."""

    def __init__(self, at_each: Callable[[Event], None] | None = None) -> None:
        self.events: list[Event] = []
        self._at_each = at_each

    def emit(self, event: Event) -> None:
        """Keep the event."""
        self.events.append(event)
        if self._at_each is not None:
            self._at_each(event)


@frozen(kw_only=True)
class Subject:
    """A provider, as its checks see it.

    Attributes:
        provider: Its name.
        target: Options of a target that it accepts.
        component: The machine of one worker, as a manifest writes it.
        folder: Of the check; the manifest is written there.
        patience: Seconds for which workers are waited for.
    """

    provider: str
    target: Mapping[str, Any]
    component: Mapping[str, Any]
    folder: Path
    patience: float
    host: PluginHost = field(factory=PluginHost, init=False)

    @classmethod
    def named(cls, provider: str) -> Subject:
        """Return a provider of which nothing but the plugin itself is to be asked."""
        return cls(provider=provider, target={}, component={}, folder=Path.cwd(), patience=60.0)

    @cached_property
    def status(self) -> PluginStatus:
        """What the plugin host says of the plugin, loaded."""
        for status in self.host.statuses(load=True, name=self.provider):
            if status.kind == "provider":
                return status
        raise AssertionError(f"no installed dist offers a provider {self.provider!r}")

    @property
    def schemes(self) -> tuple[str, ...]:
        """URI schemes whose artifacts it stores."""
        return self.status.schemes

    @cached_property
    def options_class(self) -> type:
        """The options of the target that is tried."""
        answer = self.host.target_options(self.provider)
        if not isinstance(answer, Mapping):
            return answer
        return answer[self.target.get("cluster_type", next(iter(answer)))]

    @property
    def options_classes(self) -> dict[str, type]:
        """Every options class, by cluster type; ``""`` when there is but one."""
        answer = self.host.target_options(self.provider)
        return dict(answer) if isinstance(answer, Mapping) else {"": answer}

    @property
    def option_names(self) -> frozenset[str]:
        """What may stand in the target that is tried."""
        return frozenset(each.name for each in attrs.fields(self.options_class))

    @property
    def context(self) -> HookContext:
        """The circumstances of a call while planning."""
        return HookContext(project="conformance", workdir=self.folder, dry_run=True)

    def manifest(
        self,
        *,
        workers: int | None = None,
        components: Mapping[str, Mapping[str, Any]] | None = None,
        tasks: Mapping[str, Mapping[str, Any]] | None = None,
        without: str | None = None,
        **options: Any,
    ) -> Path:
        """Write a manifest and return its path.

        Args:
            workers: How many, where the provider has an option for that.
            components: Instead of the one component.
            tasks: Instead of one for each component.
            without: An option to leave out of the target.
            **options: More options of the target, or other values.
        """
        if workers is not None and (name := self._workers_option()) is not None:
            options[name] = workers
        target = {"provider": self.provider, **self.target, **options}
        target.pop(without or "", None)
        components = components or {FIRST: self.component}
        tasks = tasks or {f"use_{name}": {"component": name} for name in components}
        document = {
            "version": 1,
            "project": {"name": "conformance"},
            "targets": {TARGET: target},
            "components": {name: dict(machine) for name, machine in components.items()},
            "tasks": {name: dict(task) for name, task in tasks.items()},
        }
        path = self.folder / "scalable.yaml"
        path.write_text(json.dumps(document, indent=2), encoding="utf-8")  # JSON is YAML
        (self.folder / "workflow.py").write_text("", encoding="utf-8")
        return path

    def read_target(self, **changes: Any) -> Target:
        """Return the target with its typed options.

        Raises:
            ManifestError: The provider, or the reading, finds an error in it.
        """
        from scalable_core.session.planning import load

        target = load(self.manifest(**changes), target=TARGET, host=self.host).target
        assert target is not None
        return target

    def plan(self, *, hours: float | None = None, **changes: Any) -> Plan:
        """Return the plan of a manifest, with its estimate; what `manifest` takes changes it."""
        from scalable_core.session.planning import load, make_plan

        manifest = load(self.manifest(**changes), target=TARGET, host=self.host)
        return make_plan(manifest, host=self.host, hours=hours)

    def has(self, verb: str) -> bool:
        """Whether the plugin implements a hook."""
        return verb in self.status.provides

    @contextmanager
    def run(
        self, *, workers: int = 1, sink: Sink | None = None, eager: bool = True, **changes: Any
    ) -> Iterator[Run]:
        """Start a run, as a workflow does, and end it with the block.

        Args:
            workers: How many are planned, and waited for.
            sink: Takes the events.
            eager: Ask for the workers at once, and wait for them.
            **changes: As of `manifest`.
        """
        from scalable_core.session import ScalableSession

        plan = self.plan(workers=workers, **changes)
        session = ScalableSession(plan, host=self.host, sink=sink or Sink())
        try:
            client = cast("Run", session.start(eager=eager))
            client.session = session
            if eager and not plan.adaptive:
                client.wait_for_workers(workers, timeout=self.patience)
            yield client
        except BaseException as error:
            session.close(error)
            raise
        else:
            session.close()

    def wait_for(self, condition: Callable[[], Any], what: str) -> Any:
        """Return the first true answer of a condition.

        Raises:
            AssertionError: It does not come true within `patience`.
        """
        end = time.monotonic() + self.patience
        while time.monotonic() < end:
            if answer := condition():
                return answer
            time.sleep(0.1)
        raise AssertionError(f"{what} within {self.patience:g} s")

    def probe(self, *, again: bool = False, **environ: str) -> dict[str, Any]:
        """Load the plugin and plan in a fresh Python, elsewhere; return what `probe` saw there.

        Args:
            again: Not what an earlier check of the same target has seen.
            **environ: Variables of that Python.
        """
        key = json.dumps([self.provider, self.target, self.component, environ], sort_keys=True)
        if again or key not in _probed:
            _probed[key] = self._probe(environ)
        return _probed[key]

    def _probe(self, environ: Mapping[str, str]) -> dict[str, Any]:
        manifest = self.manifest()
        elsewhere = self.folder / "elsewhere"
        elsewhere.mkdir(exist_ok=True)
        module = f"{__name__.rpartition('.')[0]}.probe"
        done = subprocess.run(
            [sys.executable, "-m", module, self.provider, str(manifest)],
            cwd=elsewhere,
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            check=False,
            timeout=max(self.patience, 60),
        )
        assert done.returncode == 0, f"a fresh Python cannot plan: {_last_line(done.stderr)}"
        seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return seen

    def count(self, number: int) -> int:
        """Return how many workers a plan for ``number`` has, where the provider has no option for that."""
        return number if self._workers_option() is not None else 1

    def _workers_option(self) -> str | None:
        for name in ("n_workers", "max_workers"):
            if name in self.option_names:
                return name
        return None


def module_of(subject: Subject) -> Any:
    """Return the plugin's module.

    Raises:
        PluginContractError: The plugin cannot be loaded.
    """
    from importlib import import_module

    status = subject.status
    if status.status != "ready":
        raise PluginContractError(status.detail or status.status, cure=status.cure)
    return import_module(status.module.partition(":")[0])


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it ended without a word"
