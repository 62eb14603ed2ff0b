"""Has a slip in the name of a hook."""

from scalable_core.hookspecs import hookimpl

SCALABLE_PLUGIN_API = 1


@hookimpl
def provison_cluster(plan):
    return None
