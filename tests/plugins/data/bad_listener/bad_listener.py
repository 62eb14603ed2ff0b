"""Fails to hear."""

from scalable_core.hookspecs import hookimpl

SCALABLE_PLUGIN_API = 1


@hookimpl
def run_recorded(record):
    raise OSError("no route")
