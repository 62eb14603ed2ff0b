"""Price snapshots: what a dist carries, and which one is in use."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from scalable_aws.prices import DATA as AWS
from scalable_core.types.prices import PriceBook
from scalable_core.types.snapshot import SUMMARY, price_folder, price_home, read_snapshot, seal, use
from scalable_gcp.prices import DATA as GCP

BOTH = pytest.mark.parametrize("data", [AWS, GCP], ids=["aws", "gcp"])


@BOTH
def test_the_summary_is_that_of_the_data(data, tmp_path):
    """Made anew from the files it gives the same id, on every machine."""
    copy = tmp_path / "copy"
    shutil.copytree(data, copy)
    (copy / SUMMARY).unlink()

    seal(copy)
    assert json.loads((copy / SUMMARY).read_text()) == json.loads((data / SUMMARY).read_text())


@BOTH
def test_the_data_are_small(data):
    """A few hundred KB for a cloud, and a plan reads the files of one region alone."""
    files = [path for path in data.rglob("*") if path.is_file()]

    assert sum(path.stat().st_size for path in files) < 450_000
    assert max(path.stat().st_size for path in files) < 40_000


@BOTH
def test_every_price_has_a_source_and_most_have_a_date(data):
    """A date is a year, a month or a day; a price without any says so by having none."""
    prices = [
        price
        for path in (data / "regions").glob("*.csv")
        for tiers in PriceBook(data, path.stem)._rows.values()
        for price in tiers
        if price["usd"]
    ]

    assert all(price["source"] for price in prices)
    dated = [price["as_of"] for price in prices if price["as_of"]]
    assert len(dated) > 0.95 * len(prices)
    for date in dated:
        year, month, day = (*map(int, date.split("-")), 1, 1)[:3]
        assert 2020 <= year <= 2026
        assert 1 <= month <= 12
        assert 1 <= day <= 31


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder for refreshed prices."""
    monkeypatch.setenv("SCALABLE_PRICES_DIR", str(tmp_path / "prices"))
    return tmp_path / "prices" / "aws"


def _fetched(home: Path, date: str) -> Path:
    """Keep prices as fetched on a day."""
    home.mkdir(parents=True, exist_ok=True)
    fresh = home / "fresh"
    shutil.copytree(AWS, fresh)
    path = fresh / "regions" / "us-east-1.csv"
    path.write_text(path.read_text().replace("0.04048", "0.0411"))
    seal(fresh, fetched=date)
    use("aws", fresh)
    return price_folder("aws", AWS)


def test_fetched_prices_are_in_use_and_replace_each_other(home):
    """The one before stays for whoever is reading it, and what another process makes is let be."""
    (home / "new-1").mkdir(parents=True)
    first, second, third = (_fetched(home, f"2026-11-2{day}") for day in range(3))

    assert [path.exists() for path in (first, second, third, home / "new-1")] == [
        False, True, True, True,
    ]  # fmt: skip
    snapshot = read_snapshot("aws", AWS)
    assert snapshot.origin == "refreshed"
    assert snapshot.id.startswith("2026-11-22-")
    assert PriceBook(third, "us-east-1").find("fargate", "linux_x86_vcpu_hour").usd == 0.0411


def test_a_dist_with_newer_prices_is_preferred(home):
    """After an upgrade nobody wants what was fetched the year before."""
    _fetched(home, "2025-11-20")

    assert price_folder("aws", AWS) == AWS


@pytest.mark.parametrize("gone", ["current", "folder"])
def test_what_somebody_has_tidied_away_is_not_missed(home, gone):
    """The prices of the dist are there always."""
    folder = _fetched(home, "2026-11-20")
    if gone == "folder":
        shutil.rmtree(folder)
    else:
        (home / "current").unlink()

    assert price_folder("aws", AWS) == AWS


def test_the_folder_is_the_platforms_cache_unless_it_is_named():
    """`SCALABLE_PRICES_DIR` names another."""
    assert price_home({"SCALABLE_PRICES_DIR": "/mine"}) == Path("/mine")
    assert price_home({}).parts[-2:] == ("scalable", "prices")
