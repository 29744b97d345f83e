"""Units: the suffix words at the end of column names."""

import re

import pytest

from lake.models.units import KNOWN_SUFFIXES, integral_unit, is_known, snake_case, unit_suffix


@pytest.mark.parametrize(
    ("unit", "suffix"),
    [
        ("degreeCelsius", "degc"),
        ("percent", "pct"),
        ("hectopascal", "hpa"),
        ("kilopascal", "kpa"),
        ("volt", "v"),
        ("ampere", "a"),
        ("watt", "w"),
        ("kilowattHour", "kwh"),
        ("millimetrePerSecond", "mm_s"),
        ("metrePerSecond", "m_s"),
        ("millisecond", "ms"),
        ("second", "s"),
        ("byte", "bytes"),
    ],
)
def test_units_of_the_grammar_of_names(unit: str, suffix: str) -> None:
    """Every unit suffix that DESIGN names comes from its DTDL unit."""
    assert unit_suffix(unit) == suffix


def test_a_unit_may_be_named_by_its_dtmi() -> None:
    """DTDL v2 and the QuantitativeTypes extension write the same unit as different DTMIs."""
    assert unit_suffix("dtmi:standard:unit:degreeCelsius;2") == "degc"
    assert unit_suffix("dtmi:dtdl:extension:quantitativeTypes:v1:unit:degreeCelsius") == "degc"
    assert is_known("dtmi:standard:unit:degreeCelsius;2")


def test_a_plain_number_has_the_unit_1() -> None:
    """No unit and DTDL's `unity` both leave a column without suffix."""
    assert unit_suffix(None) == unit_suffix("") == unit_suffix("unity") == "1"


def test_an_unknown_unit_becomes_a_slug() -> None:
    """A unit that nobody declared still gives a SQL-safe suffix, and is told apart from known ones."""
    assert unit_suffix("stepsPerMile") == "steps_per_mile"
    assert unit_suffix("Degrees C") == "degrees_c"
    assert not is_known("stepsPerMile")


def test_abbreviations_that_devices_write_are_the_known_unit() -> None:
    """`hPa` and `Lux` are not unknown units only because of their case."""
    assert unit_suffix("hPa") == "hpa"
    assert unit_suffix("Lux") == "lx"
    assert is_known("hPa")


def test_two_units_never_share_a_suffix() -> None:
    """A suffix tells the unit: milli and mega, to name the classic pair, differ."""
    units = ["milliwatt", "megawatt", "millivolt", "megavolt", "millihertz", "megahertz", "farad", "degreeFahrenheit"]
    assert len({unit_suffix(unit) for unit in units}) == len(units)


def test_every_suffix_is_sql_safe() -> None:
    """A suffix is lower-case words joined by single underscores."""
    assert len(KNOWN_SUFFIXES) > 200
    assert [suffix for suffix in KNOWN_SUFFIXES if not re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", suffix)] == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("TemperatureController", "temperature_controller"),
        ("workingSet", "working_set"),
        ("CO2Level", "co2_level"),
        ("RSSI", "rssi"),
        ("rawADCValue", "raw_adc_value"),
        ("already_snake", "already_snake"),
        ("Mixed_Case__x", "mixed_case_x"),
    ],
)
def test_snake_case(name: str, expected: str) -> None:
    """Camel case, acronyms and digits split into words as a reader would."""
    assert snake_case(name) == expected


@pytest.mark.parametrize(
    ("unit", "integral"),
    [("w", "wh"), ("kw", "kwh"), ("ma", "mah"), ("kvar", "kvarh"), ("m3_h", "m3"), ("km_h", "km"), ("1", "h"),
     ("degc", "degc_hours"), ("m3_s", "m3_s_hours"), ("of_h", "of_h_hours")],
)  # fmt: skip
def test_the_unit_of_an_integral_over_hours(unit: str, integral: str) -> None:
    """Power becomes energy and a flow an hour its volume; what has no name is so many hours of the unit."""
    assert integral_unit(unit) == integral
