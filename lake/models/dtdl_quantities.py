"""Quantities that DTDL knows, and the units of each.

Belongs here: the types of the extension QuantitativeTypes, which version 2 of the language has built in, with the
units that each takes. How a unit is spelt in the name of a column is in `units`.
"""

from collections.abc import Mapping

_PREFIXES = ("kibi", "mebi", "gibi", "tebi", "exbi", "zebi", "yobi")


def _binary(unit: str, rest: str = "") -> str:
    return " ".join(f"{prefix}{unit}{rest}" for prefix in _PREFIXES)


_ENERGY_RATES = (
    "watt microwatt milliwatt kilowatt megawatt gigawatt horsepower kilowattHourPerYear joulePerSecond joulePerHour "
    "kilojoulePerSecond kilojoulePerHour megajoulePerHour gigajoulePerHour "
    "britishThermalUnitPerHour kiloBritishThermalUnitPerHour"
)

_UNITS_1 = {
    "AccelerationUnit": "metrePerSecondSquared centimetrePerSecondSquared gForce",
    "AngleUnit": "radian degreeOfArc minuteOfArc secondOfArc turn",
    "AngularAccelerationUnit": "radianPerSecondSquared",
    "AngularVelocityUnit": "radianPerSecond degreePerSecond revolutionPerSecond revolutionPerMinute",
    "AreaUnit": "squareMetre squareCentimetre squareMillimetre squareKilometre hectare squareFoot squareInch acre",
    "CapacitanceUnit": "farad millifarad microfarad nanofarad picofarad",
    "ChargeUnit": "coulomb",
    "CurrentUnit": "ampere microampere milliampere",
    "DataRateUnit": f"bitPerSecond bytePerSecond {_binary('bit', 'PerSecond')} {_binary('byte', 'PerSecond')}",
    "DataSizeUnit": f"bit byte {_binary('bit')} {_binary('byte')}",
    "DensityUnit": "kilogramPerCubicMetre gramPerCubicMetre",
    "EnergyRateUnit": _ENERGY_RATES,
    "EnergyUnit": "joule kilojoule megajoule gigajoule electronvolt megaelectronvolt kilowattHour",
    "ForceUnit": "newton pound ounce ton",
    "FrequencyUnit": "hertz kilohertz megahertz gigahertz",
    "IlluminanceUnit": "lux footcandle",
    "InductanceUnit": "henry millihenry microhenry",
    "LengthUnit": "metre centimetre millimetre micrometre nanometre kilometre foot inch mile nauticalMile "
                  "astronomicalUnit",
    "LuminanceUnit": "candelaPerSquareMetre",
    "LuminousFluxUnit": "lumen",
    "LuminousIntensityUnit": "candela",
    "MagneticFluxUnit": "weber maxwell",
    "MagneticInductionUnit": "tesla",
    "MassFlowRateUnit": "gramPerSecond kilogramPerSecond gramPerHour kilogramPerHour",
    "MassUnit": "kilogram gram milligram microgram tonne slug",
    "PowerUnit": _ENERGY_RATES,
    "PressureUnit": "pascal kilopascal bar millibar millimetresOfMercury poundPerSquareInch inchesOfMercury "
                    "inchesOfWater",
    "ResistanceUnit": "ohm milliohm kiloohm megaohm",
    "SoundPressureUnit": "decibel bel",
    "TemperatureUnit": "kelvin degreeCelsius degreeFahrenheit",
    "TimeUnit": "second millisecond microsecond nanosecond minute hour day year",
    "TorqueUnit": "newtonMetre",
    "UnitlessUnit": "unity percent",
    "VelocityUnit": "metrePerSecond centimetrePerSecond kilometrePerSecond metrePerHour kilometrePerHour milePerHour "
                    "milePerSecond knot",
    "VoltageUnit": "volt millivolt microvolt kilovolt megavolt",
    "VolumeFlowRateUnit": "litrePerSecond millilitrePerSecond litrePerHour millilitrePerHour",
    "VolumeUnit": "cubicMetre cubicCentimetre litre millilitre cubicFoot cubicInch fluidOunce gallon",
}  # fmt: skip

# what version 2 of the extension has more
_UNITS_2 = {
    "ApparentEnergyUnit": "voltAmpereHour kilovoltAmpereHour megavoltAmpereHour gigavoltAmpereHour",
    "ApparentPowerUnit": "voltAmpere millivoltAmpere kilovoltAmpere megavoltAmpere gigavoltAmpere",
    "ChargeUnit": "ampereHour milliampereHour",
    "ConcentrationUnit": "partsPerMillion partsPerBillion partsPerTrillion partsPerQuadrillion",
    "CurrentUnit": "kiloampere",
    "DensityUnit": "milligramPerCubicMetre microgramPerCubicMetre",
    "EnergyUnit": "wattHour milliwattHour megawattHour gigawattHour terawattHour britishThermalUnit "
                  "kiloBritishThermalUnit",
    "FrequencyUnit": "millihertz",
    "IonizingRadiationDoseUnit": "gray milligray microgray sievert millisievert microsievert",
    "IrradianceUnit": "wattPerSquareMetre",
    "MagneticInductionUnit": "gauss",
    "MassFlowRateUnit": "massPoundPerHour",
    "MassUnit": "massPound",
    "PowerUnit": "tonOfRefrigeration",
    "PressureUnit": "decapascal hectopascal megapascal",
    "RadioactivityUnit": "becquerel kilobecquerel megabecquerel gigabecquerel",
    "ReactiveEnergyUnit": "voltAmpereReactiveHour kilovoltAmpereReactiveHour megavoltAmpereReactiveHour "
                          "gigavoltAmpereReactiveHour",
    "ReactivePowerUnit": "voltAmpereReactive millivoltAmpereReactive kilovoltAmpereReactive megavoltAmpereReactive "
                         "gigavoltAmpereReactive",
    "VelocityUnit": "millimetrePerSecond",
    "VolumeFlowRateUnit": "cubicMetrePerHour cubicMetrePerMinute cubicMetrePerSecond cubicFootPerMinute gallonPerHour "
                          "gallonPerMinute litrePerMinute",
}  # fmt: skip

# a quantity whose units are called otherwise; of any other X they are XUnit
_OTHERWISE = {
    "Distance": "LengthUnit", "ElectricCharge": "ChargeUnit", "Humidity": "DensityUnit", "Latitude": "AngleUnit",
    "Longitude": "AngleUnit", "Luminosity": "PowerUnit", "RelativeHumidity": "UnitlessUnit", "Thrust": "ForceUnit",
    "TimeSpan": "TimeUnit",
}  # fmt: skip
_OTHERWISE_2 = {"Concentration": "UnitlessUnit", "RelativeDensity": "UnitlessUnit", "Efficiency": "UnitlessUnit"}
_NO_QUANTITY = ("ChargeUnit", "TimeUnit", "UnitlessUnit", "ConcentrationUnit")


def units(version: int) -> Mapping[str, tuple[str, ...]]:
    """Names of units by family, of a version of the extension."""
    found = {family: tuple(names.split()) for family, names in _UNITS_1.items()}
    for family, names in _UNITS_2.items() if version >= 2 else ():
        found[family] = (*found.get(family, ()), *names.split())
    if version >= 2:
        found["UnitlessUnit"] += found.pop("ConcentrationUnit")
    return found


def quantities(version: int) -> Mapping[str, str]:
    """The family of units of each quantity, of a version of the extension."""
    own = {family.removesuffix("Unit"): family for family in units(version) if family not in _NO_QUANTITY}
    return {**own, **_OTHERWISE, **(_OTHERWISE_2 if version >= 2 else {})}
