"""A worker of a fleet in a member of its own, from its order to its end.

Imports distributed: import it inside functions. Runs from the travelling code, in an image without our own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from distributed import Nanny, rpc  # noqa: TID253

from scalable_core.member.boot import MARK
from scalable_core.member.serve import is_refused

#: Seconds between questions whether the service is about to take this member away.
NOTICE_EVERY = 5.0
#: Seconds that the worker's process has to close, once all is handed over.
CLOSE = 6.0


class MemberNanny(Nanny):  # type: ignore[misc,unused-ignore]
    """A nanny that remembers whether its worker was closed on purpose."""

    retired = False

    def close_gracefully(self, *args: Any, **kwargs: Any) -> None:
        """Hear from the worker that it closes for good."""
        self.retired = True
        super().close_gracefully(*args, **kwargs)


def serve_worker(
    run: Mapping[str, Any],
    order: Mapping[str, Any],
    security: Any,
    code: str,
    scheduler: str,
    names: Sequence[str],
    given: Mapping[str, Any],
) -> None:
    """Be a worker until it is closed, told to end, or taken away; then end this process.

    Args:
        run: The run's document.
        order: The group's document.
        security: The run's TLS.
        code: Path of the zip.
        scheduler: Its address.
        names: Its own, or several of which it takes a free one.
        given: The reader's functions: maybe ``contact``, ``host``, ``port``, ``relay`` and ``notice``.
    """
    # Dask ends at once with what it holds when it is told to; it is handed over first, here.
    os.environ.update(order.get("env", {}))
    os.environ["PYTHONPATH"] = os.pathsep.join(
        path for path in (code, os.environ.get("PYTHONPATH")) if path
    )

    async def live() -> None:
        code_of_exit = 1
        try:
            say(ended=await _serve(run, order, security, scheduler, names, given))
            code_of_exit = 0
        except Exception as error:
            while error.__cause__ is not None:
                error = error.__cause__  # type: ignore[assignment]
            say(error=f"{type(error).__name__}: {error}", cure=None)
        sys.stderr.flush()
        os._exit(code_of_exit)  # without waiting for threads that still work

    asyncio.run(live())


def say(**words: Any) -> None:
    """Say in one line how this member ends."""
    sys.stdout.write(f"{MARK}{json.dumps(words)}\n")
    sys.stdout.flush()


async def _serve(
    run: Mapping[str, Any],
    order: Mapping[str, Any],
    security: Any,
    scheduler: str,
    names: Sequence[str],
    given: Mapping[str, Any],
) -> str:
    limits = run["limits"]
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def tell(reason: str) -> None:
        if not told.done():
            told.set_result(reason)

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, tell, "told to end")
    asyncio.get_running_loop().call_later(limits["lifetime"], tell, "its lifetime is over")
    name = names[0] if len(names) == 1 else await _claim(scheduler, security, names)
    host = given["host"]() if given.get("host") else None
    port = given["port"]() if given.get("port") else 0
    contact = given["contact"]() if given.get("contact") else None
    outlet = await _find_outlet(run, security, scheduler, name, (host, port), given, tell)
    if outlet is not None:
        contact = await outlet.open()
    nanny = MemberNanny(
        scheduler,
        name=name,
        security=security,
        host=host,
        worker_port=port,
        contact_address=contact,
        death_timeout=limits["join"],
        local_directory=tempfile.mkdtemp(prefix="scalable-"),
        dashboard=False,
        **_options(order),
    )
    if given.get("notice"):
        watch = asyncio.ensure_future(_watch(given["notice"], tell))
    start = asyncio.ensure_future(nanny.start())
    await asyncio.wait({start, told}, return_when=asyncio.FIRST_COMPLETED)
    if start.done():
        start.result()
        life = asyncio.ensure_future(nanny.finished())
        await asyncio.wait({life, told}, return_when=asyncio.FIRST_COMPLETED)
        if told.done() and not life.done():
            moving = _hand_over(scheduler, security, nanny.worker_address, limits["grace"])
            await asyncio.wait(
                {life, asyncio.ensure_future(moving)}, return_when=asyncio.FIRST_COMPLETED
            )
    # A process that still starts, and cannot as its scheduler is gone, does not hear this; it ends with us.
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(nanny.close(timeout=2), CLOSE)
    if given.get("notice"):
        watch.cancel()
    if outlet is not None:
        outlet.close()
    if told.done():
        return told.result()
    if not nanny.retired:
        raise ConnectionError("the worker ended by itself, or its scheduler is gone")
    return "closed"


def _options(order: Mapping[str, Any]) -> dict[str, Any]:
    script = order.get("preload")
    # With a blank in it, Dask takes the text of a script for one.
    return {**order["worker"], "preload": [] if script is None else [f"# preload\n{script}"]}


async def _find_outlet(
    run: Mapping[str, Any],
    security: Any,
    scheduler: str,
    name: str,
    own: tuple[Any, int],
    given: Mapping[str, Any],
    lost: Callable[[str], None],
) -> Any:
    """Return the way by which others reach this worker through the relay; None when they dial it."""
    way = given["relay"]() if given.get("relay") else None
    relay = run.get("relay")
    if relay is None or way in (None, "direct"):
        return None
    from scalable_core.cluster.relay import Outlet, await_dial

    args = security.get_connection_args("worker")
    if way == "auto":
        async with rpc(scheduler, connection_args=args) as remote:

            def ask(word: str) -> Any:
                return remote.scalable_dial(name=name, host=own[0], port=own[1], word=word)

            if await await_dial(*own, ask) is None:
                return None
    return Outlet(scheduler, args, relay["port"], own, lost)


async def _claim(scheduler: str, security: Any, names: Sequence[str]) -> str:
    async with rpc(scheduler, connection_args=security.get_connection_args("worker")) as remote:
        while True:
            name = await remote.scalable_claim(names=list(names))
            if name is not None:
                return str(name)
            await asyncio.sleep(2)  # a worker that was here before is not forgotten yet


async def _hand_over(scheduler: str, security: Any, worker: str | None, grace: float) -> None:
    """Have what only this worker holds moved to others, as long as there is time."""
    # Dask would dial a scheduler that is lost for half a minute, as it may only be late.
    if worker is None or await is_refused(scheduler):
        return
    try:
        async with rpc(scheduler, connection_args=security.get_connection_args("worker")) as remote:
            await asyncio.wait_for(
                remote.retire_workers(workers=[worker], close_workers=False, remove=True), grace
            )
    except (OSError, TimeoutError):
        pass  # the scheduler is gone, or there was too much: what is lost is computed again


async def _watch(notice: Callable[[], str | None], tell: Callable[[str], None]) -> None:
    while True:
        reason = await asyncio.to_thread(notice)
        if reason:
            tell(reason)
            return
        await asyncio.sleep(NOTICE_EVERY)
