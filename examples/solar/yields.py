"""The physics: what one photovoltaic module yields in a typical year.

Weather and module data ship inside the pvlib package: the NREL TMY3 file of Greensboro, North Carolina (hourly
typical-year irradiance, temperature, wind and water vapour), and the CEC module library of the System
Advisor Model. Nothing is downloaded.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pvlib

#: Module technologies: short name to (name in the CEC library, technology for the spectral model).
MODULES = {
    "mono-Si": ("LG_Electronics_Inc__LG320N1C_G4", "monosi"),
    "multi-Si": ("Canadian_Solar_Inc__CS6K_275P", "multisi"),
    "CdTe": ("First_Solar__Inc__FS_6420A", "cdte"),
    "CIGS": ("Solar_Frontier_SF175_S", "cigs"),
}
SITE = "Greensboro, North Carolina"
WEATHER_FILE = "723170TYA.CSV"


@dataclass(frozen=True)
class Scenario:
    """One way to mount one kind of module.

    Attributes:
        module: A key of `MODULES`.
        tilt: Degrees from horizontal.
        azimuth: Degrees clockwise from north; 180 faces south.
    """

    module: str
    tilt: float
    azimuth: float


@dataclass(frozen=True)
class Site:
    """A typical year at one place, hours with daylight only.

    Attributes:
        name: For people.
        latitude: Degrees north.
        weather: Irradiance (W/m2), temp_air (C), wind_speed (m/s), precipitable_water (cm), albedo.
        sun: Apparent zenith and azimuth (degrees) at the middle of each hour.
        airmass: Absolute air mass.
    """

    name: str
    latitude: float
    weather: pd.DataFrame
    sun: pd.DataFrame
    airmass: pd.Series


@functools.cache
def load_site() -> Site:
    """Read the weather and compute the sun's path, once in each worker process."""
    path = Path(pvlib.__file__).parent / "data" / WEATHER_FILE
    weather, meta = pvlib.iotools.read_tmy3(path, coerce_year=1990, map_variables=True)
    # A TMY3 row holds the hour that ends at its time stamp, so the sun is taken half an hour earlier.
    weather.index -= pd.Timedelta("30min")
    place = pvlib.location.Location(meta["latitude"], meta["longitude"], altitude=meta["altitude"])
    sun = place.get_solarposition(weather.index, temperature=weather["temp_air"])
    day = (weather["ghi"] > 0) & (sun["apparent_zenith"] < 90)
    weather, sun = weather[day], sun[day]
    airmass = pvlib.atmosphere.get_absolute_airmass(
        pvlib.atmosphere.get_relative_airmass(sun["apparent_zenith"]), weather["pressure"] * 100
    )
    return Site(SITE, place.latitude, weather, sun, airmass)


@functools.cache
def load_module(name: str) -> pd.Series:
    """Return the CEC parameters of a module."""
    return pvlib.pvsystem.retrieve_sam("CECMod")[MODULES[name][0]]


def simulate(scenario: Scenario) -> dict[str, object]:
    """Simulate one year, hour by hour, and return its yield.

    Transposition by Perez, reflection by Fresnel's law, spectrum by First Solar's model, cell temperature
    by SAM's NOCT model, the single-diode equation at its maximum power point, PVWatts losses and inverter.

    Args:
        scenario: What is mounted, and how.

    Returns:
        The scenario, and for the year: plane-of-array irradiance ``poa`` (kWh/m2), ``specific_yield`` (kWh of
        AC per kWp), ``energy`` (kWh of AC per module), ``performance_ratio``, ``cell_temperature`` (C, weighted
        by irradiance), and the twelve ``monthly`` specific yields.
    """
    site, module = load_site(), load_module(scenario.module)
    weather, sun = site.weather, site.sun

    plane = pvlib.irradiance.get_total_irradiance(
        scenario.tilt,
        scenario.azimuth,
        sun["apparent_zenith"],
        sun["azimuth"],
        weather["dni"],
        weather["ghi"],
        weather["dhi"],
        dni_extra=weather["dni_extra"],
        airmass=pvlib.atmosphere.get_relative_airmass(sun["apparent_zenith"]),
        albedo=weather["albedo"],
        model="perez",
    ).fillna(0)
    incidence = pvlib.irradiance.aoi(
        scenario.tilt, scenario.azimuth, sun["apparent_zenith"], sun["azimuth"]
    )
    diffuse = pvlib.iam.marion_diffuse("physical", scenario.tilt)
    spectrum = pvlib.spectrum.spectral_factor_firstsolar(
        weather["precipitable_water"], site.airmass, module_type=MODULES[scenario.module][1]
    )
    effective = spectrum * (
        plane["poa_direct"] * pvlib.iam.physical(incidence)
        + plane["poa_sky_diffuse"] * diffuse["sky"]
        + plane["poa_ground_diffuse"] * np.nan_to_num(diffuse["ground"])
    )

    cell = pvlib.temperature.noct_sam(
        plane["poa_global"],
        weather["temp_air"],
        weather["wind_speed"],
        noct=module["T_NOCT"],
        module_efficiency=module["STC"] / module["A_c"] / 1000,
    )
    diode = pvlib.pvsystem.calcparams_cec(
        effective,
        cell,
        module["alpha_sc"],
        module["a_ref"],
        module["I_L_ref"],
        module["I_o_ref"],
        module["R_sh_ref"],
        module["R_s"],
        module["Adjust"],
    )
    power = pvlib.pvsystem.max_power_point(*diode, method="newton")["p_mp"].fillna(0)
    dc = power * (1 - pvlib.pvsystem.pvwatts_losses() / 100)
    ac = pvlib.inverter.pvwatts(dc, pdc0=module["STC"]).clip(lower=0)

    watts_peak = module["STC"]
    monthly = ac.groupby(ac.index.month).sum() / watts_peak
    poa = plane["poa_global"].sum() / 1000
    specific_yield = ac.sum() / watts_peak
    return {
        "module": scenario.module,
        "tilt": scenario.tilt,
        "azimuth": scenario.azimuth,
        "poa": float(poa),
        "specific_yield": float(specific_yield),
        "energy": float(ac.sum() / 1000),
        "performance_ratio": float(specific_yield / poa),
        "cell_temperature": float(np.average(cell, weights=plane["poa_global"])),
        "monthly": [float(value) for value in monthly],
    }
