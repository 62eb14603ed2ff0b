"""Builds the price snapshots that scalable-aws and scalable-gcp carry, from a folder of CSV files.

    python scripts/build_prices.py FOLDER

FOLDER holds one fact a row, with its date and source: `aws_ec2.csv`, `aws_ec2_spot_ratio.csv`,
`aws_fargate.csv`, `aws_storage.csv`, `gcp_gce.csv`, `gcp_gce_components.csv`, `gcp_gke.csv`, `gcp_run.csv`,
`gcp_storage.csv` and `sources.csv`. What is derived from others here says so in its source.
"""

from __future__ import annotations

import csv
import re
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from scalable_core.types.prices import MACHINE_COLUMNS, PRICE_COLUMNS
from scalable_core.types.snapshot import seal

ROOT = Path(__file__).resolve().parent.parent
AWS_DATA = ROOT / "plugins/scalable_aws/src/scalable_aws/data"
GCP_DATA = ROOT / "plugins/scalable_gcp/src/scalable_gcp/data"

#: What an estimate asks for; the other rows of the sources are left out.
GCP_ITEMS = (
    "storage_standard",
    "pd_balanced",
    "external_ipv4_in_use",
    "ingest",
    "class_a_standard",
    "inter_zone_same_region",
)
EGRESS = "premium_internet_egress_to_worldwide_excl_china_australia"

Row = dict[str, str]
Prices = dict[str, list[Row]]


def main() -> None:
    """Write both snapshots."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    aws: Prices = defaultdict(list)
    for region, row in (*_fargate(folder), *_aws_storage(folder), *_ec2_spot(folder)):
        aws[region].append(row)
    _write(AWS_DATA, aws, _machines(_rows(folder / "aws_ec2.csv"), "instance_type"), folder)
    gcp: Prices = defaultdict(list)
    for region, row in (*_cloud_run(folder), *_gke(folder), *_gcp_storage(folder)):
        gcp[region].append(row)
    _write(GCP_DATA, gcp, _machines(_rows(folder / "gcp_gce.csv"), "machine_type"), folder)


def _rows(path: Path) -> list[Row]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _price(service: str, item: str, unit: str, usd: str | float, row: Row, **more: str) -> Row:
    if isinstance(usd, float):
        usd = f"{usd:.9g}"
    facts = {"as_of": _date(row["as_of"]), "source": row["source"]}
    return {"service": service, "item": item, "unit": unit, "usd": usd, **facts, **more}


def _date(text: str) -> str:
    """Return the last ISO date in a text; empty when it has none."""
    found = re.findall(r"\b\d{4}(?:-[01]\d(?:-\d\d)?)?\b", text)
    return found[-1] if found else ""


def _fargate(folder: Path) -> Iterator[tuple[str, Row]]:
    """Yield rates, and for Spot its share of the on-demand price, with the band over all regions."""
    rows = [row for row in _rows(folder / "aws_fargate.csv") if "windows" not in row["platform"]]
    usd = {(r["region"], r["platform"], r["unit"]): float(r["usd"]) for r in rows if _regular(r)}
    ratios: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        key = (row["region"], row["platform"], row["unit"])
        if not _regular(row) and key in usd:
            ratios[row["platform"]].append(float(row["usd"]) / usd[key])
    for row in rows:
        key = (row["region"], row["platform"], row["unit"])
        if _regular(row):
            yield row["region"], _price("fargate", f"{key[1]}_{key[2]}", key[2], row["usd"], row)
        elif key in usd:
            own = float(row["usd"]) / usd[key]
            band = {"low": f"{min(ratios[key[1]]):.4f}", "high": f"{max(ratios[key[1]]):.4f}"}
            item = f"{key[1]}_{key[2]}_spot"
            yield row["region"], _price("fargate", item, "ratio", f"{own:.6f}", row, **band)


def _regular(row: Row) -> bool:
    return row["capacity"] == "on_demand"


def _aws_storage(folder: Path) -> Iterator[tuple[str, Row]]:
    """Yield prices; one that a later source gives too is as new as that, and "since" is not a date of it."""
    rows = _rows(folder / "aws_storage.csv")
    dates = {row["source_id"]: row["as_of"] for row in _rows(folder / "sources.csv")}
    checks = {
        (row["region"], row["tier_from"], row["tier_to"], float(row["usd"])): row
        for row in rows
        if row["item"].startswith("internet_egress_") and "check" in row["item"]
    }
    for row in rows:
        if row["as_of"].startswith("since"):
            row["as_of"] = dates[row["source"]]
        if row["item"] == "internet_egress":
            key = (row["region"], row["tier_from"], row["tier_to"], float(row["usd"]))
            later = checks.get(key, row)
            row["as_of"], row["source"] = max((r["as_of"], r["source"]) for r in (row, later))
        if "check" not in row["item"]:
            tier = {"from": row["tier_from"], "to": row["tier_to"]}
            yield (
                row["region"],
                _price(row["service"], row["item"], row["unit"], row["usd"], row, **tier),
            )


def _ec2_spot(folder: Path) -> Iterator[tuple[str, Row]]:
    for row in _rows(folder / "aws_ec2_spot_ratio.csv"):
        band = {"low": row["min"], "high": row["max"]}
        dated = {**row, "as_of": row["as_of"].partition("/")[0]}
        ratio = row["median_spot_to_on_demand"]
        yield row["region"], _price("ec2_spot", row["family"], "ratio", ratio, dated, **band)


def _cloud_run(folder: Path) -> Iterator[tuple[str, Row]]:
    """Yield rates by tier and each region's tier; worker pools of Tier 2 derived from those of Tier 1."""
    rows = _rows(folder / "gcp_run.csv")
    rates = {
        (row["tier_or_region"], row["mode"], row["unit"]): row
        for row in rows
        if row["row_kind"] in ("tier", "region")
    }
    for unit in ("vcpu_second", "gib_second"):
        pool = rates["us-central1", "worker_pool", unit]
        whole = {t: rates[t, "service_instance_based", unit] for t in ("tier1", "tier2")}
        for tier, row in whole.items():
            yield "global", _price("run", f"{tier}_instance_{unit}", unit, row["value"], row)
            factor = float(row["value"]) / float(whole["tier1"]["value"])
            derived = {**pool, "source": f"{pool['source']}: us-central1 by tier"}
            usd = float(pool["value"]) * factor
            band = {"low": f"{usd:.9g}", "high": row["value"]}
            yield "global", _price("run", f"{tier}_pool_{unit}", unit, usd, derived, **band)
    for row in rows:
        if row["row_kind"] == "tier_of":
            yield row["tier_or_region"], _price("run", row["value"], "tier", "", row)
        elif row["row_kind"] == "region":
            item = row["mode"].replace("worker_pool", "pool").partition("_no_")[0]
            name = f"{item}_{row['unit']}"
            yield row["tier_or_region"], _price("run", name, row["unit"], row["value"], row)
        elif row["row_kind"] == "free_tier":
            name = f"free_{row['mode']}_{row['unit']}"
            yield "global", _price("run", name, row["unit"], row["value"], row)


