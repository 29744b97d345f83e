"""Units: the suffix words at the end of column names."""

import re

import pytest

from lake.models.units import KNOWN_SUFFIXES, Integral, integral_of, is_known, rate_unit, snake_case, unit_suffix


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
    ("unit", "integral", "per_hour"),
    [("w", "wh", 1), ("kw", "kwh", 1), ("ma", "mah", 1), ("kvar", "kvarh", 1), ("m3_h", "m3", 1), ("km_h", "km", 1),
     ("1", "h", 1), ("l_min", "l", 60), ("ft3_min", "ft3", 60), ("m3_s", "m3", 3600), ("kg_s", "kg", 3600),
     ("m_s", "m", 3600), ("j_s", "j", 3600), ("kib_s", "kib", 3600),
     ("degc", "degc_hours", 1), ("of_h", "of_h_hours", 1), ("of_s", "of_s_hours", 1), ("min", "min_hours", 1)],
)  # fmt: skip
def test_the_integral_over_hours(unit: str, integral: str, per_hour: float) -> None:
    """Power becomes energy and a flow its volume or mass, by minute 60 an hour and by second 3600; what has no name is
    so many hours of the unit."""
    assert integral_of(unit) == Integral(integral, per_hour)


def test_every_integral_is_of_a_known_unit_or_named_so() -> None:
    """What a known unit by time amounts to is a known unit itself, so that no suffix is cut that is none of time."""
    cut = {unit: integral_of(unit).unit for unit in KNOWN_SUFFIXES if unit.endswith(("_h", "_min", "_s"))}
    assert len(cut) > 40
    assert {unit for unit, of in cut.items() if of not in KNOWN_SUFFIXES | {"bits", "bytes"}} == set()


@pytest.mark.parametrize(
    ("unit", "rate"),
    [("kwh", "kw"), ("wh", "w"), ("mah", "ma"), ("varh", "var"), ("h", "1"), ("m3", "m3_h"), ("l", "l_h"), ("1", "1_h"),
     ("kg", "kg_h"), ("megaj", "megaj_h"), ("pulses", "pulses_h")],
)  # fmt: skip
def test_the_unit_of_a_rate_by_hour(unit: str, rate: str) -> None:
    """Energy an hour is power; what has no name of its own is the unit by hour."""
    assert rate_unit(unit) == rate
