"""Units of SenML: the same as the model's, or another."""

import pytest

from lake.models.senml_units import is_other_unit
from lake.models.units import unit_suffix


@pytest.mark.parametrize(
    ("symbol", "unit"),
    [
        ("Cel", "degreeCelsius"), ("K", "kelvin"), ("%RH", "percent"), ("/100", "percent"), ("hPa", "hectopascal"),
        ("hPa", "millibar"), ("W", "watt"), ("kW", "kilowatt"), ("lat", "degreeOfArc"), ("MW", "megawatt"),
        ("degreeCelsius", "degreeCelsius"), ("degC", "degreeCelsius"), ("kPa", "kilopascal"), ("MPa", "megapascal"),
        ("m3/s", "cubicMetrePerSecond"), ("anything", None), ("anything", "stepsPerMile"),
        ("psi", "poundPerSquareInch"), ("?", "poundPerSquareInch"),
    ],
)  # fmt: skip
def test_senml_may_name_the_unit_of_a_model(symbol: str, unit: str | None) -> None:
    """By its registries, by its DTDL name or its suffix word; where SenML has no name for it, by one of its own."""
    assert not is_other_unit(symbol, unit_suffix(unit))


@pytest.mark.parametrize(
    ("symbol", "unit"),
    [
        ("K", "degreeCelsius"), ("Cel", "kelvin"), ("Cel", "degreeFahrenheit"), ("degF", "degreeCelsius"),
        ("C", "degreeCelsius"), ("%", "percent"), ("/", "percent"), ("Pa", "hectopascal"), ("W", "kilowatt"),
        ("MW", "milliwatt"), ("kw", "watt"), ("degreeFahrenheit", "degreeCelsius"), ("psi", "bar"), ("mbar", "bar"),
        ("s", "millisecond"), ("Cel", "stepsPerMile"), ("MPa", "kilopascal"), ("?", "degreeCelsius"),
    ],
)  # fmt: skip
def test_senml_may_name_another_unit_than_the_model(symbol: str, unit: str) -> None:
    """The case of a symbol counts, and a name that nobody knows is none of the units that SenML knows."""
    assert is_other_unit(symbol, unit_suffix(unit))
