"""The first lines of every member: from an image without any of our code to the code of the run.

`program` gives the text of this file below the mark, with a provider's reader before it, for ``python -c``. It
needs Python and distributed; where the image has Python alone, it first gets the packages of the driver's
environment (see `scalable_core.member.environment`) and starts once more with them. It waits for the run's
documents, compares versions, and gets the code: the scheduler from the driver, which dials it, the workers from
the scheduler; always over the run's own TLS, and checked against the hash that the documents have. Then
`scheduler_member` or `worker_member` takes over.

What ends a member too early is one line on its standard output, which the engine finds in its log:

    scalable-member: {"error": "...", "cure": "..."}
"""

from __future__ import annotations

import inspect
from typing import Any

from scalable_core.member import environment

#: The line on which a member says why it ends; the same as in the program below.
MARK = "scalable-member: "

#: For launchers whose members see a folder with the documents: ``PLACE`` is its path.
FOLDER_READER = """\
def read(key):
    try:
        with open(PLACE + "/" + key.replace("/", "."), encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return None
"""


def program(reader: str = FOLDER_READER) -> str:
    """Return the program of a member.

    Args:
        reader: Source that defines ``read``, and maybe ``contact``, ``host``, ``name`` and ``notice``, with
            ``PLACE`` set.
    """
    body = f"{environment.source()}\n{inspect.getsource(_boot)}"
    head = "from __future__ import annotations\nimport sys\nPLACE = sys.argv[4]"
    return f"{head}\n{reader}\n{body}\n_boot(globals(), *sys.argv[1:4])\n"


def _boot(given: dict[str, Any], role: str, group: str, names: str) -> None:
    # Everything is inside, imports too: this function travels as text, and alone.
    import asyncio
    import hashlib
    import json
    import os
    import sys
    import tempfile
    import time

    def end(error: str, cure: str | None) -> None:
        sys.stdout.write("scalable-member: " + json.dumps({"error": error, "cure": cure}) + "\n")
        sys.stdout.flush()
        os._exit(1)

    def await_document(key: str) -> Any:
        pause = 0.1
        while time.time() < deadline:
            text = given["read"](key)
            if text is not None:
                return json.loads(text)
            time.sleep(pause)
            pause = min(2.0, pause * 1.5)
        end(f"nothing was found at the rendezvous under {key!r} in time", None)

    deadline = time.time() + 120
    run = await_document("run")
    if given.get("host"):
        run["listen"] = given["host"]()
    deadline += run["limits"]["join"] - 120
    wanted = run["versions"]
    python = "{}.{}".format(*sys.version_info[:2])
    if python != wanted["Python"]:
        end(
            f"the image has Python {python}, and this run uses Python {wanted['Python']}",
            f"use an image with Python {wanted['Python']}, or run with Python {python}",
        )
    brought, known = run.get("environment"), os.environ.get("SCALABLE_ENVIRONMENT")
    if brought and not known and (role == "scheduler" or group in brought["groups"]):
        bare = group in brought["groups"]
        problem = given["misfit"](brought["needs"]) if bare else None
        if problem:
            end(*problem)
        tls = await_document("tls")
        if role == "scheduler":
            seconds = run["limits"]["no_driver"]
            known = given["receive"](run["listen"], run["port"], tls, brought["digest"], seconds)
        else:
            seconds = deadline - time.time()
            known = given["fetch"](await_document("address"), tls, brought["digest"], seconds)
        if known is None:
            end("the packages of the run's environment did not come in time", None)
        if bare:
            given["enter"](given["unpack"](known), known)
    pins = " ".join(
        f"{name}=={version}{'.*' * (name == 'cloudpickle')}"
        for name, version in wanted.items()
        if name != "Python"
    )
    cure = f"install them in the image: pip install {pins}"
    try:
        import cloudpickle
        import dask
        import distributed
        import tornado.ioloop
    except ImportError as error:
        end(f"the image lacks a package that every member needs: {error.name}", cure)
    there = {
        "dask": dask.__version__,
        "distributed": distributed.__version__,
        "cloudpickle": ".".join(cloudpickle.__version__.split(".")[:2]),
    }
    differing = [name for name in there if there[name] != wanted[name]]
    if differing:
        has = ", ".join(f"{name} {there[name]}" for name in differing)
        uses = ", ".join(f"{name} {wanted[name]}" for name in differing)
        end(f"the image has {has}, and this run uses {uses}", cure)

    tls = await_document("tls")
    security = distributed.Security(
        require_encryption=True,
        tls_ca_file=tls["ca"],
        **{f"tls_{part}_cert": tls["cert"] for part in ("scheduler", "worker", "client")},
        **{f"tls_{part}_key": tls["key"] for part in ("scheduler", "worker", "client")},
    )

    async def fetch(address: str) -> bytes:
        """Ask the scheduler for the code, until it is there; first for a short while."""
        seconds = 5.0
        while True:
            try:
                async with distributed.rpc(
                    address, connection_args=security.get_connection_args("worker")
                ) as scheduler:
                    data = await asyncio.wait_for(scheduler.scalable_code(), seconds)
                if isinstance(data, bytes):
                    return data
            except TimeoutError:
                seconds = min(60.0, seconds * 2)
            except (OSError, ValueError):
                pass  # the last one is what an end just before TLS begins comes to
            if time.time() > deadline:
                end(f"the scheduler at {address} could not be reached in time", None)
            await asyncio.sleep(0.2)

    async def receive() -> bytes:
        """Be told the code by the driver, on the port of the scheduler to come."""
        told = asyncio.get_running_loop().create_future()

        def take(data: bytes) -> str:
            if hashlib.sha256(data).hexdigest() == run["code"] and not told.done():
                told.set_result(data)
            return run["code"]

        def not_yet() -> None:
            """Answer workers that are here before the driver; without an answer they would wait."""

        server = distributed.core.Server(
            handlers={"scalable_take_code": take, "scalable_code": not_yet},
            connection_args=security.get_connection_args("scheduler"),
        )
        await server.listen(
            f"tls://{run['listen']}:{run['port']}", **security.get_listen_args("scheduler")
        )
        try:
            data = await asyncio.wait_for(told, run["limits"]["no_driver"])
            await asyncio.sleep(0.1)  # the answer is on its way
        except TimeoutError:
            end("the driver did not come in time", None)
        await server.close()
        # Who was in the middle of a handshake would wait long for an answer: nobody reads there any more.
        loop: Any = tornado.ioloop.IOLoop.current()
        for fd, (line, _) in list(loop.handlers.items()):
            loop.remove_handler(fd)
            loop.close_fd(line)
        return data

    address = ""
    if role == "scheduler":
        data = asyncio.run(receive())
    else:
        address = await_document("address")
        data = asyncio.run(fetch(address))
    if hashlib.sha256(data).hexdigest() != run["code"]:
        end("the code that reached this member is not the code of the run", "run again")
    folder = tempfile.mkdtemp(prefix="scalable-")
    path = os.path.join(folder, f"code-{run['code']}.zip")
    with open(path, "wb") as file:
        file.write(data)
    sys.path.insert(0, path)
    if role == "scheduler":
        from scalable_core.member.scheduler_member import serve_scheduler

        serve_scheduler(run, security, path, known)
    else:
        from scalable_core.member.worker_member import serve_worker

        order = await_document(f"group/{group}")
        if given.get("name"):
            names = given["name"](await_document, names)
        serve_worker(run, order, security, path, address, names.split(","), given)
