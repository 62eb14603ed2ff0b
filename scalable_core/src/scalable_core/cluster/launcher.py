"""What a provider writes so that `FleetCluster` can drive its service: a `Launcher`, and the nouns it uses.

A fleet is one scheduler and the workers of some groups. Each of them is a **member**: something that the
service starts, shows and stops under a name, such as a task, a machine or a pod. The launcher knows the service
and nothing of Dask; the engine knows Dask and nothing of the service.

    open      find or make what members need (network, roles, logs), nothing that bills by itself
    publish   put the run's secrets where members, and nobody else, can read them
    launch    ask for many members in as few calls as the service allows
    offers    the ways to buy the members of a group, in the order to try: spot, another zone, on-demand
    poll      observe all members of this run in one pass
    route     how this process reaches a port of a member
    stop      ask that members end
    logs      the last lines that a member wrote
    close     remove all that `open`, `publish` and `launch` made, and say what is left

All are coroutines that run on the cluster's event loop: an SDK that blocks is called with `asyncio.to_thread`.
The engine calls `launch`, `stop` and `poll` one at a time each, but `poll` may overlap with the others.

What a member runs
    ``python -c PROGRAM ROLE GROUP NAMES PLACE`` in an image that has Python, dask, distributed and cloudpickle
    and need have nothing else, or Python alone where the plan's group says so (``environment``; the rest then
    comes over the scheduler's port); `Fleet.program` gives the program. ``PLACE`` is a word of the launcher's
    own: the name of where the run's documents are, never a secret. The program begins with the provider's
    reader, a few lines of Python without imports outside of the standard library:

    * ``read(key)`` returns a document that `publish` has put there, or None while it is not there (the keys
      are ``run``, ``tls``, ``group/<name>`` and ``address``, the scheduler's address as JSON text, which a
      reader that knows it beforehand may give by itself: ``"tls://host:port"`` with the quotation marks);
    * ``contact()``, when it is defined, returns the address under which others reach this member;
    * ``host()``, when it is defined, returns this member's own address: it then listens there and nowhere else;
    * ``port()``, when it is defined, returns the one port at which the worker listens, where not all are open;
    * ``relay()``, when it is defined, returns how others reach the worker: ``direct``, through the ``relay``
      beside the scheduler, or ``auto``, which is direct if the scheduler can dial it; see
      `scalable_core.cluster.relay`;
    * ``name(wait, names)``, when it is defined, returns the worker's own name where one call of `launch` starts
      many members with one command line; ``wait(key)`` waits for a document and returns what its JSON says;
    * ``notice()``, when it is defined, is asked every few seconds and returns a sentence once the service has
      said that it will take this member away; the worker then hands over what it holds, and ends.

    So command lines, overrides, user data and task definitions hold names only. Certificates, and the
    environment of components (which may hold secrets), are documents; the launcher's secret store keeps them.
    The code of the run comes to members through the scheduler, over the run's own TLS.

    A worker ends when its scheduler is gone, on SIGTERM (after handing over what it holds), and at the fleet's
    lifetime. The scheduler ends, and its workers with it, when nobody drives it any more, when it has had
    nothing to do for `Limits.idle`, and at the lifetime. An ended process must end what bills: a task and a
    pod do so by themselves, a machine must be started so that shutting down terminates it.

What goes into the ledger
    Before a call creates something that is not there yet, `Fleet.ledger.intend` has its kind and the name or
    tag under which it can be found. The engine does that for members (kind `Launcher.kind`, id the member's
    name), before `launch`; the launcher does it for everything else. `Ledger.made` adds an id that only the
    answer tells, `Ledger.gone` is said after the service has confirmed that it is gone. Everything carries
    `Fleet.tags`, members also their name.

What is no error
    A launch that brings fewer members than asked is a `LaunchResult` with failures, whatever the service calls
    it. The engine tries the group's other offers, asks again later, and goes on with what it has. Only what
    makes every further call pointless, such as expired credentials, is raised: a `ScalableError` with a cure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from attrs import frozen

from scalable_core.types import Resource

if TYPE_CHECKING:
    from scalable_core.cluster.ledger import Ledger

Role = Literal["scheduler", "worker"]
Capacity = Literal["spot", "on-demand"]
#: ``asked``: the service has accepted it and does not show it yet; ``pending``: anything before it runs;
#: ``stopping``: it can do no work any more; ``stopped``: it bills no longer.
State = Literal["asked", "pending", "running", "stopping", "stopped"]
#: Why a launch failed, or a member never came up. ``no-capacity`` and ``quota`` lead to the next offer,
#: ``throttled`` to another try later, ``image`` and ``permission`` end the group at once, ``other`` after some.
FailureKind = Literal["no-capacity", "throttled", "quota", "image", "permission", "other"]


@frozen(kw_only=True)
class Rate:
    """How fast a service may be called.

    Attributes:
        burst: Calls, or members, that may come at once.
        per_second: How many may come each second after that.
    """

    burst: float
    per_second: float


@frozen(kw_only=True)
class Offer:
    """One way to buy the members of a group. A group has a list of them, in the order to try.

    Attributes:
        name: For people and records, such as ``spot`` or ``on-demand in us-east-1b``; unique in the list.
        capacity: How it is bought.
        zone: Zone or subnet; None leaves it to the service.
        size: Machine type or size; None when there is only one.
        hourly: USD an hour of one member; None when unknown.
    """

    name: str
    capacity: Capacity = "on-demand"
    zone: str | None = None
    size: str | None = None
    hourly: float | None = None


@frozen(kw_only=True)
class MemberGroup:
    """Members that are alike.

    Attributes:
        name: The component's name; ``scheduler`` for the scheduler.
        role: What its members are.
        cpus: vCPU of one member; 0 leaves it to the launcher (the scheduler).
        memory: Bytes of one member; None leaves it to the launcher.
        gpus: GPUs of one member.
        image: Pinned by digest where it was resolved; None leaves it to the launcher.
        mounts: Host path to container path, as in the manifest.
        tags: Words of the manifest for people and for the provider.
    """

    name: str
    role: Role = "worker"
    cpus: float = 0.0
    memory: int | None = None
    gpus: int = 0
    image: str | None = None
    mounts: Mapping[str, str] = {}
    tags: tuple[str, ...] = ()


@frozen(kw_only=True)
class LaunchFailure:
    """Why one member was not launched.

    Attributes:
        kind: What the engine does about it depends on this.
        message: The service's own words, in one sentence that names what is missing.
        cure: What the user can do; None when the kind says it all.
    """

    kind: FailureKind
    message: str
    cure: str | None = None


@frozen(kw_only=True)
class LaunchResult:
    """What became of one `launch`: each name is in one of the two.

    Attributes:
        launched: Name to the service's own id, for those that are on their way.
        failed: Name to why not.
    """

    launched: Mapping[str, str] = {}
    failed: Mapping[str, LaunchFailure] = {}


@frozen(kw_only=True)
class Member:
    """What the service says of one member now.

    Attributes:
        name: As given to `launch`.
        state: How far it is.
        id: The service's own id.
        address: Host at which other members reach it; None while unknown, or when members say it themselves.
        reason: Why it stops or stopped, or what it waits for, in the service's own words.
        stop_code: The service's own code for that, such as ``SpotInterruption``.
        exit_code: Of its process; 137 is taken to be the end of one that has used too much memory.
        failure: For a member that stopped before it ran: what that amounts to.
        interrupted: The service has taken it back, or has said that it will: not the member's fault.
        zone: Where it is.
        capacity: How it was bought.
        hourly: USD an hour; None when unknown.
        unit: What is stopped as one, such as a pool: the engine retires all members of a unit before it stops
            any. None when each member can be stopped alone.
    """

    name: str
    state: State
    id: str | None = None
    address: str | None = None
    reason: str | None = None
    stop_code: str | None = None
    exit_code: int | None = None
    failure: FailureKind | None = None
    interrupted: bool = False
    zone: str | None = None
    capacity: Capacity | None = None
    hourly: float | None = None
    unit: str | None = None


@frozen(kw_only=True)
class Limits:
    """When a fleet ends by itself, whatever has become of its driver. Seconds.

    Attributes:
        lifetime: After the start of the member.
        idle: Of the scheduler without a call that waits or runs.
        no_driver: Of the scheduler without a client.
        join: Of a worker until it has joined, waiting at the rendezvous included.
        grace: That a worker has to hand over what it holds when it is told to end.
    """

    lifetime: float = 86400.0
    idle: float = 1200.0
    no_driver: float = 300.0
    join: float = 900.0
    grace: float = 100.0


@frozen(kw_only=True)
class Fleet:
    """The run that members are launched for, as `Launcher.open` gets it.

    Attributes:
        project: The project's name.
        run: The run's id.
        target: The target's name.
        tags: What everything that is created must carry, by the service's own means: ``scalable-project`` and
            ``scalable-run``. Members are found by it when all else is lost.
        ledger: Where to write what is about to be created.
        limits: When members end by themselves.
    """

    project: str
    run: str
    target: str
    tags: Mapping[str, str]
    ledger: Ledger
    limits: Limits

    @staticmethod
    def program(reader: str) -> str:
        """Return the program that a member runs, the same for all members, runs and roles.

        Args:
            reader: Source that defines ``read``, and maybe the others; it finds ``PLACE`` set.
        """
        from scalable_core.member.boot import program

        return program(reader)


@runtime_checkable
class Launcher(Protocol):
    """Drives one service for one run. Everything a provider of many workers has to write.

    Attributes:
        provider: The plugin's name.
        kind: The service's noun for a member, such as ``ecs:task``, in the ledger and in `Resource`.
        region: Where members are; None when the service has no such thing.
        batch: Most members in one `launch`.
        listen: Address and port on which the scheduler listens in its member, mostly ``("0.0.0.0", 8786)``.
            It is the only port that must be reached from here; members reach each other at any port.
        rates: How fast the engine may act: ``launch``, ``stop`` and ``poll`` bound these calls, ``members`` the
            members launched. What is not named is not bounded. A launcher bounds what it calls besides with
            `scalable_core.cluster.pace.Bucket`.
        poll_interval: Seconds between polls while something is on its way; it grows when all is quiet.
        relay: Optional: where workers may be that cannot be reached, ``port`` of the relay beside the
            scheduler, the first and last of the ``ports`` that it gives to workers, and the seconds of
            ``patience`` with which the scheduler tries to dial the first.
        stem: Optional: ``stem(run, group)`` returns what the names of a group's members begin with, before a
            hyphen and their number, where the service wants them unique over all runs; the group's name if
            it is missing.
        data: Plain data, without secrets, from which `release_cluster` can find everything again; complete
            when `open` returns.
    """

    provider: str
    kind: str
    region: str | None
    batch: int
    listen: tuple[str, int]
    rates: Mapping[str, Rate]
    poll_interval: float
    data: Mapping[str, Any]

    def offers(self, group: MemberGroup) -> Sequence[Offer]:
        """Return the ways to buy the members of a group, in the order to try, within the plan; at least one.

        Pure. A scheduler is not offered as spot: its end is the end of the run.
        """

    async def open(self, fleet: Fleet) -> None:
        """Find or make what members need. Called once, before everything else.

        Raises:
            ScalableError: It cannot be made; what was made is removed by `close`, which is called then too.
        """

    async def publish(self, documents: Mapping[str, str]) -> None:
        """Put documents where members, and nobody else, can read them; they are secret, and a few KB each.

        Called once before the first launch, and once more when the scheduler's address is known. Keys are
        words of lower case letters, digits, ``-`` and ``/``.

        Args:
            documents: Key to text. Those of earlier calls stay.
        """

    async def launch(self, group: MemberGroup, names: Sequence[str], offer: Offer) -> LaunchResult:
        """Ask for members. Each name is new; asked again with the same names (after a timeout of the
        caller, say), no second member comes of it where the service has a token for that.

        Args:
            group: What they are.
            names: At most `batch` names. Where the service starts several members as one (a pool, a machine
                with several workers), each gets all names, separated by commas, and the program agrees with the
                scheduler on one of them.
            offer: One of `offers`.
        """

    async def poll(self) -> Sequence[Member]:
        """Return what the service shows of this run's members now, in one pass.

        Stopped members may be left out once they were shown as stopped. A launched member that the service does
        not show yet (it may take seconds) is left out too, or ``asked``.
        """

    async def route(self, name: str, port: int) -> tuple[str, int]:
        """Return host and port by which this process reaches a port of a running member.

        A public or private address, or this machine's own end of a forwarded port that the launcher keeps up.

        Raises:
            ClusterError: There is no way, with a cure.
        """

    async def stop(self, names: Sequence[str]) -> None:
        """Ask that members end, in as few calls as possible. One that is gone is no error.

        Members of one unit come in one call. It need not wait: `poll` shows when they have stopped.
        """

    async def logs(self, name: str, lines: int = 20) -> Sequence[str]:
        """Return the last lines that a member wrote, stopped or not; none when there are none yet."""

    async def close(self) -> Sequence[Resource]:
        """Remove everything of this run, members too, look again, and return what is still there.

        Called once, also when `open` failed or was broken off. Standing things that other runs share stay,
        and are not returned.
        """
