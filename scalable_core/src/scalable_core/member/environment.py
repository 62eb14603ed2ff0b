"""The packages of the driver's environment at their destination, where the image has Python and nothing else.

They come as one zip, named by its hash: to the scheduler from the driver, to the workers from the scheduler, on
the scheduler's own port and over the run's own TLS. Who asks for them says so by ALPN, before Dask says a word,
since a member without packages cannot speak Dask's language. `enter` then starts the same program once more, in
an environment that has them.

What stands between the marks travels as text, before anything else is there: the standard library alone.
"""

from __future__ import annotations

import ast

# -- what travels --------------------------------------------------------------------------------------
import contextlib
import hashlib
import inspect
import os
import platform
import random
import socket
import ssl
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

#: The name by which members and the driver ask for packages, on the scheduler's port.
PROTOCOL = "scalable-environment"
#: The variable that says to a process in the environment where the zip is.
ENTERED = "SCALABLE_ENVIRONMENT"


def misfit(needs: dict[str, Any]) -> tuple[str, str] | None:
    """Return why packages cannot run in this process, and the cure, or None.

    Args:
        needs: ``python``; ``machine`` and ``glibc``, which are None where nothing is compiled.
    """
    here = "{}.{}".format(*sys.version_info[:2])
    if here != needs["python"]:
        return (
            f"the image has Python {here}, and this run uses Python {needs['python']}",
            f"name a base_image with Python {needs['python']}, or run with Python {here}",
        )
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
    if needs["machine"] not in (None, machine):
        return (
            f"the packages are built for {needs['machine']}, and the image is for {machine}",
            f"name a base_image for {needs['machine']}",
        )
    try:
        glibc = (os.confstr("CS_GNU_LIBC_VERSION") or "").rpartition(" ")[2]
    except (OSError, ValueError):
        glibc = ""
    if needs["glibc"] is None:
        return None
    if not glibc:
        return (
            f"the packages need glibc {needs['glibc']}, and the image has another C library",
            "name a base_image with glibc, such as python:{python}-slim, not one of Alpine",
        )
    if [int(n) for n in glibc.split(".")] < [int(n) for n in needs["glibc"].split(".")]:
        return (
            f"the packages need glibc {needs['glibc']}, and the image has glibc {glibc}",
            "name a newer base_image",
        )
    return None


def receive(listen: str, port: int, tls: dict[str, str], digest: str, seconds: float) -> str | None:
    """Be brought the zip by the driver, on the port of the scheduler to come; return its path."""
    context, end = secure(tls, server=True), time.time() + seconds
    family = socket.AF_INET6 if ":" in listen else socket.AF_INET
    with socket.create_server((listen, port), family=family) as server:
        server.settimeout(1)
        while time.time() < end:
            # Workers that are here before the zip is are sent away, and come back.
            with contextlib.suppress(OSError, ValueError):
                plain, _ = server.accept()
                plain.settimeout(10)
                with context.wrap_socket(plain, server_side=True) as line:
                    if line.selected_alpn_protocol() != PROTOCOL:
                        continue
                    stream = line.makefile("rwb")
                    verb, _, size = stream.readline().decode().split()
                    if verb == "put":
                        line.settimeout(60)
                        stream.write(b"send\n")
                        stream.flush()
                        path = keep(stream, int(size), digest)
                        stream.write(b"known\n" if path else b"damaged\n")
                        stream.flush()
                        if path:
                            return path
    return None


def fetch(address: str, tls: dict[str, str], digest: str, seconds: float) -> str | None:
    """Get the zip from the scheduler, once that has it; return its path."""
    context, end = secure(tls, server=False), time.time() + seconds
    host, _, port = address.rpartition("/")[2].rpartition(":")
    while time.time() < end:
        with contextlib.suppress(OSError, ValueError):
            plain = socket.create_connection((host.strip("[]"), int(port)), 10)
            with context.wrap_socket(plain) as line:
                if line.selected_alpn_protocol() == PROTOCOL:
                    line.settimeout(60)
                    stream = line.makefile("rwb")
                    stream.write(f"get {digest} 0\n".encode())
                    stream.flush()
                    path = keep(stream, int(stream.readline()), digest)
                    if path:
                        return path
        time.sleep(random.uniform(0.3, 1.0))
    return None


def keep(stream: Any, size: int, digest: str) -> str | None:
    """Write what comes into a file; return its path, or None when it is not what the digest says."""
    path, known = (
        os.path.join(tempfile.mkdtemp(prefix="scalable-"), f"{digest}.zip"),
        hashlib.sha256(),
    )
    with open(path, "wb") as file:
        while size and (data := stream.read(min(size, 2**20))):
            known.update(data)
            file.write(data)
            size -= len(data)
    return path if known.hexdigest() == digest else None


