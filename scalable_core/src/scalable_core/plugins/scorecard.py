"""What the conformance kit said of a provider: counted, and kept for the listing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
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


def keep_score(card: Mapping[str, Any]) -> None:
    """Keep a scorecard for this user; where that is not possible it is not kept."""
    path = _path(card["dist"], card["version"])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    except OSError:
        return


def read_score(dist: str, version: str) -> str | None:
    """Return the last score of a version of a dist; None when there is none."""
    try:
        card = json.loads(_path(dist, version).read_text(encoding="utf-8"))
        return str(card["score"]) if card["schema"] == SCHEMA else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _path(dist: str, version: str) -> Path:
    return cache_home() / "conformance" / f"{dist}-{version}.json"
