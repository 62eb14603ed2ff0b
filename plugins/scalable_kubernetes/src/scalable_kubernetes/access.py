"""Where an API server is and who asks it: a kubeconfig, the pod that we run in, or an address with a token.

The last is the seam for clouds: `from_endpoint` needs an address, the authority of its certificate, and a
function that gives a token.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import os
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from attrs import field, frozen

from scalable_core.errors import ClusterError

#: Where a pod finds its own credentials.
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
#: In the pod of a detached run's driver: its address.
DRIVER_HOST = "SCALABLE_DRIVER_HOST"


@frozen(kw_only=True)
class Access:
    """One way to an API server.

    Attributes:
        connect: Makes a client of the official library, with credentials that are good now.
        name: For people: the context, or the server.
        inside: This process is in a pod of that cluster.
        renew: Forgets credentials, so that the next `connect` gets fresh ones.
    """

    connect: Callable[[], Any]
    name: str
    inside: bool = False
    renew: Callable[[], None] = field(default=lambda: None)


def find_access(kubeconfig: str | None, context: str | None, folder: Path) -> Access:
    """Return the access that a target names, else the pod's own, else the kubeconfig's current context.

    In the pod of a driver it is always the pod's own: a kubeconfig is for who is outside.

    Args:
        kubeconfig: Its path; None for where kubectl would look.
        context: Its name; None for the current one.
        folder: Where a relative path starts.
    """
    here = kubeconfig is None and context is None and "KUBERNETES_SERVICE_HOST" in os.environ
    if is_driver() or (here and (SERVICE_ACCOUNT / "token").exists()):
        return from_pod()
    path = None if kubeconfig is None else str(folder / Path(kubeconfig).expanduser())
    return from_kubeconfig(path, context)


def is_driver() -> bool:
    """Whether this process is in the pod of a detached run's driver."""
    return DRIVER_HOST in os.environ


def from_kubeconfig(path: str | None, context: str | None) -> Access:
    """Use a kubeconfig as kubectl does: its certificates, tokens, and programs that give tokens."""

    def connect() -> Any:
        from kubernetes.config import ConfigException

        from kubernetes import config

        settings = _settings()
        try:
            config.load_kube_config(
                path, context, client_configuration=settings, persist_config=False
            )
        except (ConfigException, OSError) as error:
            raise ClusterError(
                f"the kubeconfig {path or 'that kubectl would use'} does not lead to a cluster: {error}",
                cure="name kubeconfig: and context: in the target; kubectl config get-contexts lists them",
            ) from error
        return _client(settings)

    return Access(connect=connect, name=context or path or "the current context")


def from_pod() -> Access:
    """Use the service account of the pod that this process runs in."""

    def connect() -> Any:
        from kubernetes import config

        settings = _settings()
        config.load_incluster_config(client_configuration=settings)
        return _client(settings)

    return Access(connect=connect, name="this cluster", inside=True)


def from_endpoint(
    server: str, ca: str | None, token: Callable[[bool], str], *, inside: bool = False
) -> Access:
    """Use an address, and a token that is asked for before each request.

    Args:
        server: URL of the API server.
        ca: PEM, or its base64 text, of the authority that has signed its certificate; None for one that every
            machine knows.
        token: Gives a token that is good now, cheaply; True asks for a new one, the last was refused.
        inside: This process is in a pod of that cluster.
    """
    fresh = [False]

    def connect() -> Any:
        settings = _settings()
        settings.host = server
        if ca is not None:
            settings.ssl_ca_cert = _ca_file(ca)

        def refresh(config: Any) -> None:
            again, fresh[0] = fresh[0], False
            config.api_key["authorization"] = token(again)
            config.api_key_prefix["authorization"] = "Bearer"

        settings.refresh_api_key_hook = refresh
        refresh(settings)
        return _client(settings)

    def renew() -> None:
        fresh[0] = True

    return Access(connect=connect, name=server, inside=inside, renew=renew)


def _settings() -> Any:
    """Return settings of the official library by which it does not try again: `Api` does, with patience."""
    from kubernetes import client

    settings = client.Configuration()
    settings.retries = False
    return settings


def _client(settings: Any) -> Any:
    from kubernetes import client

    return client.ApiClient(settings)


@lru_cache
def _ca_file(ca: str) -> str:
    pem = ca.encode() if "BEGIN CERTIFICATE" in ca else base64.b64decode(ca)
    handle, name = tempfile.mkstemp(prefix="scalable-ca-", suffix=".pem")
    with contextlib.closing(os.fdopen(handle, "wb")) as file:
        file.write(pem)
    atexit.register(Path(name).unlink, missing_ok=True)
    return name
