"""AWS's own way to the API server of an EKS cluster: its address from EKS, and tokens that STS vouches for."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Mapping
from typing import Any

from attrs import evolve, frozen

from scalable_aws.account import Account, CallError
from scalable_aws.options import EksOptions
from scalable_core.errors import ClusterError
from scalable_kubernetes.access import Access, from_endpoint, from_pod, is_driver

#: What a token begins with, and the header that binds it to one cluster.
PREFIX, HEADER = "k8s-aws-v1.", "x-k8s-aws-id"
#: Seconds that the address in a token says that it is good for. The cluster takes it for 15 minutes from its
#: date on, whatever it says; 60 is what AWS's own tools write (aws-iam-authenticator, pkg/token).
SAID = 60
#: Seconds after which another is made.
RENEW = 720.0


@frozen(kw_only=True)
class Place:
    """Which cluster, and as whom.

    Attributes:
        region: Where it is.
        profile: Whose credentials; as every AWS tool finds them when None.
        cluster: Its name.
    """

    region: str
    profile: str | None = None
    cluster: str

    @classmethod
    def of(cls, options: EksOptions) -> Place:
        """Return the cluster that a target names."""
        return cls(
            region=options.region, profile=options.profile, cluster=options.cluster or "default"
        )

    @property
    def data(self) -> dict[str, Any]:
        """It as records keep it."""
        return {
            "cluster_type": "eks",
            "region": self.region,
            "profile": self.profile,
            "cluster": self.cluster,
        }

    @property
    def account(self) -> Account:
        """The region, as the user."""
        return Account(self.region, self.profile)

    async def describe(self) -> Mapping[str, Any]:
        """Return what EKS says of the cluster.

        Raises:
            CallError: It is not there, or may not be asked for.
        """
        try:
            answer = await self.account.call("eks", "DescribeCluster", name=self.cluster)
        except CallError as error:
            if error.code == "ResourceNotFoundException":
                told = CallError(
                    f"there is no EKS cluster {self.cluster!r} in {self.region}",
                    cure=f"see which there are: aws eks list-clusters --region {self.region}",
                )
                told.code = error.code
                raise told from error
            raise
        found: Mapping[str, Any] = answer["cluster"]
        return found


def find_access(place: Place) -> Access:
    """Return the way to a cluster; the pod of a driver has its own.

    Raises:
        CallError: EKS does not say where it is.
        ClusterError: It is not ready.
    """
    from scalable_aws import client as aws

    if is_driver():
        return from_pod()
    return access_to(place, aws.run(place.describe()))


def access_to(place: Place, cluster: Mapping[str, Any]) -> Access:
    """Return the way to a cluster of which EKS has said this.

    Raises:
        ClusterError: It is not ready.
    """
    if not cluster.get("endpoint"):
        raise ClusterError(
            f"EKS cluster {place.cluster!r} is {str(cluster.get('status')).lower()}, and has no address",
            cure=f"wait for it: aws eks wait cluster-active --name {place.cluster}",
        )
    ca = cluster["certificateAuthority"]["data"]
    access = from_endpoint(cluster["endpoint"], ca, Tokens(place))
    return evolve(access, name=f"EKS cluster {place.cluster} in {place.region}")


class Tokens:
    """Gives a token that is good now, cheaply: nobody is asked for one, it is signed here.

    Args:
        place: The cluster.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._lock = threading.Lock()
        self._token, self._until = "", 0.0

    def __call__(self, again: bool) -> str:
        """Return a token; another one when the last was refused.

        Raises:
            CallError: There are no credentials.
        """
        from scalable_aws import client as aws

        with self._lock:
            if again or time.monotonic() >= self._until:
                headers = {HEADER: self._place.cluster}
                work = self._place.account.identity_url(expires=SAID, headers=headers)
                text = base64.urlsafe_b64encode(aws.run(work).encode()).decode()
                self._token, self._until = PREFIX + text.rstrip("="), time.monotonic() + RENEW
            return self._token
