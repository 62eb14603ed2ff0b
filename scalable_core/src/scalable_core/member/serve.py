"""The start of a worker in a container, with nothing but its image and the zip of the travelling code.

`LAUNCH` is what Python runs there, with the zip's path and an order in JSON as arguments. The order has
``scheduler`` (its address), ``options`` (of the worker, as `distributed.Nanny` takes them) and ``versions``
(of the driver); for an image that has Python alone also ``environment``, the ``folder`` where the packages are
and what they ``need``. On its standard output this process says one line that starts with `MARK`: the worker's
``address``, or an ``error`` and its ``cure``.

Variables that must not be seen on a command line come with `HIDDEN` before their names. When the scheduler
cannot be reached any more, this process and its worker end, whatever the worker is doing.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

LAUNCH = "import sys; sys.path.insert(0, sys.argv[1]); from scalable_core.member.serve import main; main()"
MARK = "scalable-worker: "
HIDDEN = "SCALABLE_ENV_"
#: Seconds between looks whether the scheduler is there, and how many in a row must find nobody.
LOOK_EVERY, LOOKS = 5.0, 3


def main() -> None:
    """Run a worker until it is closed; the exit code is 0 if that was on purpose."""
    import asyncio

    from scalable_core.member.environment import ENTERED, enter, misfit

    code, order = sys.argv[1], json.loads(sys.argv[2])
    brought = order.get("environment")
    if brought is not None and ENTERED not in os.environ:
        problem = misfit(brought["needs"])
        if problem is not None:
            say(error=problem[0], cure=problem[1])
            sys.exit(1)
        enter(brought["folder"], "")
    os.environ.update(uncover(dict(os.environ)))
    os.environ["PYTHONPATH"] = os.pathsep.join(
        path for path in (code, os.environ.get("PYTHONPATH")) if path
    )
    problem = compare_versions(order["versions"])
    if problem is not None:
        say(error=problem[0], cure=problem[1])
        sys.exit(1)
    try:
        closed = asyncio.run(_serve(order["scheduler"], order["options"]))
    except Exception as error:
        while error.__cause__ is not None:
            error = error.__cause__  # type: ignore[assignment]
        say(error=f"{type(error).__name__}: {error}", cure=None)
        closed = False
    sys.stdout.flush()
    _end(0 if closed else 1)


def versions() -> dict[str, str]:
    """Return what driver and workers must have in common.

    Raises:
        ImportError: A package is missing.
    """
    import cloudpickle  # type: ignore[import-untyped,unused-ignore]
    import dask
    import distributed

    return {
        "Python": "{}.{}".format(*sys.version_info[:2]),
        "dask": dask.__version__,
        "distributed": distributed.__version__,
        "cloudpickle": ".".join(cloudpickle.__version__.split(".")[:2]),
    }


def compare_versions(wanted: dict[str, str]) -> tuple[str, str] | None:
    """Return what is wrong with this process for a driver of these versions, and the cure, or None."""
    python = "{}.{}".format(*sys.version_info[:2])
    if python != wanted["Python"]:
        return (
            f"the image has Python {python}, and this run uses Python {wanted['Python']}",
            f"use an image with Python {wanted['Python']}, or run with Python {python}",
        )
    packages = {name: version for name, version in wanted.items() if name != "Python"}
    pins = " ".join(f"{n}=={v}{'.*' * (n == 'cloudpickle')}" for n, v in packages.items())
    cure = f"install them in the image: pip install {pins}"
    try:
        there = versions()
    except ImportError as error:
        return f"the image lacks a package that every worker needs: {error.name}", cure
    differing = [name for name in packages if there[name] != wanted[name]]
    if differing:
        has = ", ".join(f"{name} {there[name]}" for name in differing)
        uses = ", ".join(f"{name} {wanted[name]}" for name in differing)
        return f"the image has {has}, and this run uses {uses}", cure
    return None


def uncover(environment: dict[str, str]) -> dict[str, str]:
    """Return the variables that came under hidden names, under their own."""
    return {
        name.removeprefix(HIDDEN): value
        for name, value in environment.items()
        if name.startswith(HIDDEN)
    }


def say(**words: Any) -> None:
    """Tell whoever started this process, in one line."""
    sys.stdout.write(f"{MARK}{json.dumps(words)}\n")
    sys.stdout.flush()


async def _serve(scheduler: str, options: dict[str, Any]) -> bool:
    """Run a worker to its end; return whether the scheduler or a client has closed it."""
    import asyncio

    from distributed import Nanny

    class ServedNanny(Nanny):  # type: ignore[misc,unused-ignore]
        retired = False

        def close_gracefully(self, *args: Any, **kwargs: Any) -> None:
            self.retired = True  # the worker says that it closes for good
            super().close_gracefully(*args, **kwargs)

    async def live(nanny: ServedNanny) -> None:
        await nanny
        say(address=nanny.worker_address)
        await nanny.finished()

    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    nanny = ServedNanny(scheduler, **options)
    life, stop, gone = (
        asyncio.ensure_future(end) for end in (live(nanny), told.wait(), _scheduler_gone(scheduler))
    )
    await asyncio.wait({life, stop, gone}, return_when=asyncio.FIRST_COMPLETED)
    await nanny.close(timeout=2)
    if life.done():
        life.result()
    return life.done() and nanny.retired


async def _scheduler_gone(scheduler: str) -> None:
    """Return when nothing listens at the scheduler's address; one that is merely busy is not gone."""
    import asyncio

    failures = 0
    while failures < LOOKS:
        await asyncio.sleep(LOOK_EVERY)
        failures = failures + 1 if await is_refused(scheduler) else 0


async def is_refused(address: str) -> bool:
    """Return whether nothing listens at an address of Dask, while its machine is there to say so."""
    import asyncio

    from distributed.comm import get_address_host_port

    host, port = get_address_host_port(address)
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), LOOK_EVERY)
    except ConnectionRefusedError:
        return True
    except (OSError, TimeoutError):
        return False
    writer.close()
    return False


def _end(code: int) -> None:
    """End without waiting for threads that still work."""
    sys.stderr.flush()
    os._exit(code)
