"""The installed plugins as a table, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scalable_core.cli.render.problems import count
from scalable_core.cli.render.table import Cell, table, wrap
from scalable_core.cli.terminal import Look, clean
from scalable_core.plugins import PluginStatus
from scalable_core.types import to_data

PLUGINS_SCHEMA = "scalable.plugins/1"

#: What a hook gives the user, in one word; the other hooks go without saying.
_PROVIDED = {
    "provision_cluster": "cluster",
    "estimate_cost": "cost",
    "resolve_image": "images",
    "store_artifact": "artifacts",
}

_COLORS = {"ready": "green", "disabled": "dim"}


def render_plugins(statuses: Sequence[PluginStatus], look: Look, *, checked: bool) -> list[str]:
    """Return a row for each plugin, then the faults with their cures, then the verdict.

    Args:
        statuses: From the plugin host.
        look: Of the stream.
        checked: They were loaded.
    """
    heads = ["NAME", "KIND", "VERSION", "API", "STATUS", "CONFORMANCE", "PACKAGE", "PROVIDES"]
    rows: list[Sequence[Cell]] = [[(head, "bold") for head in heads]]
    rows += [_row(status) for status in statuses]
    lines = table(rows, look, align="llllllll", shrink=7, spare=[2, 1]) if statuses else []
    for status in statuses:
        if status.detail and status.status != "disabled":
            mark = look.paint("x" if status.status == "broken" else "!", "red", "bold")
            lines += ["", *wrap(clean(status.detail), look, first=f"{mark} ", rest="  ")]
            lines += wrap(clean(status.cure), look, first="  ", rest="  ") if status.cure else []
    return [*lines, "", _verdict(statuses, checked)]


def plugins_document(statuses: Sequence[PluginStatus], *, checked: bool) -> dict[str, Any]:
    """Return the plugins as plain data for programs."""
    return {"schema": PLUGINS_SCHEMA, "checked": checked, "plugins": to_data(tuple(statuses))}


def _row(status: PluginStatus) -> list[Cell]:
    hooks = list(status.provides)
    if status.kind != "extension":
        hooks = [word for hook, word in _PROVIDED.items() if hook in status.provides]
    provides = [*hooks, *(f"{scheme}://" for scheme in status.schemes)]
    return [
        clean(status.name),
        status.kind,
        clean(status.version),
        "-" if status.api is None else str(status.api),
        (status.status, _COLORS.get(status.status, "red")),
        status.conformance or "-",
        clean(status.dist),
        clean(" ".join(provides)) or "-",
    ]


def _verdict(statuses: Sequence[PluginStatus], checked: bool) -> str:
    ready = sum(status.status == "ready" for status in statuses)
    if not checked:
        usable = "" if ready == len(statuses) else f", {ready} usable"
        return f"{count(len(statuses), 'plugin')} found{usable}."
    return f"{count(len(statuses), 'plugin')} checked, {ready} ready."
