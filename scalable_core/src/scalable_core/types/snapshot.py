"""Where the prices of a provider are: in its dist, or fetched since and kept for this user.

A snapshot is a folder as `PriceBook` reads it, with a `snapshot.json` that sums it up, so that nobody has to
read all of it to name it. Refreshed ones lie in folders of their own, and a file `current` names the one in
use: readers see the old one or the new one, and never half of each.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scalable_core.types.prices import PriceSnapshot

SUMMARY = "snapshot.json"
_CURRENT = "current"
#: How the names of folders begin that are not complete yet.
FRESH = "new-"


def price_home(environ: Mapping[str, str] | None = None) -> Path:
    """Return the folder of this user's refreshed prices: `SCALABLE_PRICES_DIR`, or in the platform's cache."""
    environ = os.environ if environ is None else environ
    if environ.get("SCALABLE_PRICES_DIR"):
        return Path(environ["SCALABLE_PRICES_DIR"])
    return cache_home(environ) / "prices"


def cache_home(environ: Mapping[str, str] | None = None) -> Path:
    """Return the folder of what is kept for this user and can be made again: in the platform's cache."""
    environ = os.environ if environ is None else environ
    if sys.platform == "win32":
        cache = Path(environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local")
    elif sys.platform == "darwin":
        cache = Path.home() / "Library/Caches"
    else:
        cache = Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "scalable"


def price_folder(provider: str, bundled: Path) -> Path:
    """Return the folder of the prices in use: the refreshed ones, unless the dist has newer ones.

    Args:
        provider: The plugin.
        bundled: The folder in its dist.
    """
    home = price_home() / provider
    folder = home / _named(home)
    try:
        fetched = _summary(folder)["fetched"]
        return folder if fetched >= (_summary(bundled)["as_of"] or "") else bundled
    except (OSError, ValueError, KeyError, TypeError):
        return bundled  # none was fetched, or somebody has tidied up


def snapshot_id(folder: Path) -> str:
    """Return the id of the snapshot in a folder."""
    return str(_summary(folder)["id"])


def read_snapshot(provider: str, bundled: Path, *, notes: tuple[str, ...] = ()) -> PriceSnapshot:
    """Return which prices a provider estimates with.

    Args:
        provider: The plugin.
        bundled: The folder in its dist.
        notes: Sentences for the user.
    """
    folder = price_folder(provider, bundled)
    known = _summary(folder)
    return PriceSnapshot(
        provider=provider,
        id=known["id"],
        as_of=known["as_of"],
        oldest=known["oldest"],
        rows=known["rows"],
        regions=tuple(known["regions"]),
        origin="bundled" if folder == bundled else "refreshed",
        sources=tuple(_sources(folder)),
        notes=notes,
    )


def seal(folder: Path, *, fetched: str | None = None) -> str:
    """Sum up a folder of prices in its `snapshot.json` and return the id, which changes with any price.

    Args:
        folder: With `regions` and `machines`.
        fetched: ISO date on which its newest prices were asked for; None for those of a dist.
    """
    digest, dates, regions, rows = hashlib.sha256(), set[str](), set[str](), 0
    for path in sorted(folder.glob("*/*.csv")):
        data = path.read_bytes()
        digest.update(f"{path.parent.name}/{path.name}\n".encode() + data)
        if path.stem != "global":
            regions.add(path.stem)
        lines = data.decode("utf-8").splitlines()
        if path.parent.name == "machines":
            dates.add(next(csv.reader(lines[:1]))[0])
            rows += len(lines) - 2
        else:
            prices = [row for row in csv.DictReader(lines) if row["usd"]]
            dates |= {row["as_of"] for row in prices}
            rows += len(prices)
    dates.discard("")
    newest = max(dates, default=None)
    known = {
        "id": f"{fetched or newest}-{digest.hexdigest()[:8]}",
        "as_of": newest,
        "oldest": min(dates, default=None),
        "rows": rows,
        "regions": sorted(regions),
    }
    known |= {"fetched": fetched} if fetched else {}
    (folder / SUMMARY).write_text(json.dumps(known) + "\n", encoding="utf-8")
    return str(known["id"])


def use(provider: str, folder: Path) -> None:
    """Make a sealed folder the one in use; it is moved below `price_home`.

    The one before stays, for whoever is reading it; older ones go.
    """
    import shutil

    home = price_home() / provider
    name, before = snapshot_id(folder), _named(home)
    target = home / name
    if not target.exists():
        folder.replace(target)
    pointer = home / f"{_CURRENT}.{os.getpid()}"
    pointer.write_text(name + "\n", encoding="utf-8")
    pointer.replace(home / _CURRENT)
    for other in home.iterdir():
        # What another process is about to put here begins with FRESH.
        if other.is_dir() and other.name not in (name, before) and FRESH not in other.name:
            shutil.rmtree(other, ignore_errors=True)


def _named(home: Path) -> str:
    """Return the name of the refreshed prices in use; one that no folder has when there are none."""
    try:
        return (home / _CURRENT).read_text(encoding="utf-8").strip() or "none"
    except OSError:
        return "none"


def _summary(folder: Path) -> dict[str, Any]:
    known: dict[str, Any] = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    return known


def _sources(folder: Path) -> Iterator[str]:
    path = folder / "sources.csv"
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                yield f"{row['upstream']} ({row['as_of']})" if row["as_of"] else row["upstream"]
