"""Credentials that `podman login` or `docker login` left on this machine, in files or in helper programs."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from scalable_core.oci.reference import DOCKER_HUB, Reference

_SHAPE_ERRORS = (LookupError, TypeError, ValueError, AttributeError, RecursionError)
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@frozen(kw_only=True)
class Credentials:
    """What proves to a registry who asks: user and password, or a token.

    Attributes:
        username: With ``password``, for Basic and for a token server.
        password: Never shown.
        identity_token: A refresh token that a token server exchanges.
        source: The file or program they came from, for errors.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    source: str = "the caller"

    @property
    def basic(self) -> str:
        """The value of a Basic Authorization header."""
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


def find_credentials(
    reference: Reference, notes: list[str], *, timeout: float
) -> Credentials | None:
    """Look where Podman and Docker keep credentials; the first file that has some wins.

    Args:
        reference: The image; Podman also keeps credentials for a part of a registry.
        notes: Gets a sentence for each file or helper that is broken: none of them stops the search, for
            public images need no credentials at all.
        timeout: Seconds that a credential helper may take.
    """
    for path in credential_files():
        try:
            found = _read_file(path, reference, notes, timeout)
        except FileNotFoundError:
            continue
        except (OSError, *_SHAPE_ERRORS) as error:
            notes.append(f"{path} cannot be read ({type(error).__name__})")
            continue
        if found:
            return found
    return None


def credential_files() -> list[Path]:
    """Return the files that may hold credentials, in the order in which they are asked."""
    home, user = Path.home(), getattr(os, "getuid", int)()
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    podman = Path(runtime, "containers") if runtime else Path("/run/containers", str(user))
    config = os.environ.get("XDG_CONFIG_HOME") or home / ".config"
    docker = os.environ.get("DOCKER_CONFIG") or home / ".docker"
    return [
        Path(os.environ.get("REGISTRY_AUTH_FILE") or podman / "auth.json"),
        Path(config, "containers", "auth.json"),
        Path(docker, "config.json"),
    ]


def _read_file(
    path: Path, reference: Reference, notes: list[str], timeout: float
) -> Credentials | None:
    config = json.loads(path.read_text(encoding="utf-8"))
    helpers = _by_name(config.get("credHelpers"))
    helper = helpers.get(reference.registry) or config.get("credsStore")
    found = _ask_helper(str(helper), reference, timeout, notes) if helper else None
    return found or _find_entry(_by_name(config.get("auths")), reference, str(path))


def _by_name(section: Any) -> dict[str, Any]:
    return {_normalize(key): value for key, value in (section or {}).items()}


def _find_entry(
    entries: Mapping[str, Any], reference: Reference, source: str
) -> Credentials | None:
    parts = reference.name.split("/")
    for length in range(len(parts), 0, -1):
        entry = entries.get("/".join(parts[:length])) or {}
        username, password = entry.get("username") or "", entry.get("password") or ""
        if entry.get("auth"):
            pair = base64.b64decode(entry["auth"], validate=True).decode().rstrip("\0")
            username, _, password = pair.partition(":")
        found = Credentials(
            username=username,
            password=password,
            identity_token=entry.get("identitytoken") or "",
            source=source,
        )
        if found.username or found.identity_token:
            return found
    return None


def _normalize(key: str) -> str:
    """Docker writes ``https://index.docker.io/v1/`` or a host, Podman a host or a part of one."""
    bare = re.sub(r"/v[12]/?$|/$", "", re.sub(r"^https?://", "", key))
    return re.sub(r"^(index|registry-1)\.docker\.io\b", DOCKER_HUB, bare)


def _ask_helper(
    name: str, reference: Reference, seconds: float, notes: list[str]
) -> Credentials | None:
    program = f"docker-credential-{name}"
    path = shutil.which(program) if _HELPER.fullmatch(name) else None
    if path is None:
        notes.append(f"{program} is not on the PATH")
        return None
    registry = reference.registry
    server = "https://index.docker.io/v1/" if registry == DOCKER_HUB else registry
    try:
        done = subprocess.run(
            [path, "get"], input=server.encode(), capture_output=True, timeout=seconds, check=False
        )
        if done.returncode:
            # "Not found" is the usual answer of a helper; anything else is worth telling.
            if b"not found" not in done.stdout + done.stderr:
                notes.append(f"{program} failed with exit code {done.returncode}")
            return None
        answer = json.loads(done.stdout)
        username, secret = str(answer["Username"]), str(answer["Secret"])
    except subprocess.TimeoutExpired:
        notes.append(f"{program} did not answer within {seconds:.0f} s")
        return None
    except (OSError, *_SHAPE_ERRORS) as error:
        notes.append(f"{program} gave no credentials ({type(error).__name__})")
        return None
    if username == "<token>":
        return Credentials(identity_token=secret, source=program)
    return Credentials(username=username, password=secret, source=program)
