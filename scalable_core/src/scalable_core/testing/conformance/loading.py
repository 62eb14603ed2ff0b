"""The plugin is found, imported and registered, without cost to those who do not use it."""

from __future__ import annotations

import re
import sys
from importlib.metadata import distribution

from scalable_core.hookspecs import PLUGIN_API
from scalable_core.plugins import PluginHost
from scalable_core.testing.conformance.base import Conformance
from scalable_core.testing.conformance.subject import module_of

#: What a provider answers itself; without the others the core goes on.
REQUIRED = ("target_options", "estimate_cost", "provision_cluster", "release_cluster")
#: Top-level names of what is too heavy to be imported before it is used.
HEAVY = frozenset(
    {"dask", "distributed", "pandas", "numpy", "rich", "fsspec", "requests", "httpx", "aiohttp"}
    | {"boto3", "botocore", "aiobotocore", "gcloud", "google", "azure", "kubernetes", "openstack"}
)


def heavy(modules: list[str]) -> list[str]:
    """Return what is heavy among modules, by top-level name."""
    return sorted({name.partition(".")[0] for name in modules} & HEAVY)


class LoadingChecks(Conformance):
    """Found by metadata, imported in a moment, registered whole."""

    def test_it_is_found_by_its_metadata_and_ready(self) -> None:
        """`scalable plugins check` has nothing against it."""
        status = self.subject.status
        assert status.status == "ready", f"it is {status.status}: {status.detail}"

    def test_its_name_can_be_written_in_a_manifest(self) -> None:
        """Lower case letters, digits, hyphens and underscores."""
        assert re.fullmatch(r"[a-z][a-z0-9_-]*", self.provider), (
            f"the name {self.provider!r} is not of lower case letters, digits, - and _"
        )

    def test_it_speaks_this_plugin_api(self) -> None:
        """The module says so itself."""
        api = getattr(module_of(self.subject), "SCALABLE_PLUGIN_API", None)
        assert api == PLUGIN_API, f"SCALABLE_PLUGIN_API is {api!r}; this core speaks {PLUGIN_API}"

    def test_it_implements_what_is_required(self) -> None:
        """Options, an estimate, and clusters that come and go."""
        missing = [verb for verb in REQUIRED if not self.subject.has(verb)]
        assert not missing, f"it does not implement {', '.join(missing)}"

    def test_its_dist_says_which_core_it_needs(self) -> None:
        """With a lower and an upper bound, so that a later core is refused with a sentence."""
        from packaging.requirements import Requirement

        requirements = map(Requirement, distribution(self.subject.status.dist).requires or ())
        cores = [each for each in requirements if each.name.replace("_", "-") == "scalable-core"]
        assert cores, "its dist does not require scalable-core"
        operators = {each.operator for each in cores[0].specifier}
        assert operators & {"<", "<=", "==", "~="}, (
            f"its dist requires {cores[0]} without an upper bound"
        )

    def test_it_is_loaded_once_for_each_host(self) -> None:
        """Two hosts in one process get the same options: a process may have several sessions."""
        first = PluginHost().target_options(self.provider)
        second = PluginHost().target_options(self.provider)
        assert first == second, "a second plugin host in this process gets other options"

    def test_it_can_be_imported_from_any_folder(self) -> None:
        """A wheel or an editable install, not a file that happens to be in the current folder."""
        assert self.subject.probe()["loaded"], "nothing was imported in another folder"

    def test_importing_it_is_quick(self) -> None:
        """Measured in CPU seconds, the best of three fresh Pythons, without what the core imports itself."""
        best = self.subject.probe()["seconds"]
        for _ in range(2):
            if best > self.import_seconds:  # another process may have had the processor's caches
                best = min(best, self.subject.probe(again=True)["seconds"])
        assert best <= self.import_seconds, (
            f"importing it takes {best * 1000:.0f} ms of CPU, more than {self.import_seconds * 1000:.0f}"
        )

    def test_importing_it_loads_no_sdk_and_no_dask(self) -> None:
        """They are imported inside the functions that need them."""
        found = heavy(self.subject.probe()["loaded"])
        assert not found, f"importing it also imports {', '.join(found)}"

    def test_importing_it_does_nothing_else(self) -> None:
        """Nothing is printed, no thread is started, no socket opened."""
        seen = self.subject.probe()
        assert not seen["printed"], f"importing it prints {seen['printed'].strip()!r:.60}"
        assert not seen["threads"], "importing it starts a thread"
        assert not seen["sockets_at_load"], f"importing it opens {seen['sockets_at_load'][0]}"

    def test_it_imports_only_what_is_public(self) -> None:
        """The core's types, errors, hookspecs, cluster, oci and testing; the stages may change at any time."""
        module = module_of(self.subject)
        package = module.__name__.partition(".")[0]
        used = {
            name
            for key, loaded in list(sys.modules.items())
            if key.partition(".")[0] == package
            for name in _core_modules(loaded)
        }
        private = sorted(name for name in used if name.split(".")[1] in _STAGES)
        assert not private, f"it imports {', '.join(private)}, which is not for plugins"


_STAGES = frozenset(
    {"cli", "session", "manifest", "plan", "records", "artifacts", "cache", "plugins"}
)


def _core_modules(module: object) -> set[str]:
    """Names of the core's modules that something in a module's namespace comes from."""
    values = list(vars(module).values()) if hasattr(module, "__dict__") else []
    names = {str(getattr(value, "__module__", "") or "") for value in values}
    names |= {str(getattr(value, "__name__", "")) for value in values}
    return {name for name in names if name.startswith("scalable_core.")}
