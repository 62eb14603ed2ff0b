"""Sizes, CPUs and durations are read as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalable_core.types.units import (
    GIB,
    MIB,
    format_duration,
    format_size,
    parse_cpus,
    parse_duration,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("16G", 16 * GIB),
        ("16GB", 16 * GIB),
        ("16GiB", 16 * GIB),
        ("16 g", 16 * GIB),
        ("512M", 512 * MIB),
        ("1.5TiB", int(1.5 * 1024 * GIB)),
        ("100 B", 100),
        (0, 0),
    ],
)
def test_sizes_are_read_as_people_write_them(text: object, size: int) -> None:
    """Suffixes are powers of 1024 however they are spelled."""
    assert parse_size(text) == size


def test_a_bare_size_is_in_the_units_of_the_service() -> None:
    """On Fargate and Cloud Run 16384 means 16 GiB."""
    assert parse_size(16384, unit=MIB) == 16 * GIB
    assert parse_size("16384", unit=MIB) == 16 * GIB


def test_a_bare_size_without_a_unit_is_refused_with_the_cure() -> None:
    """``memory: 16`` is more often a slip than 16 bytes."""
    with pytest.raises(ValueError, match="no unit; write for example 16G"):
        parse_size(16)


@pytest.mark.parametrize(
    "value",
    ["", "G", "-1G", "1.2.3G", "16X", "1e400G", None, True, [], float("nan"), -4, "99999999P"],
)
def test_what_is_no_size_is_refused(value: object) -> None:
    """Every slip is a ValueError that names the value."""
    with pytest.raises(ValueError, match=r"size|unit"):
        parse_size(value, unit=1)


@pytest.mark.parametrize(
    ("value", "unit", "cpus"),
    [(4, 1, 4), ("4", 1, 4), ("500m", 1, 0.5), (4096, 1 / 1024, 4), ("4 vCPU", 1 / 1024, 4)],
)
def test_cpus_are_read_in_vcpu(value: object, unit: float, cpus: float) -> None:
    """A suffix wins over the service's own unit."""
    assert parse_cpus(value, unit=unit) == cpus


@pytest.mark.parametrize("value", ["four", "-1", -1, None, True, float("inf")])
def test_what_is_no_number_of_cpus_is_refused(value: object) -> None:
    """Every slip is a ValueError that says so."""
    with pytest.raises(ValueError, match="CPUs"):
        parse_cpus(value)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("90s", 90), ("1h30m", 5400), ("2 h", 7200), (30, 30), ("500ms", 0.5), ("45", 45)],
)
def test_durations_are_read_in_seconds(value: object, seconds: float) -> None:
    """A bare number is in seconds."""
    assert parse_duration(value) == seconds


@pytest.mark.parametrize("value", ["soon", "1x", "-5s", -1, None, False, "h", "1h 2"])
def test_what_is_no_duration_is_refused(value: object) -> None:
    """Every slip is a ValueError that says so."""
    with pytest.raises(ValueError, match="duration"):
        parse_duration(value)


@given(st.integers(min_value=0, max_value=2**60))
def test_a_formatted_size_reads_back_within_a_thousandth(size: int) -> None:
    """What is shown to people is near what is meant."""
    assert parse_size(format_size(size)) == pytest.approx(size, rel=1e-3)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.84, "0.8s"), (45, "45s"), (892, "14m52s"), (3960, "1h06m"), (183600, "2d03h")],
)
def test_durations_are_shown_in_two_units_at_most(seconds: float, text: str) -> None:
    """People read minutes and seconds, not 892.0."""
    assert format_duration(seconds) == text
