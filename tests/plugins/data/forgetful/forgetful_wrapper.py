"""Forgets to return the answer."""

from scalable_core.hookspecs import hookimpl

SCALABLE_PLUGIN_API = 1


@hookimpl(wrapper=True)
def estimate_cost(plan):
    yield
