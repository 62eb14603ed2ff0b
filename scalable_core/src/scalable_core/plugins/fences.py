"""Every check between an entry point and a registered plugin. What fails is one sentence with a cure."""

from __future__ import annotations

import importlib
import inspect
from difflib import get_close_matches
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pluggy

from scalable_core import __version__
from scalable_core.errors import (
    PluginContractError,
    ProviderBrokenError,
    ProviderIncompatibleError,
)
from scalable_core.hookspecs import PLUGIN_API

if TYPE_CHECKING:
    from scalable_core.plugins.discovery import Entry

CORE = f"scalable-core {__version__}"


def check_metadata(entry: Entry) -> None:
    """Refuse an entry whose metadata are damaged or ask for another core; nothing is imported yet.

    Raises:
        ProviderBrokenError: The entry or its dist cannot be read.
        ProviderIncompatibleError: The dist's requirement on scalable-core leaves this one out.
    """
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    if entry.fault:
        raise ProviderBrokenError(
            f"{entry.label} cannot be loaded: {entry.fault}", cure=reinstall(entry)
        )
    for text in entry.requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            raise ProviderBrokenError(
                f"{entry.label} cannot be loaded: its requirement {text!r} cannot be read",
                cure=reinstall(entry),
            ) from None
        if canonicalize_name(requirement.name) != "scalable-core":
            continue
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        if not requirement.specifier.contains(__version__, prereleases=True):
            raise ProviderIncompatibleError(
                f"{entry.label} needs scalable-core{requirement.specifier}; this is {CORE}",
                cure=f"pip install --upgrade scalable-core {entry.dist}  (to versions that fit each other)",
            )


def import_plugin(entry: Entry) -> ModuleType:
    """Import what an entry names and make sure that it is a module for this core's API.

    Raises:
        ProviderBrokenError: The import fails, in whatever way.
        PluginContractError: It is not a module.
        ProviderIncompatibleError: It was written for another plugin API, or does not say for which.
    """
    module = load_object(entry)
    if not isinstance(module, ModuleType):
        noun = f"the class {module.__name__}" if isinstance(module, type) else f"{module!r}"
        raise PluginContractError(
            f"{entry.label} names {noun} in its entry point {entry.value!r}; a plugin is a module",
            cure=f"write its hooks as functions of a module and name that: {entry.value.partition(':')[0]}",
        )
    api = getattr(module, "SCALABLE_PLUGIN_API", None)
    if api is None:
        raise ProviderIncompatibleError(
            f"{entry.label} does not say which plugin API it speaks; {CORE} speaks {PLUGIN_API}",
            cure=f"write SCALABLE_PLUGIN_API = {PLUGIN_API} in {module.__name__}",
        )
    if api != PLUGIN_API:
        newer = isinstance(api, int) and api > PLUGIN_API
        raise ProviderIncompatibleError(
            f"{entry.label} speaks plugin API {api}; {CORE} speaks {PLUGIN_API}",
            cure=f"pip install --upgrade {'scalable-core' if newer else entry.dist}",
        )
    return module


def load_object(entry: Entry) -> Any:
    """Import what an entry names.

    Raises:
        ProviderBrokenError: The import raises anything, ``SystemExit`` too, or the name is not there.
    """
    name, _, attribute = entry.value.partition(":")
    try:
        found: Any = importlib.import_module(name)
        for part in attribute.split(".") if attribute else ():
            found = getattr(found, part)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        cause = one_line(error)
        if isinstance(error, SystemExit):
            cause = f"it called sys.exit({'' if error.code is None else repr(error.code)})"
        raise ProviderBrokenError(
            f"{entry.label} is installed, but importing {entry.value} failed: {cause}",
            cure=reinstall(entry),
        ) from error
    return found


def register(pm: pluggy.PluginManager, module: ModuleType, name: str, entry: Entry) -> None:
    """Register a module under a name; after any error it is as if it had never been there.

    Raises:
        PluginContractError: It is a provider and wraps, or wraps in the old style.
        ProviderIncompatibleError: It asks for an argument or implements a hook that this core lacks.
        ProviderBrokenError: Its `configure` raises.
    """
    hooks = _hooks(pm, module)
    _check_wrappers(hooks, entry)
    try:
        pm.register(module, name)
        pm.check_pending()
    except BaseException as error:
        if pm.get_plugin(name) is module:
            pm.unregister(module)
        if isinstance(error, pluggy.PluginValidationError):
            raise ProviderIncompatibleError(
                f"{entry.label} does not fit {CORE}: {_misfit(pm, hooks) or ' '.join(str(error).split())}",
                cure=f"correct it, or pip install --upgrade scalable-core {entry.dist}",
            ) from None
        if isinstance(error, KeyboardInterrupt):
            raise
        raise ProviderBrokenError(
            f"{entry.label} is installed, but its configure() failed: {one_line(error)}",
            cure=f"report it to the authors of {entry.dist}; {disable(entry)}",
        ) from error


def _hooks(
    pm: pluggy.PluginManager, module: ModuleType
) -> list[tuple[str, Any, pluggy.HookimplOpts]]:
    """Return hook name, function and options of each implementation in a module."""
    found = []
    for attribute in dir(module):
        options = pm.parse_hookimpl_opts(module, attribute)
        if options is not None:
            name = options.get("specname") or attribute
            found.append((name, getattr(module, attribute), options))
    return found


def _check_wrappers(hooks: list[tuple[str, Any, pluggy.HookimplOpts]], entry: Entry) -> None:
    for name, _, options in hooks:
        if options.get("hookwrapper"):
            raise PluginContractError(
                f"{entry.label} wraps {name}() in the old style",
                cure="write @hookimpl(wrapper=True), and return the answer of the yield",
            )
        if options.get("wrapper") and entry.kind != "extension":
            raise PluginContractError(
                f"{entry.label} answers hooks and wraps {name}(); a module does one or the other, because"
                " a provider's wrapper would be lost when another provider is addressed",
                cure="move the wrapper to a module of its own, under scalable.extensions",
            )


def _misfit(
    pm: pluggy.PluginManager, hooks: list[tuple[str, Any, pluggy.HookimplOpts]]
) -> str | None:
    """Say which hook or argument this core lacks; None when it is something else."""
    known = [name for name, caller in vars(pm.hook).items() if _has_spec(caller)]
    for name, function, options in hooks:
        if name not in known:
            if not options.get("optionalhook"):
                near = get_close_matches(name, known, n=1)
                return f"unknown hook {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")
            continue
        given = getattr(pm.hook, name).spec.argnames
        wanted = [
            parameter.name
            for parameter in inspect.signature(function).parameters.values()
            if parameter.default is parameter.empty
        ]
        extra = [argument for argument in wanted if argument not in given]
        if extra:
            return f"{name}() asks for {', '.join(extra)}, and is given {', '.join(given) or 'nothing'}"
    return None


def _has_spec(caller: object) -> bool:
    return isinstance(caller, pluggy.HookCaller) and caller.has_spec()


def reinstall(entry: Entry) -> str:
    """Return the cure of a damaged installation."""
    return f"pip install --force-reinstall {entry.dist} mends an installation; {disable(entry)}"


def disable(entry: Entry) -> str:
    """Return how to do without a plugin."""
    return f"SCALABLE_DISABLE_PLUGINS={entry.name} leaves it out"


def one_line(error: BaseException) -> str:
    """Return the type of an exception and the first line of what it says."""
    said = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
