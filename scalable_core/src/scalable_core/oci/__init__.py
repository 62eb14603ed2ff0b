"""The side room of container images: from a name to a digest, asked of any OCI registry.

Stdlib only. Nothing here runs until `resolve` is called; importing it opens no socket.
"""

from __future__ import annotations

from scalable_core.oci.contents import PACKAGES, inspect, told_versions
from scalable_core.oci.credentials import Credentials
from scalable_core.oci.reference import Reference, parse_reference
from scalable_core.oci.resolve import resolve

__all__ = [
    "PACKAGES",
    "Credentials",
    "Reference",
    "inspect",
    "parse_reference",
    "resolve",
    "told_versions",
]
