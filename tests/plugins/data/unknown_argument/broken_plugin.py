"""Wants what is not given."""

from scalable_core.hookspecs import hookimpl

SCALABLE_PLUGIN_API = 1


@hookimpl
def estimate_cost(plan, zone):
    return None
