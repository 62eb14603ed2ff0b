"""The picture: where the yield is, by compass direction and tilt, technology and month."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.interpolate import RectBivariateSpline
from yields import load_site

INK, FAINT = "#22303c", "#8797a5"
BLUE, VIOLET, ORANGE, RED = "#1b6ca8", "#7b5ea7", "#e08e2b", "#c8453a"
STYLE = {
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "legend.fontsize": 9,
}


def draw(table: pd.DataFrame, path: Path) -> None:
    """Draw the yields of all scenarios.

    Args:
        table: A row for each scenario, best first, with the columns that `yields.simulate` gives.
        path: The PNG to write.
    """
    site = load_site()
    place = f"{site.name}, {site.latitude:.1f}° N"
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(13, 7), dpi=150)
        grid = figure.add_gridspec(
            2, 2, width_ratios=(1.2, 1), wspace=0.16, hspace=0.5,
            left=0.03, right=0.975, top=0.81, bottom=0.08,
        )  # fmt: skip
        title = "What a photovoltaic module yields in a typical year"
        detail = f"{place} · {len(table)} simulated years, hour by hour"
        figure.text(0.03, 0.94, title, size=18, weight="bold")
        figure.text(0.03, 0.9, detail, size=11, color=FAINT)
        draw_compass(figure.add_subplot(grid[:, 0], projection="polar"), table)
        draw_technologies(figure.add_subplot(grid[0, 1]), table, site.latitude)
        draw_months(figure.add_subplot(grid[1, 1]), table)
        figure.savefig(path)


def draw_compass(axes: Axes, table: pd.DataFrame) -> None:
    """Draw the best module's yield over direction (angle) and tilt (radius); a dot is a scenario."""
    best = table.iloc[0]
    rows = table[table.module == best.module]
    known = rows.pivot(index="tilt", columns="azimuth", values="specific_yield")
    around = pd.concat([known, known, known], axis=1).to_numpy()  # once too far each way
    azimuths = np.concatenate([known.columns + turn for turn in (-360, 0, 360)])
    surface = RectBivariateSpline(known.index, azimuths, around)
    tilts, angles = np.linspace(0, 90, 91), np.linspace(0, 360, 361)

    axes.set_theta_zero_location("N")
    axes.set_theta_direction(-1)
    low, high = np.floor(rows.specific_yield.min() / 100), np.ceil(rows.specific_yield.max() / 100)
    levels = np.arange(low * 100, high * 100 + 1, 25)
    filled = axes.contourf(
        np.radians(angles), tilts, surface(tilts, angles), levels=levels, cmap="inferno"
    )
    axes.plot(np.radians(rows.azimuth), rows.tilt, ".", ms=2, color="white", alpha=0.55)
    axes.plot(np.radians(best.azimuth), best.tilt, "*", ms=18, mfc="white", mec=INK, mew=1.2)
    axes.annotate(
        f"{best.specific_yield:,.0f} kWh/kWp\nat {best.tilt:.0f}° tilt",
        (np.radians(best.azimuth), best.tilt), xytext=(12, -6), textcoords="offset points",
        va="top", weight="bold",
    )  # fmt: skip
    axes.set_xticks(
        np.radians(range(0, 360, 45)), ["N", "NE", "E", "SE", "S", "SW", "W", "NW"], size=12
    )
    axes.set_yticks([30, 60], ["30°", "60°"], color="white", size=9)
    axes.set_rlabel_position(349)
    axes.set_axisbelow(False)
    axes.grid(color="white", linewidth=0.6)
    axes.spines["polar"].set_visible(False)
    axes.set_title(f"By direction and tilt ({best.module})", pad=12, loc="center")
    bar = axes.figure.colorbar(
        filled, ax=axes, shrink=0.62, pad=0.08, ticks=levels[::-8], format="{x:,.0f}"
    )
    bar.set_label("kWh of AC per kWp and year")
    bar.outline.set_visible(False)


def draw_technologies(axes: Axes, table: pd.DataFrame, latitude: float) -> None:
    """Draw the yield over tilt for modules that face south, one line for each technology."""
    south = table[table.azimuth == 180]
    for module, colour in zip(table.module.unique(), (BLUE, VIOLET, ORANGE, RED), strict=True):
        rows = south[south.module == module].sort_values("tilt")
        axes.plot(rows.tilt, rows.specific_yield, "o-", ms=3.5, color=colour, label=module)
    axes.axvline(latitude, color=FAINT, linestyle=":")
    axes.text(latitude + 1, axes.get_ylim()[0] + 15, "latitude", size=9, color=FAINT)
    axes.set(
        title="Facing south, by technology", xlabel="tilt (degrees)", ylabel="kWh/kWp and year"
    )
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.grid(axis="y")
    axes.legend(ncols=2, loc="lower left")


def draw_months(axes: Axes, table: pd.DataFrame) -> None:
    """Draw the monthly yield of the best mounting, of a flat roof and of a south façade."""
    best = table.iloc[0]
    south = table[(table.module == best.module) & (table.azimuth == 180)].set_index("tilt")
    bars = (
        (f"best, {best.tilt:.0f}° tilt", best.monthly, ORANGE),
        ("flat roof", south.monthly[0], BLUE),
        ("south façade", south.monthly[90], VIOLET),
    )
    months = np.arange(12)
    for shift, (label, monthly, colour) in zip((-0.27, 0, 0.27), bars, strict=True):
        axes.bar(months + shift, monthly, width=0.25, color=colour, label=label)
    axes.set(title=f"By month ({best.module})", ylabel="kWh/kWp and month")
    axes.set_xticks(months, "JFMAMJJASOND")
    axes.tick_params(axis="x", length=0)
    axes.margins(y=0.25)
    axes.grid(axis="y")
    axes.legend(ncols=3, loc="upper left", borderaxespad=0.1)
