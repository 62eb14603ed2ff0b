"""Raises from a helper of its own."""

from scalable_core.hookspecs import hookimpl

SCALABLE_PLUGIN_API = 1


@hookimpl
def estimate_cost(plan):
    return _price(plan)


@hookimpl
def target_options():
    raise OSError("disk on fire")


@hookimpl
def preflight(plan):
    raise SystemExit(3)


def _price(plan):
    raise KeyError("m5.xlarge")
