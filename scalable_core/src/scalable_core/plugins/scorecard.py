"""What the conformance kit said of a provider: counted, and kept for the listing."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from scalable_core.types.snapshot import cache_home

SCHEMA = "scalable.conformance/1"


def scorecard(
    provider: str, dist: str, version: str, checks: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the outcome of all checks as plain data.

    Args:
        provider: Its name.
        dist: The dist that offers it.
        version: Of the dist.
        checks: ``aspect``, ``check``, ``outcome`` and ``sentence`` of each.

    Returns:
        ``score`` is what passed of what was run: neither what does not apply nor what would cost something.
    """
    rows = [dict(row) for row in checks]
    count = Counter(row["outcome"] for row in rows)
    return {
        "schema": SCHEMA,
        "provider": provider,
        "dist": dist,
        "version": version,
        "score": f"{count['passed']}/{count['passed'] + count['failed']}",
        "passed": count["passed"],
        "failed": count["failed"],
        "skipped": count["skipped"],
        "not_run": count["not run"],
        "checks": rows,
    }


def keep_score(card: Mapping[str, Any], module: str) -> None:
    """Keep a scorecard for this user; where that is not possible it is not kept.

    Args:
        card: From `scorecard`.
        module: Of the plugin, as its entry point names it.
    """
    path = _path(card["dist"], card["version"])
    try:
        kept = {**card, "code": code_of(module)}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    except (OSError, ValueError):
        return


def read_score(dist: str, version: str, module: str) -> str | None:
    """Return the score of a dist; None when there is none of this version, or the code has changed since."""
    try:
        card = json.loads(_path(dist, version).read_text(encoding="utf-8"))
        if card["schema"] != SCHEMA or card["code"] != code_of(module):
            return None
        return str(card["score"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def code_of(module: str) -> str:
    """Return what changes when a file of a plugin's package does; nothing is imported."""
    spec = find_spec(module.partition(":")[0].partition(".")[0])
    places = [Path(place) for place in (spec and spec.submodule_search_locations) or ()]
    files = [path for place in places for path in sorted(place.rglob("*.py"))]
    if spec is not None and not places and spec.origin is not None:
        files = [Path(spec.origin)]
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _path(dist: str, version: str) -> Path:
    return cache_home() / "conformance" / f"{dist}-{version}.json"
