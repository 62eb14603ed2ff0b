"""What of a manifest may be written down, and the lock over it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from scalable_core.manifest.merge import SECTIONS
from scalable_core.manifest.tree import Map, plain


def redact_document(root: Map, targets: Mapping[str, Map]) -> dict[str, Any]:
    """Return the resolved document as plain data, secrets as their templates.

    Args:
        root: Merged and expanded.
        targets: Those to keep, sealed; of another one nobody knows which options are secret.
    """
    sections = {section: root[section] for section in SECTIONS} | {"targets": targets}
    return {
        "version": root["version"],
        **{name: plain(section) for name, section in sections.items()},
    }


def lock_document(document: dict[str, Any]) -> str:
    """Return ``sha256:`` and the digest of a redacted document, in which the order of keys means nothing.

    What a target's ``overlay`` names is in the document already, merged in, so the name itself does not count.
    """
    targets = {
        name: {key: value for key, value in target.items() if key != "overlay"}
        for name, target in document["targets"].items()
    }
    canonical = json.dumps(document | {"targets": targets}, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"
