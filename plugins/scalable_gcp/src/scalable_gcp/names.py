"""What things of a run are called on Google Cloud, and the labels by which they are found again. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

PROJECT, RUN = "scalable-project", "scalable-run"
#: On a pool and a machine: the names of the members that it is.
MEMBERS = "scalable.io/members"
#: The member that is the driver of a detached run; workers have a number after a hyphen.
DRIVER = "driver"


def stem(project: str, run: str) -> str:
    """Return what the names of all things of one run begin with; 19 characters."""
    digest = hashlib.sha256(f"{project}/{run}".encode()).hexdigest()
    return f"scalable-{digest[:10]}"


def label(text: str) -> str:
    """Return a text as a label may have it: lower-case letters, digits, ``-`` and ``_``, at most 63."""
    return re.sub(r"[^a-z0-9_-]", "-", text.lower())[:63]


def labels_of(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that everything of a run carries."""
    return {name: label(value) for name, value in tags.items()}


def pool_name(project: str, run: str, first: str) -> str:
    """Return the name of the pool whose first member has a name; fewer than 50 characters."""
    word, _, number = first.rpartition("-")
    word = re.sub(r"[^a-z0-9-]", "-", word.lower())[: 47 - 19 - len(number)]
    return f"{stem(project, run)}-{word}-{number}"


def machine_name(project: str, run: str, member: str) -> str:
    """Return the name of the machine that is a member."""
    return f"{stem(project, run)}-{label(member)}"[:63]


def driver_secret(root: str) -> str:
    """Return the name of the secret that is for a run's driver alone, from what all names begin with."""
    return f"{root}-driver"
