"""Has no such thing."""

SCALABLE_PLUGIN_API = 1