def _gke(folder: Path) -> Iterator[tuple[str, Row]]:
    """Yield Autopilot rates; where there are none, those of us-central1 by the ratio of E2's prices."""
    known: dict[tuple[str, str], Row] = {}
    for row in _rows(folder / "gcp_gke.csv"):
        if row["compute_class"] in ("cluster", "cluster_extended_period"):
            yield "global", _price("gke", row["compute_class"], "hour", row["usd"], row)
        elif row["compute_class"] == "general_purpose":
            spot = "_spot" if row["capacity"] == "spot" else ""
            known[row["region"], row["unit"] + spot] = row
    e2 = {
        row["region"]: float(row["on_demand_vcpu_hour"])
        for row in _rows(folder / "gcp_gce_components.csv")
        if row["family"] == "e2"
    }
    items = sorted({item for _, item in known})
    for region, usd in sorted(e2.items()):
        for item in items:
            base = known.get(("us-central1", item))
            own = known.get((region, item))
            if own is not None:
                yield region, _price("gke", f"pod_{item}", item, own["usd"], own)
            elif base is not None:
                factor = usd / e2["us-central1"]
                derived = {**base, "source": f"{base['source']}: us-central1 by E2 ratio"}
                value = float(f"{float(base['usd']) * factor:.6g}")
                yield region, _price("gke", f"pod_{item}", item, value, derived)


def _gcp_storage(folder: Path) -> Iterator[tuple[str, Row]]:
    for row in _rows(folder / "gcp_storage.csv"):
        item = "internet_egress" if row["item"] == EGRESS else row["item"]
        if item == "internet_egress" or item in GCP_ITEMS:
            tier = {"from": row["tier_from"], "to": row["tier_to"]}
            # Every region is a single one; multi-regions have prices of their own.
            region = "global" if row["region"] == "single_region" else row["region"]
            yield region, _price(row["service"], item, row["unit"], row["usd"], row, **tier)


def _machines(rows: Iterable[Row], name: str) -> Prices:
    """Return the machine types of each region; AWS's Spot prices are ratios, and are elsewhere."""
    machines: Prices = defaultdict(list)
    for row in rows:
        count = row["accelerator_count"]
        machines[row["region"]].append(
            {
                "type": row[name],
                "vcpu": row["vcpu"],
                "gib": row["memory_gib"],
                "arch": "arm64" if row.get("arch") == "arm64" else "",
                "accelerator": row["accelerator"],
                "count": "" if count == "0" else count,
                "usd": row.get("on_demand_usd_hour", ""),
                "spot": row["spot_usd_hour"] if name == "machine_type" else "",
                "as_of": row.get("on_demand_as_of") or row.get("as_of", ""),
                "source": row.get("on_demand_source") or row.get("source", ""),
            }
        )
    return machines


def _write(target: Path, prices: Prices, machines: Prices, folder: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    for region, rows in prices.items():
        _write_csv(target / "regions" / f"{region}.csv", PRICE_COLUMNS, rows)
    for region, rows in machines.items():
        # One date and source for the whole file, in its first line.
        (facts,) = {(row["as_of"], row["source"]) for row in rows}
        path = target / "machines" / f"{region}.csv"
        _write_csv(path, MACHINE_COLUMNS, rows, first=facts)
    used = " ".join(
        row["source"] for rows in (*prices.values(), *machines.values()) for row in rows
    )
    columns = ("source_id", "upstream", "as_of", "licence")
    named = [
        row for row in _rows(folder / "sources.csv") if _names(row["source_id"]) & _words(used)
    ]
    _write_csv(target / "sources.csv", columns, named)
    seal(target)


def _names(source: str) -> set[str]:
    return set(source.split(" / "))


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))


def _write_csv(
    path: Path, columns: Iterable[str], rows: Iterable[Row], first: Iterable[str] | None = None
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        if first is not None:
            csv.writer(file, lineterminator="\n").writerow(first)
        writer = csv.DictWriter(file, list(columns), extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
