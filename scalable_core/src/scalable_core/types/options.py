"""How a record says what a manifest may contain: the fields of attrs classes, with units and help.

Providers describe their targets this way, and the core describes components, tasks and the project the
same way. One description gives parsing, problems with positions, the JSON Schema and the docs.

Names that the plan reads from any provider's options, where they exist (all optional): ``image``;
``n_workers`` or ``max_workers`` (a fixed number of workers); ``adaptive`` (an `Adaptive`: bounds of the
total); ``worker_cpu`` (vCPU) and ``worker_mem`` (bytes) for components that set none;
``threads_per_worker``; ``containers`` (``none``, or the runtime of this machine that starts the images;
without this name images are the provider's matter).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import attrs
from attrs import frozen

from scalable_core.types.units import MIB

Quantity = Literal["size", "cpus", "duration"]


def option(
    *,
    default: Any = attrs.NOTHING,
    factory: Callable[[], Any] | None = None,
    help: str,
    quantity: Quantity | None = None,
    unit: float | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
    secret: bool = False,
) -> Any:
    """Declare one option: an attrs field that a manifest can set.

    The field's type says what may be written: ``str``, ``int``, ``float``, ``bool``, ``Literal[...]``,
    ``T | None``, ``tuple[T, ...]``, ``Mapping[str, T]``, or another attrs class of options.

    Args:
        default: Value when the manifest does not set it; without one (and without factory) it is required.
        factory: Makes the default.
        help: One line for the schema and the docs.
        quantity: The value is a ``size`` (field type int, bytes), ``cpus`` (float, vCPU) or ``duration``
            (float, seconds), read as people write them.
        unit: What one bare number means: bytes for a size, vCPU for cpus. None for a size refuses bare
            numbers, because ``memory: 16`` is more often a slip than 16 bytes.
        minimum: Smallest value allowed (bytes, vCPU, seconds or the number itself).
        maximum: Largest value allowed.
        secret: The value is a `Secret`; it is never written or printed.
    """
    metadata = {
        "help": help,
        "quantity": quantity,
        "unit": unit,
        "minimum": minimum,
        "maximum": maximum,
        "secret": secret,
    }
    if factory is not None:
        return attrs.field(factory=factory, metadata=metadata)
    return attrs.field(default=default, metadata=metadata)


@frozen(kw_only=True)
class Adaptive:
    """Bounds between which the number of workers follows the queued work, over all groups together."""

    minimum: int = option(default=0, minimum=0, help="Fewest workers kept, over all components.")
    maximum: int = option(minimum=1, help="Most workers at one time, over all components.")


@frozen(kw_only=True)
class FleetOptions:
    """Options of a target whose workers are machines, tasks or pods of a service; subclass it to add its own.

    The core reads them, and sees that they fit together: the sizes and the lifetimes of a fleet have the same
    names in every provider that has one.
    """

    image: str | None = option(default=None, help="Container image of components that name none.")
    base_image: str = option(
        default="python:{python}-slim",
        help="Image of components that have none: Python alone, of the same version as here; the packages of"
        " this environment are brought to it.",
    )
    worker_mem: int | None = option(
        default=None,
        quantity="size",
        unit=MIB,
        help="Memory of components that set none; 16384 and 16Gi mean 16 GiB.",
    )
    n_workers: int | None = option(
        default=None, minimum=1, help="Number of workers over all components; 1 when left out."
    )
    min_workers: int = option(
        default=1,
        minimum=0,
        help="Workers with which the work may begin; others join as they come.",
    )
    adaptive: Adaptive | None = option(
        default=None, help="Lets the number of workers follow the queued work; replaces n_workers."
    )
    idle_timeout: float = option(
        default=1200.0, quantity="duration", minimum=60, help="A cluster without work ends itself."
    )
    max_lifetime: float = option(
        default=86400.0,
        quantity="duration",
        minimum=60,
        help="Every cluster ends itself after that.",
    )


@frozen(kw_only=True, slots=False)  # a class can have one base with slots
class PodOptions:
    """Options of a target whose workers are pods, whoever keeps the cluster; mix it into the target's class.

    They are read by scalable-kubernetes, which a provider with a cluster of its own hands its pods to.
    """

    namespace: str = option(
        default="default", help="Namespace; rights in it are all that is needed."
    )
    worker_service_account: str | None = option(
        default=None, help="Kubernetes service account that the work has."
    )
    driver_service_account: str | None = option(
        default=None,
        help="Service account of the driver of a detached run, bound to the printed Role.",
    )
    driver_image: str | None = option(
        default=None,
        help="Image with scalable for the driver of a detached run; the workers' when left out.",
    )
    resources: Mapping[str, Mapping[str, Any]] = option(
        factory=dict,
        help="More requests and limits of workers, as in a pod: GPUs, ephemeral storage.",
    )
    node_selector: Mapping[str, str] = option(
        factory=dict, help="Labels that a worker's node must have."
    )
    tolerations: tuple[Mapping[str, Any], ...] = option(
        default=(), help="Taints that workers bear, as in a pod."
    )
    annotations: Mapping[str, str] = option(factory=dict, help="Annotations of the pods.")
    priority_class: str | None = option(default=None, help="Priority class of the pods.")
    image_pull_secrets: tuple[str, ...] = option(
        default=(), help="Secrets of the namespace with which images are pulled."
    )
    volumes: tuple[Mapping[str, Any], ...] = option(
        default=(), help="Volumes that component mounts can name, as in a pod."
    )
    pod_template: str | None = option(
        default=None,
        help="YAML file of a pod that is merged into every pod; relative to the manifest.",
    )
    schedule_timeout: float = option(
        default=600.0,
        quantity="duration",
        minimum=5,
        help="How long a pod may wait for a node; a cluster that adds nodes needs minutes.",
    )
