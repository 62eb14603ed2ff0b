"""What is wrong or odd in a `gcp` target, as far as it can be known without asking Google."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec

from scalable_core.types import HookContext, Problem, Target
from scalable_core.types.units import MIB
from scalable_gcp.options import CloudRunOptions, GcpOptions, GkeOptions
from scalable_gcp.sizes import LARGEST, fit, misfit

_REGION = re.compile(r"[a-z]+(-[a-z]+)+\d{1,2}\Z")
_PROJECT = re.compile(r"([a-z][a-z0-9.-]*:)?[a-z][a-z0-9-]{4,28}[a-z0-9]\Z")
_MACHINE_TYPE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)+\Z")
_ACCOUNT = re.compile(r"[a-z0-9][a-z0-9-]*@[a-z0-9.-]+\.gserviceaccount\.com\Z")
_GCR = re.compile(r"((?:us|eu|asia)\.)?gcr\.io/([^/]+)/(.+)")
#: Where Artifact Registry keeps what was in Container Registry.
_PLACES = {"": "us", "us.": "us", "eu.": "europe", "asia.": "asia"}


def target_problems(target: Target, context: HookContext) -> list[Problem]:
    """Return everything found; places are relative to the target."""
    options: GcpOptions = target.options
    problems = [
        *_place(options),
        *_names(options),
        *_image(options),
    ]
    if isinstance(options, CloudRunOptions):
        problems += [*_size(options), *_cloud_run(options)]
    if isinstance(options, GkeOptions):
        problems += _cluster(target, options, context)
    return problems


def _place(options: GcpOptions) -> Iterator[Problem]:
    region, zone = options.region, options.zone
    if not _REGION.match(region):
        is_zone = _REGION.match(region[:-2]) and region[-2:-1] == "-"
        cure = f"write {region[:-2]}" if is_zone else "write for example us-central1"
        what = "is a zone, not a region" if is_zone else "is not a region of Google Cloud"
        yield _error("E1201", "region", f"{region!r} {what}", cure)
    elif zone is not None and not re.fullmatch(rf"{re.escape(region)}-[a-z]", zone):
        message = f"{zone!r} is not a zone of {region}"
        yield _error("E1202", "zone", message, f"write for example {region}-a")


def _names(options: GcpOptions) -> Iterator[Problem]:
    if options.project_id is not None and not _PROJECT.match(options.project_id):
        message = f"{options.project_id!r} is not the id of a project"
        cure = "write its id: 6 to 30 lower-case letters, digits and hyphens"
        yield _error("E1203", "project_id", message, cure)
    account = options.service_account
    if account is not None and not _ACCOUNT.match(account):
        message = f"{account!r} is not the address of a service account"
        cure = "write for example worker@my-project.iam.gserviceaccount.com"
        yield _error("E1204", "service_account", message, cure)
    for where in ("machine_type", "scheduler_machine_type"):
        name = getattr(options, where, None)
        if name is not None and not _MACHINE_TYPE.match(name):
            message = f"{name!r} is not a machine type of Google Cloud"
            yield _error("E1205", where, message, "write for example e2-standard-4")


def _image(options: GcpOptions) -> Iterator[Problem]:
    found = _GCR.match(options.image or "")
    if found is None:
        return
    host, project, rest = found[1] or "", found[2], found[3]
    name = f"{_PLACES[host]}-docker.pkg.dev/{project}/{host}gcr.io/{rest}"
    message = "Container Registry is shut down, and gcr.io only leads to what was moved elsewhere"
    cure = f"write its name in Artifact Registry, such as {name}"
    yield _warning("W1209", "image", message, cure)


def _size(options: CloudRunOptions) -> Iterator[Problem]:
    cpus, memory = options.worker_cpu, options.worker_mem
    if memory is not None and memory < 64 * MIB:
        number = f"{memory / MIB:g}"
        cure = f"write {number}G for {number} GiB"
        yield _error("E1210", "worker_mem", f"{number} means {number} MiB here", cure)
        return
    if cpus is not None and cpus >= 256:
        message = f"{cpus:g} means {cpus:g} vCPU here"
        cure = f"write {cpus / 1024:g} for {cpus / 1024:g} vCPU"
        yield _error("E1210", "worker_cpu", message, cure)
        return
    size = fit(cpus or 0, memory)
    if size is None:
        where = "worker_cpu" if (cpus or 0) > LARGEST.cpus else "worker_mem"
        message = misfit(cpus or 0, memory)
        yield _error("E1211", where, message, "ask for less, or use cluster_type: gke")
    elif cpus is not None and (size.cpus, size.memory) != (cpus, memory or size.memory):
        message = f"Cloud Run has no such pair of CPUs and memory; a worker gets {size}"
        yield _warning("W1211", "worker_cpu" if size.cpus != cpus else "worker_mem", message)


def _cloud_run(options: CloudRunOptions) -> Iterator[Problem]:
    if options.spot:
        message = "Cloud Run has no Spot capacity, so this has no effect"
        yield _warning("W1212", "spot", message, "remove it, or use cluster_type: gke")
    if options.transport != "single":
        return
    most = options.adaptive.maximum if options.adaptive else options.n_workers or 1
    cpus, memory = most * (options.worker_cpu or 0), most * (options.worker_mem or 0)
    if cpus > LARGEST.cpus or memory > LARGEST.memory:
        message = f"{most} workers of this size do not fit into one instance of {LARGEST}"
        yield _error("E1213", "transport", message, "write transport: auto, or fewer workers")
    if options.public:
        message = "a single instance has no scheduler that could have a public address"
        yield _warning("W1214", "public", message, "remove it")


def _cluster(target: Target, options: GkeOptions, context: HookContext) -> Iterator[Problem]:
    if find_spec("scalable_kubernetes") is None:
        message = "gke needs the dist scalable-kubernetes, which is not installed"
        yield _error("E1215", "cluster_type", message, "pip install 'scalable-gcp[gke]'")
    else:
        from scalable_gcp import gke

        yield from gke.target_problems(target, context)
    if options.cluster is None:
        cure = "write cluster: and the name of the GKE cluster"
        yield _error("E1216", "cluster_type", "gke needs a cluster that exists already", cure)


def _error(code: str, where: str, message: str, cure: str | None = None) -> Problem:
    return Problem(code=code, where=where, message=message, cure=cure)


def _warning(code: str, where: str, message: str, cure: str | None = None) -> Problem:
    return Problem(code=code, where=where, message=message, cure=cure, severity="warning")
