"""Fails when it is told the settings, after one hook was registered."""

from scalable_core.hookspecs import hookimpl

SCALABLE_PLUGIN_API = 1


@hookimpl
def check_target(target):
    return []


@hookimpl
def configure(settings):
    raise RuntimeError("no home")
