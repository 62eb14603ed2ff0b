"""Names a class."""

from scalable_core.hookspecs import hookimpl

SCALABLE_PLUGIN_API = 1


class Broken:
    @hookimpl
    def target_options(self):
        return None
