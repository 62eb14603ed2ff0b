"""Wraps in the old style."""

from scalable_core.hookspecs import hookimpl

SCALABLE_PLUGIN_API = 1


@hookimpl(hookwrapper=True)
def estimate_cost(plan):
    yield
