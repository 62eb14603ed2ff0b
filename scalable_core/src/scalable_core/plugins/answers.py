"""What each hook may answer, and whose fault an exception is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from scalable_core.errors import PluginContractError
from scalable_core.plugins.loading import Plugin
from scalable_core.types import (
    ArtifactRef,
    ClusterRecord,
    CostEstimate,
    Plan,
    Policy,
    PriceSnapshot,
    Problem,
    ReleaseReport,
    ResolvedImage,
    Resource,
    ServiceProfile,
    Storage,
)


def _record(cls: type, *also: str) -> Callable[[Any, str], str | None]:
    def check(answer: Any, name: str) -> str | None:
        if not isinstance(answer, cls):
            return f"a {cls.__name__}"
        if getattr(answer, "provider", None) not in (name, *also):
            return f"a {cls.__name__} with provider={name!r}"
        return None

    return check


def _options(answer: Any, name: str) -> str | None:
    classes = answer.values() if isinstance(answer, Mapping) and answer else (answer,)
    sound = all(isinstance(cls, type) and attrs.has(cls) for cls in classes)
    return None if sound else "an attrs class, or a mapping of cluster_type to attrs classes"


def _cluster(answer: Any, name: str) -> str | None:
    # A cluster cannot exist without this module; importing it here would make every plan slow.
    deploy = sys.modules.get("distributed.deploy")
    sound = deploy is not None and isinstance(answer, deploy.Cluster)
    return None if sound else "a distributed.deploy.Cluster"


def _profile(answer: Any, name: str) -> str | None:
    return None if isinstance(answer, ServiceProfile) else "a ServiceProfile"


def _list_of(cls: type) -> Callable[[Any, str], str | None]:
    def check(answer: Any, name: str) -> str | None:
        sound = isinstance(answer, Sequence) and all(isinstance(item, cls) for item in answer)
        return None if sound else f"a list of {cls.__name__}"

    return check


def _iterator(answer: Any, name: str) -> str | None:
    return None if isinstance(answer, Iterator) else "an iterator of LogLine"


def _storage(answer: Any, name: str) -> str | None:
    return None if isinstance(answer, Storage) else "a Storage"


def _path(answer: Any, name: str) -> str | None:
    return None if isinstance(answer, Path) else "a Path"


#: Each returns what was wanted, or None when the answer is good. An image may come from the core's resolver.
_CHECKS: dict[str, Callable[[Any, str], str | None]] = {
    "target_options": _options,
    "check_target": _list_of(Problem),
    "resolve_image": _record(ResolvedImage, "oci"),
    "service_profile": _profile,
    "estimate_cost": _record(CostEstimate),
    "variants": _list_of(Plan),
    "price_snapshot": _record(PriceSnapshot),
    "preflight": _list_of(Problem),
    "required_permissions": _record(Policy),
    "provision_cluster": _cluster,
    "start_driver": _record(ClusterRecord),
    "release_cluster": _record(ReleaseReport),
    "find_resources": _list_of(Resource),
    "read_logs": _iterator,
    "store_artifact": _record(ArtifactRef),
    "fetch_artifact": _path,
    "open_storage": _storage,
}


def check_answer(verb: str, answer: Any, plugin: Plugin, name: str) -> None:
    """Refuse an answer of the wrong type or from the wrong provider.

    Args:
        verb: The hook.
        answer: What it returned.
        plugin: Who was addressed.
        name: The name under which it was addressed.

    Raises:
        PluginContractError: The answer is not what the hook promises.
    """
    wanted = _CHECKS[verb](answer, name)
    if wanted is None:
        return
    got = f"{answer!r:.60}"
    provider = getattr(answer, "provider", None)
    if isinstance(provider, str):
        got = f"a {type(answer).__name__} with provider={provider!r}"
    raise PluginContractError(
        f"{verb}() of {plugin.entry.label} returned {got}, wanted {wanted}",
        cure=f"report it to the authors of {plugin.entry.dist}, or of an extension that wraps {verb}()",
    )


def blame(error: BaseException, verb: str, asked: Plugin, plugins: Iterable[Plugin]) -> None:
    """Add a note to an exception that says which plugin, dist and version it came out of.

    The innermost frame that runs in a plugin's own module tells who it was: a wrapper of an extension, or
    the provider that was addressed.
    """
    by_globals = {id(vars(plugin.module)): plugin for plugin in plugins}
    source = asked
    trace = error.__traceback__
    while trace is not None:
        source = by_globals.get(id(trace.tb_frame.f_globals), source)
        trace = trace.tb_next
    note = f"raised by {verb}() of {source.entry.label}"
    if source is not asked:
        note += f", around that of {asked.entry.label}"
    if note not in getattr(error, "__notes__", ()):
        error.add_note(note)
