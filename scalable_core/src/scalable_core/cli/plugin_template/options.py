"""What may stand in a target with ``provider: acme``."""

from __future__ import annotations

from attrs import frozen

from scalable_core.types import option


@frozen(kw_only=True)
class AcmeOptions:
    """Options of an `acme` target."""

    n_workers: int = option(default=1, minimum=1, help="Number of workers.")
    usd_per_hour: float | None = option(
        default=None, minimum=0, help="USD for one worker for an hour; unknown when left out."
    )
