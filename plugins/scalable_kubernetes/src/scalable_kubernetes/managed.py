"""The hooks of a target whose cluster a cloud keeps, as EKS and GKE: that cloud's plugin says where it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from attrs import frozen

from scalable_core.types import (
    BundleRef,
    ClusterRecord,
    HookContext,
    LogLine,
    Plan,
    ReleaseReport,
    Resource,
    Target,
)
from scalable_kubernetes.access import Access
from scalable_kubernetes.options import KubernetesOptions

if TYPE_CHECKING:
    from scalable_core.cluster.fleet import FleetCluster


class Place(Protocol):
    """Which cluster."""

    @property
    def data(self) -> Mapping[str, Any]:
        """It as records keep it, plain and without secrets."""


P = TypeVar("P", bound=Place)


@frozen(kw_only=True)
class Managed(Generic[P]):
    """What a cloud's plugin hands over, and the hooks that follow from it.

    Attributes:
        pod_options: Returns what a target's options say of its pods, in the words of this plugin.
        place_in: Returns the cluster that a target's options name.
        place_of: Returns the cluster that a record names.
        find_access: Returns the way to a cluster's API server.
        sized: Returns a plan with its workers as large as the nodes make them.
    """

    pod_options: Callable[[Any], KubernetesOptions]
    place_in: Callable[[Any], P]
    place_of: Callable[[ClusterRecord], P]
    find_access: Callable[[P], Access]
    sized: Callable[[Plan], Plan] = lambda plan: plan

    def provision(self, plan: Plan, context: HookContext, *, provider: str) -> FleetCluster:
        """Start the scheduler of a plan in the namespace of its target.

        Raises:
            ClusterError: The cluster cannot be reached, or takes no pods.
        """
        from scalable_kubernetes.provision import start_fleet

        place, options = self.place_in(plan.target.options), self.pod_options(plan.target.options)
        access = self.find_access(place)
        return start_fleet(self.sized(plan), context, options, access, place.data, provider)

    def start_driver(
        self, plan: Plan, bundle: BundleRef, context: HookContext, *, provider: str
    ) -> ClusterRecord:
        """Start a Job that runs the workflow where its workers are.

        Raises:
            ClusterError: The cluster cannot be reached, or takes no Job.
        """
        from scalable_kubernetes.driver import start_with

        place, options = self.place_in(plan.target.options), self.pod_options(plan.target.options)
        access = self.find_access(place)
        return start_with(plan, bundle, context, options, access, place.data, provider)

    def release(self, record: ClusterRecord, context: HookContext) -> ReleaseReport:
        """Remove what a run has left in the cluster that its record names.

        Raises:
            ClusterError: The cluster cannot be asked.
        """
        from scalable_kubernetes.release import release_with

        return release_with(record, context, self.find_access(self.place_of(record)))

    def find(self, target: Target, run: str | None, context: HookContext) -> list[Resource]:
        """Return what is there of a project, or of one of its runs.

        Raises:
            ClusterError: The cluster cannot be asked.
        """
        from scalable_kubernetes.release import find_with

        access = self.find_access(self.place_in(target.options))
        return find_with(access, self.pod_options(target.options).namespace, run, context)

    def read_logs(
        self, record: ClusterRecord, member: str | None, *, follow: bool
    ) -> Iterator[LogLine] | None:
        """Return the lines of a run's pods; None when there are none.

        Raises:
            ClusterError: They cannot be read.
        """
        from scalable_kubernetes.logs import read_with

        return read_with(record, member, self.find_access(self.place_of(record)), follow=follow)
