"""What a refusal of the API server means: for one member of a fleet, or for a whole run."""

from __future__ import annotations

import re

from scalable_core.cluster.launcher import LaunchFailure
from scalable_core.errors import ClusterError
from scalable_kubernetes.api import ApiError

#: What to do about a right that is missing.
ROLE = "have the Role bound that this prints: scalable doctor --print-policy"


def launch_failure(error: ApiError) -> LaunchFailure:
    """Return why a pod was not created.

    Raises:
        ClusterError: No other pod of its kind would be created either.
    """
    if error.status == 403 and "exceeded quota" in error.message:
        text = f"the namespace's quota is used up: {_tail(error.message)}"
        return LaunchFailure(
            kind="quota", message=text, cure="ask for fewer workers, or have the quota raised"
        )
    if error.status == 403 and _missing_right(error.message):
        return LaunchFailure(kind="permission", message=_right(error.message), cure=ROLE)
    if error.status == 429:
        return LaunchFailure(kind="throttled", message=f"the API server asks for time: {error}")
    if error.status in (0, 500, 502, 503, 504):
        return LaunchFailure(kind="other", message=f"the API server does not answer: {error}")
    raise cluster_error(error, "a pod cannot be created")


def cluster_error(error: ApiError, doing: str) -> ClusterError:
    """Return the sentence for a refusal.

    Args:
        error: What was said.
        doing: What was refused, such as ``a pod cannot be created``.
    """
    if error.status == 401:
        return ClusterError(
            f"{doing}: the API server does not accept who we are: {error.message}",
            cure="log in to the cluster anew, as for kubectl, and check context: in the target",
        )
    if error.status == 403 and _missing_right(error.message):
        return ClusterError(f"{doing}: {_right(error.message)}", cure=ROLE)
    if error.status == 404 and "namespaces" in error.message:
        return ClusterError(
            f"{doing}: {error.message}",
            cure="create it with kubectl create namespace, or name another in the target",
        )
    if error.status == 0:
        return ClusterError(
            f"{doing}: the API server cannot be reached: {error.message}",
            cure="check context: and kubeconfig: in the target, and that kubectl get pods works",
        )
    return ClusterError(f"{doing}: {error.message}")


def _missing_right(message: str) -> bool:
    return " cannot " in message and "resource" in message


def _right(message: str) -> str:
    """Return which verb is missing on what, from ``User "x" cannot create resource "pods"...``."""
    found = re.search(
        r'User "([^"]*)" cannot (\S+) resource "([^"]*)".*?(?:namespace "([^"]*)")?$', message
    )
    if not found:
        return message
    user, verb, resource, namespace = found.groups()
    where = f" in namespace {namespace}" if namespace else ""
    return f"{user} may not {verb} {resource}{where}"


def _tail(message: str) -> str:
    return message.partition("exceeded quota: ")[2] or message
