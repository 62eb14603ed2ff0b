"""Has a hook for a later core, and says that it may be missing."""

from scalable_core.hookspecs import hookimpl

SCALABLE_PLUGIN_API = 1


@hookimpl(optionalhook=True)
def teleport_cluster(plan):
    return None


@hookimpl
def target_options():
    return 3
