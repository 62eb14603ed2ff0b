"""Its newer core is for another Python only."""

from scalable_core.hookspecs import hookimpl

SCALABLE_PLUGIN_API = 1
