"""The core of Scalable. Users import ``scalable``; plugin authors import from here."""

from __future__ import annotations

__version__ = "0.1.0"
