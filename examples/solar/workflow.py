"""How should a roof carry photovoltaic modules? One simulated year for each of 640 ways to mount them."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pandas as pd
from plot import draw
from yields import MODULES, Scenario, simulate

from scalable import ScalableSession

RESULTS = Path(__file__).parent / "results"
TILTS = range(0, 91, 10)
AZIMUTHS = [step * 22.5 for step in range(16)]  # the sixteen points of the compass
SHOWN = ["module", "tilt", "azimuth", "poa", "specific_yield", "performance_ratio"]


def main() -> None:
    """Run every scenario and write the table and the picture."""
    scenarios = [Scenario(*mounting) for mounting in itertools.product(MODULES, TILTS, AZIMUTHS)]
    with ScalableSession.from_yaml(Path(__file__).parent / "scalable.yaml") as client:
        futures = client.map(simulate, scenarios, task="simulate")
        table = pd.DataFrame(client.gather(futures))

    table = table.sort_values("specific_yield", ascending=False, ignore_index=True)
    RESULTS.mkdir(exist_ok=True)
    table.drop(columns="monthly").round(3).to_csv(RESULTS / "yields.csv", index=False)
    draw(table, RESULTS / "yields.png")

    print(f"{len(table)} scenarios, each a simulated year. The best mounting of each module:")
    print(table.drop_duplicates("module")[SHOWN].round(2).to_string(index=False))
    print(f"table   {os.path.relpath(RESULTS / 'yields.csv')}")
    print(f"picture {os.path.relpath(RESULTS / 'yields.png')}")


if __name__ == "__main__":
    main()
