"""Named as a provider and as an extension."""

SCALABLE_PLUGIN_API = 1
