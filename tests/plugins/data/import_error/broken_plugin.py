"""Needs what is not there."""

import betasdk  # noqa: F401
