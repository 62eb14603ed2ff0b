"""Prices that were just fetched: whether they can be believed, and how they take the place of the old ones."""

from __future__ import annotations

import csv
import math
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from attrs import evolve, frozen

from scalable_core.types.prices import MACHINE_COLUMNS, PRICE_COLUMNS
from scalable_core.types.snapshot import FRESH, price_folder, price_home, seal, use

#: A price that moved by more than this factor is taken for a mistake, of the service or of ours.
MOST_CHANGE = 3.0

#: An answer with fewer machine types than this share of the old ones is not whole.
LEAST_MACHINES = 0.8

Row = Mapping[str, str]
#: Service and item of a price.
Key = tuple[str, str]


@frozen(kw_only=True)
class Batch:
    """What was fetched together for one region, and is taken together or not at all.

    Attributes:
        region: Of the prices; ``global`` for those of everywhere.
        what: What they are, such as ``list prices``.
        rows: One price each, with the columns of a region's file.
        machines: The same for machine types, which replace all that the region had; None leaves those.
        expected: What an answer must have when the old prices have it.
        singly: Rows that cannot be believed are left out, and the others are taken.
        fault: Why there is nothing; None when the answer came whole.
    """

    region: str
    what: str
    rows: tuple[Row, ...] = ()
    machines: tuple[Row, ...] | None = None
    expected: frozenset[Key] = frozenset()
    singly: bool = False
    fault: str | None = None


def price_row(
    service: str, item: str, unit: str, usd: float, *, as_of: str, source: str, **more: str
) -> Row:
    """Return one price as a row of a region's file."""
    facts = {"service": service, "item": item, "unit": unit, "usd": f"{usd:.9g}"}
    return {**facts, "as_of": as_of, "source": source, **more}


def take(
    provider: str, bundled: Path, batches: Iterable[Batch], *, today: str, source: tuple[str, str]
) -> tuple[str, ...]:
    """Put believable batches in the place of the old prices, and say of the others why they are not.

    Args:
        provider: The plugin.
        bundled: The folder in its dist.
        batches: What was fetched.
        today: ISO date.
        source: Id of the source in the rows, and what it is.

    Returns:
        One sentence for each batch that was left out, with its region and the price at fault by name.
    """
    folder, notes, good = price_folder(provider, bundled), [], []
    for batch in batches:
        faults = list(_faults(batch, folder))
        if batch.singly and batch.fault is None and batch.rows:
            wrong = {name for name, _ in faults}
            batch = evolve(batch, rows=tuple(row for row in batch.rows if _name(row) not in wrong))
            good += [batch] if batch.rows else []
        elif not faults:
            good.append(batch)
        if faults:
            more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
            notes.append(f"{batch.region} keeps its old {batch.what}: {faults[0][1]}{more}")
    if good:
        home = price_home() / provider
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home, prefix=FRESH) as name:
            fresh = Path(name) / "snapshot"
            shutil.copytree(folder, fresh)
            for batch in good:
                _write(batch, fresh, today, source[0])
            _add_source(fresh / "sources.csv", source, today)
            seal(fresh, fetched=today)
            use(provider, fresh)
    return tuple(notes)


def _faults(batch: Batch, folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the fault of what cannot be believed."""
    if batch.fault is not None:
        yield "", batch.fault
        return
    if not batch.rows and not batch.machines:
        yield "", "the answer has none"
        return
    old = _by_item(_read(folder / "regions" / "global.csv"))
    old |= _by_item(_read(folder / "regions" / f"{batch.region}.csv"))
    new = _by_item(batch.rows)
    for service, item in sorted(batch.expected & old.keys() - new.keys()):
        yield f"{service} {item}", f"{service} {item} is missing"
    for key, rows in new.items():
        before = {row.get("from") or "0": row for row in old.get(key, ())}
        for row in rows:
            yield from _change(_name(row), before.get(row.get("from") or "0"), row)
    if batch.machines is not None:
        yield from _machine_faults(_read_machines(folder, batch.region), batch.machines)


def _machine_faults(old: Sequence[Row], new: Sequence[Row]) -> Iterator[tuple[str, str]]:
    families = {_family(row["type"]) for row in new}
    for family in sorted({_family(row["type"]) for row in old} - families):
        yield family, f"the machine family {family} is missing"
    if len(new) < LEAST_MACHINES * len(old):
        yield "", f"there are {len(new)} machine types, where there were {len(old)}"
    before = {row["type"]: row for row in old}
    for row in new:
        yield from _change(row["type"], before.get(row["type"]), row)


def _change(name: str, old: Row | None, new: Row) -> Iterator[tuple[str, str]]:
    try:
        usd = float(new["usd"])
    except ValueError:
        usd = math.nan
    was = float(old["usd"]) if old is not None and old["usd"] else 0.0
    if not (math.isfinite(usd) and usd > 0):
        yield name, f"{name} has the price {new['usd'] or 'nothing'}"
    elif was and not was / MOST_CHANGE <= usd <= was * MOST_CHANGE:
        times = max(usd / was, was / usd)
        yield name, f"{name} went from {was:g} to {usd:g}, which is {times:.3g} times off"


def _name(row: Row) -> str:
    return f"{row['service']} {row['item']}"


def _family(machine: str) -> str:
    """Return ``m5`` of ``m5.xlarge``, ``n2`` of ``n2-standard-4``."""
    return machine.replace("-", ".", 1).partition(".")[0]


def _write(batch: Batch, folder: Path, today: str, source: str) -> None:
    if batch.rows:
        path = folder / "regions" / f"{batch.region}.csv"
        fresh = _by_item(batch.rows)
        kept = [row for row in _read(path) if (row["service"], row["item"]) not in fresh]
        with path.open("w", newline="", encoding="utf-8") as file:
            _write_rows(file, PRICE_COLUMNS, (*kept, *batch.rows))
    if batch.machines is not None:
        path = folder / "machines" / f"{batch.region}.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerow((today, source))
            _write_rows(file, (*MACHINE_COLUMNS, "as_of"), batch.machines)


def _write_rows(file: TextIO, columns: Sequence[str], rows: Iterable[Row]) -> None:
    writer = csv.DictWriter(file, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(dict(row) for row in rows)


def _add_source(path: Path, source: tuple[str, str], today: str) -> None:
    rows = [row for row in _read(path) if row["source_id"] != source[0]]
    columns = ("source_id", "upstream", "as_of", "licence")
    new = {"source_id": source[0], "upstream": source[1], "as_of": today, "licence": ""}
    with path.open("w", newline="", encoding="utf-8") as file:
        _write_rows(file, columns, (*rows, new))


def _by_item(rows: Iterable[Row]) -> dict[Key, list[Row]]:
    found: dict[Key, list[Row]] = {}
    for row in rows:
        found.setdefault((row["service"], row["item"]), []).append(row)
    return found


def _read(path: Path) -> list[Row]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _read_machines(folder: Path, region: str) -> list[Row]:
    path = folder / "machines" / f"{region}.csv"
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        next(file)
        return list(csv.DictReader(file))
