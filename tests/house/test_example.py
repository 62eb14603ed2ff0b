"""The solar example: its physics, and a whole run of it."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pvlib = pytest.importorskip("pvlib", reason="needs examples/solar/requirements.txt")
SOLAR = Path(__file__).parents[2] / "examples" / "solar"


@pytest.fixture(scope="module")
def yields():
    """The example's module of physics."""
    sys.path.insert(0, str(SOLAR))
    try:
        import yields

        yield yields
    finally:
        sys.path.remove(str(SOLAR))


@pytest.fixture(scope="module")
def simulate(yields):
    """A function of module, tilt and azimuth."""
    return lambda *mounting: yields.simulate(yields.Scenario(*mounting))


def test_weather_is_a_typical_year_of_daylight(yields) -> None:
    """The year has as many hours of daylight as its latitude gives, and North Carolina's sunshine."""
    site = yields.load_site()
    assert 4300 < len(site.weather) < 4700
    assert 1500 < site.weather["ghi"].sum() / 1000 < 1650
    assert site.sun["apparent_zenith"].min() == pytest.approx(site.latitude - 23.45, abs=1.0)


def test_the_best_tilt_is_a_little_below_the_latitude(yields, simulate) -> None:
    """Facing south, 30 degrees beat flat, steep and vertical at 36 degrees north."""
    by_tilt = {tilt: simulate("CdTe", tilt, 180)["specific_yield"] for tilt in range(0, 91, 10)}
    assert max(by_tilt, key=by_tilt.get) == 30
    assert yields.load_site().latitude == pytest.approx(36.1)


def test_a_flat_module_faces_nowhere(simulate) -> None:
    """Without tilt the azimuth makes no difference."""
    north, east = (simulate("CIGS", 0, azimuth)["specific_yield"] for azimuth in (0, 90))
    assert north == pytest.approx(east, rel=1e-9)


def test_south_beats_east_and_west_and_north(simulate) -> None:
    """In the northern hemisphere the sun is in the south; east and west differ little."""
    north, east, south, west = (
        simulate("mono-Si", 30, azimuth)["specific_yield"] for azimuth in (0, 90, 180, 270)
    )
    assert south > max(east, west) > north
    assert east == pytest.approx(west, rel=0.03)


@pytest.mark.parametrize("module", ["mono-Si", "multi-Si", "CdTe", "CIGS"])
def test_yields_are_those_of_real_modules(simulate, module: str) -> None:
    """A module on a good roof gives 1,250 to 1,450 kWh per kWp and loses a fifth to a quarter on the way."""
    result = simulate(module, 30, 180)
    assert 1250 < result["specific_yield"] < 1450
    assert 0.74 < result["performance_ratio"] < 0.82
    assert 25 < result["cell_temperature"] < 40
    assert sum(result["monthly"]) == pytest.approx(result["specific_yield"])


def test_the_example_runs_from_its_manifest_to_its_picture(tmp_path: Path) -> None:
    """`scalable run` in a copy of the folder writes a row for each of 640 scenarios and draws them."""
    folder = tmp_path / "solar"
    shutil.copytree(SOLAR, folder, ignore=shutil.ignore_patterns("results", ".scalable"))
    done = subprocess.run(
        [Path(sys.executable).with_name("scalable"), "run"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = list(csv.DictReader((folder / "results" / "yields.csv").open()))
    assert len(rows) == 640
    assert (rows[0]["tilt"], float(rows[0]["azimuth"])) == ("30", 180.0)
    assert (folder / "results" / "yields.png").read_bytes().startswith(b"\x89PNG")
    assert "640 scenarios" in done.stdout
