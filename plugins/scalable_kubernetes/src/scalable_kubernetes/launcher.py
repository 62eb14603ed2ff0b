"""The launcher for Kubernetes: members are bare pods in one namespace, all owned by one object of the run."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve

from scalable_core.cluster.launcher import (
    Fleet,
    LaunchFailure,
    LaunchResult,
    Member,
    MemberGroup,
    Offer,
    Rate,
)
from scalable_core.errors import ClusterError
from scalable_core.types import Event, EventSink, NullSink, Resource
from scalable_kubernetes import builders, relay
from scalable_kubernetes.access import Access
from scalable_kubernetes.api import Api, ApiError, path
from scalable_kubernetes.builders import MEMBER, RELAY_PORT, SCHEDULER_PORT, Scene
from scalable_kubernetes.forward import Forward
from scalable_kubernetes.hourly import HOURLY, by_prices, of_pod
from scalable_kubernetes.observe import age, observe, waits_for
from scalable_kubernetes.options import KubernetesOptions
from scalable_kubernetes.pods import READER, Order, pod
from scalable_kubernetes.refusals import cluster_error, launch_failure
from scalable_kubernetes.removal import kind_of, remove_run
from scalable_kubernetes.troubles import Troubles
from scalable_kubernetes.watch import PodWatch

logger = logging.getLogger("scalable.kubernetes")

#: Pods that one request deletes; their names are in its address, whose length somebody on the way may bound.
TOLD_AT_ONCE = 60
#: Seconds for which a pod may wait before it is said why.
SAY_AFTER = 5.0


class KubernetesLauncher:
    """Drives one namespace for one run.

    Args:
        options: Of the target.
        access: To the API server.
        template: The pod template, read.
        data: How `release_cluster` gets access again; plain, and without secrets.
        events: Where to say what pods wait for.
        provider: The plugin's name.
        driver_host: The address of this process's own pod, for a scheduler that is in it.
        estimated: USD an hour of a pod of each group, where the target gives no prices.
    """

    kind = "kubernetes:pod"
    batch = 50
    listen = ("0.0.0.0", SCHEDULER_PORT)
    poll_interval = 0.4
    #: What an API server bears of one of its users without noticing.
    rates: Mapping[str, Rate] = {
        "members": Rate(burst=100, per_second=40),
        "stop": Rate(burst=10, per_second=5),
    }

    def __init__(
        self,
        options: KubernetesOptions,
        access: Access,
        *,
        template: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        events: EventSink | None = None,
        provider: str = "kubernetes",
        driver_host: str | None = None,
        estimated: Mapping[str, float] | None = None,
    ) -> None:
        self.provider = provider
        self.region: str | None = options.namespace
        self.options = options
        self.api = Api(access)
        self.data: Mapping[str, Any] = {**(data or {}), "namespace": options.namespace}
        self._template = template or {}
        self._events = events or NullSink()
        self._driver_host = driver_host
        self._estimated = estimated or {}
        self._scene: Scene | None = None
        self._order: Order | None = None
        self._watch: PodWatch | None = None
        self._troubles = Troubles(self.api, options.namespace)
        self._forwards: dict[str, Forward] = {}
        self._told: set[tuple[str, str]] = set()
        self._removed: set[str] = set()
        self._names: set[str] = set()

    @staticmethod
    def stem(run: str, group: str) -> str:
        """Return what the names of a group's pods begin with."""
        return builders.stem(run, group)

    def offers(self, group: MemberGroup) -> Sequence[Offer]:
        """Offer Spot nodes where the target wants them, and then on-demand ones, unless it wants no others."""
        wanted = Offer(name="on-demand", hourly=self._hourly(group))
        if group.role == "scheduler" or not self.options.spot:
            return (wanted,)
        spot = evolve(wanted, name="spot", capacity="spot")
        plain = evolve(wanted, hourly=by_prices(self.options, group))  # the estimate is of Spot
        return (spot, plain) if self.options.spot_fallback else (spot,)

    async def open(self, fleet: Fleet) -> None:
        """Make the owner of all, the scheduler's address, and the rules that guard both."""
        version = await self._policy_version()  # whoever cannot be asked has nothing of ours either
        scene = Scene(
            namespace=self.options.namespace,
            run=fleet.run,
            project=fleet.project,
            labels=self.options.labels,
            inside=self.api.access.inside,
            driver=self._driver_host is not None,
        )
        self._scene, self._fleet = scene, fleet
        self.data = {**self.data, "name": scene.name}
        if self._driver_host is None:
            owner = await self._make("configmaps", builders.owner(scene))
        else:
            where = path("v1", "configmaps", scene.namespace, scene.name)
            owner = await self._ask("the run's owner is not there", self.api.get, where)
        scene = self._scene = evolve(scene, owner=owner["metadata"]["uid"])
        address, *_ = await asyncio.gather(
            self._make_address(scene),
            self._make("networkpolicies", builders.network_policy(scene)),
            self._make("poddisruptionbudgets", builders.disruption_budget(scene, version)),
        )
        self._service = f"[{address}]" if ":" in address else address
        self._order = Order(
            scene=scene,
            options=self.options,
            limits=fleet.limits,
            programs=_programs(fleet),
            scheduler=f"tls://{self._service}:{SCHEDULER_PORT}",
            template=self._template,
        )
        self._watch = PodWatch(self.api, scene.namespace, scene.query)
        await self._ask("pods cannot be followed", self._watch.start)

    async def publish(self, documents: Mapping[str, str]) -> None:
        """Put the documents into a Secret that pods mount; the scheduler's address they know before."""
        files = {key: text for key, text in documents.items() if key != "address"}
        if files:
            await self._make("secrets", builders.secret(self._known, files))

    async def launch(self, group: MemberGroup, names: Sequence[str], offer: Offer) -> LaunchResult:
        """Create pods, a few at a time."""
        self._names.update(names)
        made = await asyncio.gather(*(self._create(group, name, offer) for name in names))
        answers = dict(zip(names, made, strict=True))
        return LaunchResult(
            launched={name: each for name, each in answers.items() if isinstance(each, str)},
            failed={name: each for name, each in answers.items() if not isinstance(each, str)},
        )

    async def poll(self) -> Sequence[Member]:
        """Return what is known of the pods, and say what those wait for that do not get on."""
        if self._watch is None:
            return ()
        now, members, hopeless = time.time(), [], []
        pods = self._watch.pods()
        waiting = [pod for pod in pods if pod["status"].get("phase") == "Pending"]
        late = [pod for pod in waiting if age(pod, now) > SAY_AFTER]
        await self._troubles.look_into(late, now)
        for document in pods:
            said = self._troubles.words(document)
            member = observe(
                document,
                now=now,
                patience=self.options.schedule_timeout,
                hourly=of_pod(document),
                said=said,
            )
            members.append(member)
            if member.state == "pending" and age(document, now) > SAY_AFTER:
                self._say_why(member.name, waits_for(document, said))
            if member.state == "stopped" and member.name in self._forwards:
                self._forwards[member.name].close()  # who waits for an answer waits no longer
            alive = document["status"].get("phase") in ("Pending", "Running")
            if member.state == "stopped" and alive and member.name not in self._removed:
                hopeless.append(member.name)
        if hopeless:
            self._removed.update(hopeless)
            await self.stop(hopeless)
        return members

    async def route(self, name: str, port: int) -> tuple[str, int]:
        """Return the scheduler's own address inside the cluster, and a way through the API server outside."""
        if self.api.access.inside:
            return self._service, port
        if name not in self._forwards:
            forward = Forward(self.api, self._known.namespace, name, RELAY_PORT)
            self._forwards[name] = await forward.open()
        return "127.0.0.1", self._forwards[name].port

    async def stop(self, names: Sequence[str]) -> None:
        """Delete pods, many with one request; each then ends in its own time."""
        where = path("v1", "pods", self._known.namespace)
        run = f"{builders.RUN}={builders.label_value(self._known.run)}"
        for first in range(0, len(names), TOLD_AT_ONCE):
            few = ",".join(names[first : first + TOLD_AT_ONCE])
            query = [("labelSelector", f"{run},{MEMBER} in ({few})")]
            await self._ask("pods cannot be deleted", self.api.delete, where, query)

    async def logs(self, name: str, lines: int = 20) -> Sequence[str]:
        """Return the end of a pod's log; a short name such as ``analysis-3`` is enough."""
        whole = name if name in self._names else builders.pod_name(self._known.run, name)
        where = path("v1", "pods", self._known.namespace, whole, part="log")
        query = [("tailLines", lines), ("container", "member")]
        try:
            text: str = await self.api.call(self.api.text, where, query)
        except ApiError:
            return ()
        return text.splitlines()

    async def close(self) -> Sequence[Resource]:
        """Delete the owner and the pods, and look until nothing is left."""
        for forward in self._forwards.values():
            forward.close()
        if self._watch is not None:
            self._watch.stop()
        if self._scene is None:
            return ()
        try:
            left: list[Resource] = await self.api.call(remove_run, self.api, self._scene)
        except (ApiError, ClusterError) as error:
            logger.warning("what is left of %s cannot be seen: %s", self._scene.run, error)
            return [Resource(kind="kubernetes:configmap", id=self._scene.name, run=self._scene.run)]
        finally:
            self.api.close()
        there = {(each.kind, each.id) for each in left}
        for entry in self._fleet.ledger.entries:
            kind, name = entry.resource.kind, entry.resource.id
            if kind != self.kind and (kind, name) not in there:
                await self._fleet.ledger.gone(kind, [name])
        return left

    # -- inside ------------------------------------------------------------------------------------------

    @property
    def _known(self) -> Scene:
        assert self._scene is not None  # `open` comes first
        return self._scene

    async def _ask(self, doing: str, function: Any, *args: Any) -> Any:
        try:
            return await self.api.call(function, *args)
        except ApiError as error:
            raise cluster_error(error, doing) from error

    async def _make_address(self, scene: Scene) -> str:
        """Return by which address workers reach the scheduler: a Service's, or that of this pod."""
        if self._driver_host is not None:
            return self._driver_host
        service = await self._make("services", builders.service(scene))
        address: str = service["spec"]["clusterIP"]
        return address

    async def _make(self, plural: str, body: Mapping[str, Any]) -> Any:
        """Create one of the run's own objects, which is in the ledger before it is there."""
        name, kind = body["metadata"]["name"], kind_of(plural)
        await self._fleet.ledger.intend(
            [Resource(kind=kind, id=name, region=self.region, run=self._fleet.run, hourly=0.0)]
        )
        doing = f"{body['kind']} {name} cannot be made in namespace {self.region}"
        return await self._ask(doing, self._create_or_find, plural, body)

    def _create_or_find(self, plural: str, body: Mapping[str, Any]) -> Any:
        try:
            return self.api.create(self._known.namespace, plural, body)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
        # The answer to our first request was lost. Who is not of this run was refused by its name.
        where = path(
            body["apiVersion"], plural, self._known.namespace, name=body["metadata"]["name"]
        )
        found = self.api.get(where)
        if found["metadata"]["labels"].get(builders.RUN) != self._known.selector[builders.RUN]:
            raise ApiError(409, "AlreadyExists", f"{where} exists, and is of another run")
        return found

    async def _policy_version(self) -> str:
        found = await self._ask("the API server cannot be asked", self.api.get, "/apis/policy")
        versions = [each["version"] for each in found["versions"]]
        return "v1" if "v1" in versions else str(versions[0])

    def _hourly(self, group: MemberGroup) -> float | None:
        priced = by_prices(self.options, group)
        return self._estimated.get(group.name) if priced is None else priced

    async def _create(self, group: MemberGroup, name: str, offer: Offer) -> str | LaunchFailure:
        assert self._order is not None
        body = pod(self._order, group, name, spot=offer.capacity == "spot")
        if offer.hourly is not None:
            body["metadata"]["annotations"][HOURLY] = f"{offer.hourly:.6g}"
        try:
            made = await self.api.call(self._create_or_find, "pods", body)
        except ApiError as error:
            return launch_failure(error)
        return str(made["metadata"]["name"])

    def _say_why(self, name: str, words: str | None) -> None:
        if words and (name, words) not in self._told:
            self._told.add((name, words))
            text = f"{name} waits: {words}"
            facts = {"worker": name, "reason": words}
            self._events.emit(
                Event(time=time.time(), kind="worker.waits", message=text, data=facts)
            )


def _programs(fleet: Fleet) -> dict[str, str]:
    """Return what members run; the scheduler also has the far end of the relay, in a thread of its own.

    A driver whose line is held is still there for the scheduler, so none is held longer than it may be away.
    """
    hold = min(relay.HOLD, fleet.limits.no_driver)
    start = f"""
RELAY = {inspect.getsource(relay)!r}
def _relay():
    names = {{}}
    exec(compile(RELAY, "relay", "exec"), names)
    names["HOLD"] = {hold}
    own = os.environ["POD_IP"]
    names["run_relay"]([own, "127.0.0.1"], {RELAY_PORT}, (own, {SCHEDULER_PORT}))
import threading
threading.Thread(target=_relay, daemon=True).start()
"""
    return {"worker": fleet.program(READER), "scheduler": fleet.program(READER + start)}
