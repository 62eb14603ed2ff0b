"""Made for a later contract."""

SCALABLE_PLUGIN_API = 2
