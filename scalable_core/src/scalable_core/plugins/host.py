"""The plugin host: one typed method for each hook, and the way one provider among many is addressed."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pluggy

from scalable_core import hookspecs
from scalable_core.errors import (
    HookNotImplementedError,
    PluginContractError,
    ProviderBrokenError,
    ProviderNotFoundError,
    ScalableError,
)
from scalable_core.plugins.answers import blame, check_answer
from scalable_core.plugins.fences import disable, one_line
from scalable_core.plugins.loading import Loader, Plugin
from scalable_core.types import (
    Artifact,
    ArtifactRef,
    BundleRef,
    ClusterRecord,
    CostEstimate,
    HookContext,
    ImageRequest,
    LogLine,
    Plan,
    Policy,
    PriceSnapshot,
    Problem,
    ReleaseReport,
    ResolvedImage,
    Resource,
    RunRecord,
    ServiceProfile,
    Settings,
    Storage,
    Target,
)

if TYPE_CHECKING:
    from distributed.deploy import Cluster

    from scalable_core.plugins.status import PluginStatus

_log = logging.getLogger("scalable.plugins")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


class PluginHost:
    """Finds, loads, checks and calls plugins. Making one imports no plugin.

    A provider is loaded when a hook is first asked of it, extensions before the first call of any hook. Every
    method that asks a provider raises `ProviderNotFoundError`, `ProviderBlockedError`,
    `ProviderIncompatibleError`, `ProviderBrokenError`, `HookNotImplementedError` or `PluginContractError`, each
    a sentence that names the plugin, its dist, the cause and the cure. What a plugin itself raises passes
    through with a note that names the plugin, its dist and version.

    Args:
        environ: The environment; ``os.environ`` when None. ``SCALABLE_DISABLE_PLUGINS`` names plugins to leave
            out, ``SCALABLE_TRACE_HOOKS=1`` logs every call to ``scalable.hooks``.
        settings: What `configure` tells every plugin.
    """

    def __init__(
        self, *, environ: Mapping[str, str] | None = None, settings: Settings | None = None
    ) -> None:
        environ = os.environ if environ is None else environ
        self._pm = pluggy.PluginManager("scalable")
        self._pm.add_hookspecs(hookspecs)
        if environ.get("SCALABLE_TRACE_HOOKS", "0") not in ("", "0"):
            from scalable_core.plugins.tracing import trace_hooks

            trace_hooks(self._pm)
        self._loader = Loader(self._pm, environ)
        self._pm.hook.configure.call_historic(kwargs={"settings": settings or Settings()})

    def provider_names(self) -> tuple[str, ...]:
        """Return the names of installed providers that are not disabled, sorted; from metadata only."""
        providers = (e for e in self._loader.catalogue.entries if e.kind == "provider")
        return tuple(sorted({e.name for e in providers if not self._loader.is_disabled(e)}))

    def statuses(self, *, load: bool, name: str | None = None) -> tuple[PluginStatus, ...]:
        """Return one row for each installed plugin, usable or not.

        Args:
            load: Also import each and ask it for its options; without it metadata alone are read.
            name: Only those of this name.
        """
        from scalable_core.plugins.status import plugin_statuses

        return plugin_statuses(self, self._loader, load=load, name=name)

    def load_command(self, name: str) -> Any:
        """Import the click command of a plugin.

        Raises:
            ProviderError: It is not there, two dists offer it, its dist does not fit, or its import fails.
        """
        return self._loader.load_command(name)

    def options_lookup(self, provider: str) -> type | Mapping[str, type] | None:
        """Return what `target_options` does, or None when no such provider is installed.

        A provider that raises is broken, and no more: the manifest may name it without using it.
        """
        try:
            return self.target_options(provider)
        except ProviderNotFoundError:
            return None
        except ScalableError:
            raise
        except Exception as error:
            (entry,) = self._loader.claims("provider", provider)
            raise ProviderBrokenError(
                f"target_options() of {entry.label} failed: {one_line(error)}",
                cure=f"report it to the authors of {entry.dist}; {disable(entry)}",
            ) from error

    def target_options(self, provider: str) -> type | Mapping[str, type]:
        """Return the options class of a provider, or a mapping of cluster types to classes."""
        return self._ask("target_options", self._provider(provider), provider)  # type: ignore[no-any-return]

    def check_target(self, target: Target, context: HookContext) -> tuple[Problem, ...]:
        """Return the provider's offline findings about a target, placed relative to it."""
        return self._findings("check_target", target.provider, context, target=target)

    def resolve_image(
        self, provider: str, request: ImageRequest, context: HookContext
    ) -> ResolvedImage | None:
        """Return the image by digest; None leaves it to the core's own resolver."""
        plugin = self._provider(provider)
        answer: ResolvedImage | None = self._ask(
            "resolve_image", plugin, provider, context, optional=True, request=request
        )
        return answer

    def service_profile(self, target: Target) -> ServiceProfile:
        """Return how the target's service behaves; the core's own guess when the provider does not say."""
        name = target.provider
        answer: ServiceProfile | None = self._ask(
            "service_profile", self._provider(name), name, optional=True, target=target
        )
        return answer or ServiceProfile()

    def estimate_cost(self, plan: Plan, context: HookContext) -> CostEstimate:
        """Return what a plan will cost."""
        name = plan.target.provider
        answer: CostEstimate = self._ask(
            "estimate_cost", self._provider(name), name, context, plan=plan
        )
        return answer

    def variants(self, plan: Plan, context: HookContext) -> tuple[Plan, ...]:
        """Return the same work bought in other ways; empty when the provider knows none."""
        name = plan.target.provider
        answer = self._ask(
            "variants", self._provider(name), name, context, optional=True, plan=plan
        )
        return tuple(answer or ())

    def price_snapshot(
        self, provider: str, *, refresh: bool, context: HookContext
    ) -> PriceSnapshot | None:
        """Return which prices a provider estimates with; None when it has none."""
        answer: PriceSnapshot | None = self._ask(
            "price_snapshot",
            self._provider(provider),
            provider,
            context,
            optional=True,
            refresh=refresh,
        )
        return answer

    def preflight(self, plan: Plan, context: HookContext) -> tuple[Problem, ...]:
        """Return the provider's online findings about a plan."""
        return self._findings("preflight", plan.target.provider, context, plan=plan)

    def required_permissions(self, plan: Plan) -> Policy | None:
        """Return what somebody must be allowed to do to run a plan; None when the provider does not say."""
        name = plan.target.provider
        answer: Policy | None = self._ask(
            "required_permissions", self._provider(name), name, optional=True, plan=plan
        )
        return answer

    def provision_cluster(self, plan: Plan, context: HookContext) -> Cluster:
        """Return a running cluster for a plan."""
        name = plan.target.provider
        return self._ask("provision_cluster", self._provider(name), name, context, plan=plan)

    def start_driver(
        self, plan: Plan, bundle: BundleRef, context: HookContext
    ) -> ClusterRecord | None:
        """Start what runs a workflow detached from this process; None when the provider cannot."""
        name = plan.target.provider
        plugin = self._provider(name)
        answer: ClusterRecord | None = self._ask(
            "start_driver", plugin, name, context, optional=True, plan=plan, bundle=bundle
        )
        return answer

    def release_cluster(self, record: ClusterRecord, context: HookContext) -> ReleaseReport:
        """Release what a record names, through the provider that made it."""
        plugin = self._provider(record.provider)
        answer: ReleaseReport = self._ask(
            "release_cluster", plugin, record.provider, context, record=record
        )
        return answer

    def provider_of(self, uri: str) -> str | None:
        """Return the plugin that claims the scheme of a URI, usable or not; from metadata only."""
        found = self._loader.catalogue.named("scheme", uri_scheme(uri))
        return self._loader.home(found[0]).name if found else None

    def find_resources(
        self, target: Target, run: str | None, context: HookContext
    ) -> tuple[Resource, ...]:
        """Return what is there under the tags of the project, or of one run."""
        name = target.provider
        plugin = self._provider(name)
        answer = self._ask(
            "find_resources", plugin, name, context, optional=True, target=target, run=run
        )
        return tuple(answer or ())

    def read_logs(
        self, record: ClusterRecord, member: str | None, follow: bool, context: HookContext
    ) -> Iterator[LogLine] | None:
        """Return what the members of a run wrote; None when the provider keeps nothing."""
        plugin = self._provider(record.provider)
        nouns = {"record": record, "member": member, "follow": follow}
        answer: Iterator[LogLine] | None = self._ask(
            "read_logs", plugin, record.provider, context, optional=True, **nouns
        )
        return answer

    def store_artifact(
        self, artifact: Artifact, destination: str, context: HookContext
    ) -> ArtifactRef:
        """Store an artifact through the plugin of the destination's URI scheme. Safe from any thread."""
        plugin = self._loader.load("scheme", uri_scheme(destination))
        answer: ArtifactRef = self._ask(
            "store_artifact",
            plugin,
            plugin.name,
            context,
            artifact=artifact,
            destination=destination,
        )
        return answer

    def fetch_artifact(self, ref: ArtifactRef, destination: Path, context: HookContext) -> Path:
        """Fetch an artifact to a file through the plugin of its URI scheme. Safe from any thread."""
        plugin = self._loader.load("scheme", uri_scheme(ref.uri))
        answer: Path = self._ask(
            "fetch_artifact", plugin, plugin.name, context, ref=ref, destination=destination
        )
        return answer

    def open_storage(self, uri: str, context: HookContext) -> Storage | None:
        """Open the objects below a URI through the plugin of its scheme; None leaves it to fsspec.

        A scheme that no installed plugin claims is None too.
        """
        scheme = uri_scheme(uri)
        if not self._loader.claims("scheme", scheme):
            return None
        plugin = self._loader.load("scheme", scheme)
        answer: Storage | None = self._ask(
            "open_storage", plugin, plugin.name, context, optional=True, uri=uri
        )
        return answer

    def run_recorded(self, record: RunRecord, context: HookContext) -> None:
        """Tell every loaded plugin that a run has ended. What one of them raises is logged, and no more."""
        self._loader.load_extensions()
        plugins = self._loader.plugins()
        listeners = [plugin for plugin in plugins if self._answers("run_recorded", plugin)]
        for plugin in listeners:
            # One call each, so that one that fails does not silence the others; wrappers see each call.
            others = [other.module for other in listeners if other is not plugin]
            caller = self._pm.subset_hook_caller("run_recorded", others)
            try:
                caller(record=record, context=_addressed(context, plugin))
            except (Exception, SystemExit) as error:
                blame(error, "run_recorded", plugin, plugins)
                _log.warning(
                    "%s could not be told of the run's end", plugin.entry.label, exc_info=error
                )

    def can(self, verb: str, provider: str) -> bool:
        """Return whether a provider implements an optional hook."""
        return self._answers(verb, self._provider(provider))

    def hooks_of(self, plugin: Plugin) -> tuple[str, ...]:
        """Return the names of the hooks that a loaded plugin answers or wraps, sorted."""
        return tuple(sorted(c.name for c in self._pm.get_hookcallers(plugin.module) or ()))

    def require(self, verb: str, plugin: Plugin) -> None:
        """Make sure that a loaded provider implements a hook itself.

        Raises:
            HookNotImplementedError: It does not.
        """
        if self._answers(verb, plugin):
            return
        message = f"{plugin.entry.label} does not implement {verb}()"
        cure = f"pip install --upgrade {plugin.entry.dist}, or use another provider"
        if callable(getattr(plugin.module, verb, None)):
            message += f": {plugin.entry.value} has a function of that name without @hookimpl"
            cure = "put @hookimpl from scalable_core.hookspecs above it"
        raise HookNotImplementedError(message, cure=cure)

    def _provider(self, name: str) -> Plugin:
        return self._loader.load("provider", name)

    def _answers(self, verb: str, plugin: Plugin) -> bool:
        """Whether a plugin implements a hook other than by wrapping it."""
        impls = getattr(self._pm.hook, verb).get_hookimpls()
        return any(impl.plugin is plugin.module and not impl.wrapper for impl in impls)

    def _findings(
        self, verb: str, provider: str, context: HookContext, **nouns: Any
    ) -> tuple[Problem, ...]:
        found = self._ask(verb, self._provider(provider), provider, context, optional=True, **nouns)
        return tuple(found or ())

    def _ask(
        self,
        verb: str,
        plugin: Plugin,
        name: str,
        context: HookContext | None = None,
        *,
        optional: bool = False,
        **nouns: Any,
    ) -> Any:
        """Call a hook with only one provider and all extensions listening, and check the answer.

        Args:
            verb: The hook.
            plugin: The provider that is addressed.
            name: The name under which it is addressed; its answer must bear it.
            context: For hooks that take one.
            optional: The provider need not implement it and may answer None.
            **nouns: The other arguments.
        """
        if not optional:
            self.require(verb, plugin)
        caller = self._pm.subset_hook_caller(verb, self._loader.rivals(plugin))
        if context is not None:
            nouns["context"] = _addressed(context, plugin)
        try:
            answer = caller(**nouns)
        except SystemExit as error:
            raise PluginContractError(
                f"{verb}() of {plugin.entry.label} called sys.exit({error.code!r})",
                cure=f"report it to the authors of {plugin.entry.dist}; {disable(plugin.entry)}",
            ) from error
        except BaseException as error:
            blame(error, verb, plugin, self._loader.plugins())
            raise
        if answer is None and optional:
            return None
        check_answer(verb, answer, plugin, name)
        return answer


def _addressed(context: HookContext, plugin: Plugin) -> HookContext:
    """Return the context with the logger of the plugin that is called."""
    log = logging.getLogger(f"scalable.{plugin.entry.kind}.{plugin.name}")
    return attrs.evolve(context, log=log)


def uri_scheme(uri: str) -> str:
    """Return the scheme of a URI in lower case; ``file`` for a plain path."""
    match = _SCHEME.match(uri)
    return match[1].lower() if match else "file"