def secure(tls: dict[str, str], *, server: bool) -> ssl.SSLContext:
    """Return what the run's certificates make of a line: each end knows that the other is of this run."""
    purpose = ssl.Purpose.CLIENT_AUTH if server else ssl.Purpose.SERVER_AUTH
    context = ssl.create_default_context(purpose, cadata=tls["ca"])
    context.check_hostname, context.verify_mode = False, ssl.CERT_REQUIRED
    context.set_alpn_protocols([PROTOCOL])
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(tls["cert"] + tls["key"])
        file.flush()
        context.load_cert_chain(file.name)
    return context


def unpack(path: str) -> str:
    """Lay the packages out beside the zip; return the folder."""
    folder = os.path.join(os.path.dirname(path), "packages")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
        for entry in archive.infolist():
            if entry.external_attr >> 16 & 0o111:
                os.chmod(os.path.join(folder, entry.filename), 0o755)
    return folder


def enter(packages: str, known: str) -> None:
    """Start this program once more where it has packages; they come before those of the image.

    Args:
        packages: The folder that has them.
        known: Path of the zip, for who is to give it on.
    """
    home = tempfile.mkdtemp(prefix="scalable-environment-")
    base = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    site = os.path.join(home, "lib", "python{}.{}".format(*sys.version_info[:2]), "site-packages")
    os.makedirs(site)
    os.makedirs(os.path.join(home, "bin"))
    for name in ("python", "python3"):
        os.symlink(base, os.path.join(home, "bin", name))
    own = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    with open(os.path.join(home, "pyvenv.cfg"), "w") as file:
        file.write(f"home = {os.path.dirname(base)}\ninclude-system-site-packages = false\n")
    with open(os.path.join(site, "scalable.pth"), "w") as file:
        file.write("\n".join([packages, *own]) + "\n")
    places = [os.path.join(home, "bin"), os.path.join(packages, "bin")]
    os.environ["PATH"] = os.pathsep.join([*places, os.environ.get("PATH", os.defpath)])
    os.environ[ENTERED] = known or packages
    sys.stdout.flush()
    python = os.path.join(home, "bin", "python")
    os.execv(python, [python, *sys.orig_argv[1:]])


# -- end of what travels -------------------------------------------------------------------------------


def source() -> str:
    """Return what travels, without its words for people: some services take little text."""
    text = inspect.getsource(sys.modules[__name__]).split("# -- what travels ---")[1]
    tree = ast.parse(text.partition("\n")[2].partition("# -- end of")[0])
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node):
            del node.body[0]
    return ast.unparse(tree)


def bring(host: str, port: int, context: ssl.SSLContext, path: Path, digest: str) -> bool:
    """Give a scheduler's member the zip; for another thread.

    Args:
        host: By which this process reaches the member.
        port: By which this process reaches it.
        context: Of the driver.
        path: The zip.
        digest: Its SHA-256 in hex.

    Returns:
        Whether it has it now; if not, it does not ask for it yet, or any more.

    Raises:
        OSError: It cannot be reached.
    """
    context.set_alpn_protocols([PROTOCOL])
    plain = socket.create_connection((host, port), 10)
    with context.wrap_socket(plain) as line:
        if line.selected_alpn_protocol() != PROTOCOL:
            return False
        line.settimeout(60)
        stream = line.makefile("rwb")
        stream.write(f"put {digest} {path.stat().st_size}\n".encode())
        stream.flush()
        if (said := stream.readline()) == b"send\n":
            with path.open("rb") as file:
                while data := file.read(2**18):
                    stream.write(data)
            stream.flush()
            said = stream.readline()
        return said == b"known\n"


def offer(scheduler: Any, path: str) -> None:
    """Let a scheduler of Dask's, which listens already, give the zip to members that ask for it.

    Args:
        scheduler: The scheduler.
        path: The zip.
    """

    def hook(handle: Any) -> Any:
        async def serve(stream: Any, address: Any) -> None:
            with contextlib.suppress(OSError):
                await stream.wait_for_handshake()
                if stream.socket.selected_alpn_protocol() == PROTOCOL:
                    await _give(stream, path)
                    return
            await handle(stream, address)

        return serve

    for listener in scheduler.listeners:
        listener.tcp_server.handle_stream = hook(listener.tcp_server.handle_stream)
        listener.server_args["ssl_options"].set_alpn_protocols([PROTOCOL])


async def _give(stream: Any, path: str) -> None:
    verb = (await stream.read_until(b"\n", max_bytes=256)).split()[0]
    if verb == b"put":
        await stream.write(b"known\n")
    else:
        await stream.write(f"{os.path.getsize(path)}\n".encode())
        with open(path, "rb") as file:
            while data := file.read(2**18):
                await stream.write(data)
    stream.close()
