"""Google's own way to the API server of a cluster of GKE: its address from GKE, and Google's own tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import evolve, frozen

from scalable_core.errors import ClusterError
from scalable_gcp.cloud import CallError, Cloud
from scalable_gcp.options import GkeOptions
from scalable_kubernetes.access import Access, from_endpoint, from_pod, is_driver


@frozen(kw_only=True)
class Place:
    """Which cluster.

    Attributes:
        project: Google Cloud project; that of the credentials when None.
        location: A region or a zone.
        cluster: Its name.
        endpoint: ``auto``, ``dns`` or ``ip``.
    """

    project: str | None = None
    location: str
    cluster: str
    endpoint: str = "auto"

    @classmethod
    def of(cls, options: GkeOptions) -> Place:
        """Return the cluster that a target names."""
        return cls(
            project=options.project_id,
            location=options.location or options.zone or options.region,
            cluster=options.cluster or "default",
            endpoint=options.endpoint,
        )

    @property
    def data(self) -> dict[str, Any]:
        """It as records keep it."""
        return {
            "cluster_type": "gke",
            "project_id": self.project,
            "location": self.location,
            "cluster": self.cluster,
            "endpoint": self.endpoint,
        }

    async def describe(self) -> Mapping[str, Any]:
        """Return what GKE says of the cluster.

        Raises:
            CallError: It is not there, or may not be asked for.
        """
        cloud = Cloud(self.project, self.location)
        try:
            return await cloud.call("container", "GET", f"{cloud.location}/clusters/{self.cluster}")
        except CallError as error:
            if not error.absent:
                raise
            told = CallError(
                f"there is no GKE cluster {self.cluster!r} in {self.location} of {cloud.project}",
                cure=f"see which there are: gcloud container clusters list --project {cloud.project}",
            )
            told.status = error.status
            raise told from error


def find_access(place: Place) -> Access:
    """Return the way to a cluster; the pod of a driver has its own.

    Raises:
        CallError: GKE does not say where it is.
        ClusterError: It has no address that is open to this machine.
    """
    from scalable_gcp import client

    if is_driver():
        return from_pod()
    return access_to(place, client.run(place.describe()))


def access_to(place: Place, cluster: Mapping[str, Any]) -> Access:
    """Return the way to a cluster of which GKE has said this.

    Raises:
        ClusterError: It has no address that is open to this machine.
    """
    server, ca = address_of(place, cluster)
    access = from_endpoint(server, ca, google_token)
    return evolve(access, name=f"GKE cluster {place.cluster} in {place.location}")


def address_of(place: Place, cluster: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return the URL of an API server, and who has signed its certificate; None for one that all machines know.

    The DNS name has a certificate of a public authority, and needs no way into the cluster's network
    (cloud.google.com/kubernetes-engine/docs/concepts/network-isolation).

    Raises:
        ClusterError: There is no such address.
    """
    control = cluster.get("controlPlaneEndpointsConfig", {})
    dns = control.get("dnsEndpointConfig", {})
    name = dns.get("endpoint") if dns.get("allowExternalTraffic") else None
    if name and place.endpoint in ("auto", "dns"):
        return f"https://{name}", None
    where = f"GKE cluster {place.cluster!r} in {place.location}"
    if place.endpoint == "dns":
        enable = f"gcloud container clusters update {place.cluster} --location {place.location}"
        raise ClusterError(
            f"{where} has no DNS name that is open",
            cure=f"open it: {enable} --enable-dns-access; or write endpoint: ip",
        )
    address = cluster.get("endpoint")
    if not address or not control.get("ipEndpointsConfig", {}).get("enabled", True):
        raise ClusterError(
            f"{where} is {str(cluster.get('status')).lower()}, and has no address",
            cure="wait until it runs, or write endpoint: dns where its DNS name is open",
        )
    return f"https://{address}", cluster["masterAuth"]["clusterCaCertificate"]


def is_autopilot(cluster: Mapping[str, Any]) -> bool:
    """Whether Google keeps the nodes, and bills pods by what they ask for."""
    return bool(cluster.get("autopilot", {}).get("enabled"))


def google_token(again: bool) -> str:
    """Return an access token of google-auth's default credentials; another one when the last was refused.

    Raises:
        ClusterError: There are no credentials, or they are no good.
    """
    from scalable_gcp import client

    try:
        return client.run(client.access_token(again=again))
    except client.CredentialsError as error:
        raise ClusterError(error.message, cure=error.cure) from error
