"""How this machine behaves that runs workers, as far as it decides how long they are there."""

from __future__ import annotations

from scalable_core.types import ServiceProfile

#: Seconds: a worker process imports Dask and registers. In a container it is about as long once the image is
#: there. Nobody takes it away, and nobody bills it.
SERVICE_PROFILE = ServiceProfile(boot=2.0, boot_high=5.0)
