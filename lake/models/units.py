"""Units: how a DTDL unit is spelt at the end of a column name.

Belongs here: the suffix word of every unit of DTDL's QuantitativeTypes, of a few more that devices use, and of units
that nobody has named before, and the units of what is made of values by time. No reading is converted: it keeps the
unit that its device measures in.
"""

import re
from dataclasses import dataclass

NO_UNIT = "1"
"""The unit of a plain number; such a column has no suffix."""

_SUFFIXES = {
    # temperature, humidity, concentration
    "degreeCelsius": "degc", "degreeFahrenheit": "degf", "kelvin": "k",
    "percent": "pct", "unity": NO_UNIT,
    "partsPerMillion": "ppm", "partsPerBillion": "ppb", "partsPerTrillion": "ppt", "partsPerQuadrillion": "ppq",
    "gramPerCubicMetre": "g_m3", "kilogramPerCubicMetre": "kg_m3",
    "milligramPerCubicMetre": "mg_m3", "microgramPerCubicMetre": "ug_m3",
    # motion and angle
    "metrePerSecondSquared": "m_s2", "centimetrePerSecondSquared": "cm_s2", "gForce": "g_force",
    "metrePerSecond": "m_s", "centimetrePerSecond": "cm_s", "millimetrePerSecond": "mm_s",
    "kilometrePerSecond": "km_s", "kilometrePerHour": "km_h", "metrePerHour": "m_h",
    "milePerHour": "mi_h", "milePerSecond": "mi_s", "knot": "kn",
    "degreeOfArc": "deg", "minuteOfArc": "arcmin", "secondOfArc": "arcsec", "radian": "rad", "turn": "turns",
    "degreePerSecond": "deg_s", "radianPerSecond": "rad_s", "radianPerSecondSquared": "rad_s2",
    "revolutionPerMinute": "rpm", "revolutionPerSecond": "rps",
    # length, area, volume, flow
    "metre": "m", "centimetre": "cm", "millimetre": "mm", "micrometre": "um", "nanometre": "nm", "kilometre": "km",
    "foot": "ft", "inch": "in", "mile": "mi", "nauticalMile": "nmi", "astronomicalUnit": "au",
    "squareMetre": "m2", "squareCentimetre": "cm2", "squareMillimetre": "mm2", "squareKilometre": "km2",
    "squareFoot": "ft2", "squareInch": "in2", "acre": "acres", "hectare": "ha",
    "cubicMetre": "m3", "cubicCentimetre": "cm3", "cubicFoot": "ft3", "cubicInch": "in3",
    "litre": "l", "millilitre": "ml", "gallon": "gal", "fluidOunce": "fl_oz",
    "cubicMetrePerHour": "m3_h", "cubicMetrePerMinute": "m3_min", "cubicMetrePerSecond": "m3_s",
    "cubicFootPerMinute": "ft3_min", "gallonPerHour": "gal_h", "gallonPerMinute": "gal_min",
    "litrePerHour": "l_h", "litrePerMinute": "l_min", "litrePerSecond": "l_s",
    "millilitrePerHour": "ml_h", "millilitrePerMinute": "ml_min", "millilitrePerSecond": "ml_s",
    # mass, force, pressure
    "gram": "g", "kilogram": "kg", "milligram": "mg", "microgram": "ug", "tonne": "t", "massPound": "lb",
    "slug": "slugs",
    "gramPerHour": "g_h", "gramPerSecond": "g_s", "kilogramPerHour": "kg_h", "kilogramPerSecond": "kg_s",
    "massPoundPerHour": "lb_h",
    "newton": "n", "newtonMetre": "nm_torque", "pound": "lbf", "ounce": "ozf", "ton": "tonf",
    "pascal": "pa", "decapascal": "dapa", "hectopascal": "hpa", "kilopascal": "kpa", "megapascal": "mpa",
    "bar": "bar", "millibar": "mbar", "poundPerSquareInch": "psi",
    "inchesOfMercury": "inhg", "inchesOfWater": "inh2o", "millimetresOfMercury": "mmhg",
    # electricity and magnetism
    "volt": "v", "millivolt": "mv", "microvolt": "uv", "kilovolt": "kv", "megavolt": "megav",
    "ampere": "a", "milliampere": "ma", "microampere": "ua", "kiloampere": "ka",
    "ohm": "ohm", "milliohm": "mohm", "kiloohm": "kohm", "megaohm": "megaohm",
    "farad": "f", "millifarad": "mf", "microfarad": "uf", "nanofarad": "nf", "picofarad": "pf",
    "henry": "h_inductance", "millihenry": "mh", "microhenry": "uh",
    "coulomb": "c_charge", "ampereHour": "ah", "milliampereHour": "mah",
    "weber": "wb", "maxwell": "mx", "tesla": "t_magnetic", "gauss": "gs",
    # power and energy
    "watt": "w", "milliwatt": "mw", "microwatt": "uw", "kilowatt": "kw", "megawatt": "megaw", "gigawatt": "gw",
    "horsepower": "hp", "tonOfRefrigeration": "tr", "wattPerSquareMetre": "w_m2", "kilowattHourPerYear": "kwh_year",
    "britishThermalUnitPerHour": "btu_h", "kiloBritishThermalUnitPerHour": "kbtu_h",
    "joulePerSecond": "j_s", "kilojoulePerSecond": "kj_s",
    "joulePerHour": "j_h", "kilojoulePerHour": "kj_h", "megajoulePerHour": "megaj_h", "gigajoulePerHour": "gj_h",
    "wattHour": "wh", "milliwattHour": "mwh", "kilowattHour": "kwh", "megawattHour": "megawh",
    "gigawattHour": "gwh", "terawattHour": "twh",
    "joule": "j", "kilojoule": "kj", "megajoule": "megaj", "gigajoule": "gj",
    "britishThermalUnit": "btu", "kiloBritishThermalUnit": "kbtu",
    "electronvolt": "ev", "megaelectronvolt": "megaev",
    "voltAmpere": "va", "millivoltAmpere": "mva", "kilovoltAmpere": "kva", "megavoltAmpere": "megava",
    "gigavoltAmpere": "gva",
    "voltAmpereHour": "vah", "kilovoltAmpereHour": "kvah", "megavoltAmpereHour": "megavah",
    "gigavoltAmpereHour": "gvah",
    "voltAmpereReactive": "var", "millivoltAmpereReactive": "mvar", "kilovoltAmpereReactive": "kvar",
    "megavoltAmpereReactive": "megavar", "gigavoltAmpereReactive": "gvar",
    "voltAmpereReactiveHour": "varh", "kilovoltAmpereReactiveHour": "kvarh",
    "megavoltAmpereReactiveHour": "megavarh", "gigavoltAmpereReactiveHour": "gvarh",
    # time and frequency
    "nanosecond": "ns", "microsecond": "us", "millisecond": "ms", "second": "s", "minute": "min", "hour": "h",
    "day": "d", "year": "years",
    "hertz": "hz", "millihertz": "mhz", "kilohertz": "khz", "megahertz": "megahz", "gigahertz": "ghz",
    # light, sound, radiation
    "lux": "lx", "footcandle": "fc", "candela": "cd", "lumen": "lm", "candelaPerSquareMetre": "cd_m2",
    "bel": "bel", "decibel": "db", "decibelMilliwatt": "dbm",
    "becquerel": "bq", "kilobecquerel": "kbq", "megabecquerel": "megabq", "gigabecquerel": "gbq",
    "gray": "gy", "milligray": "mgy", "microgray": "ugy", "sievert": "sv", "millisievert": "msv",
    "microsievert": "usv",
    # data
    "bit": "bits", "byte": "bytes",
    **{f"{word}bit": f"{letter}ibit" for word, letter in
       (("kibi", "k"), ("mebi", "m"), ("gibi", "g"), ("tebi", "t"), ("exbi", "e"), ("zebi", "z"), ("yobi", "y"))},
    **{f"{word}byte": f"{letter}ib" for word, letter in
       (("kibi", "k"), ("mebi", "m"), ("gibi", "g"), ("tebi", "t"), ("exbi", "e"), ("zebi", "z"), ("yobi", "y"))},
    "bitPerSecond": "bits_s", "bytePerSecond": "bytes_s",
    **{f"{word}bitPerSecond": f"{letter}ibit_s" for word, letter in
       (("kibi", "k"), ("mebi", "m"), ("gibi", "g"), ("tebi", "t"), ("exbi", "e"), ("zebi", "z"), ("yobi", "y"))},
    **{f"{word}bytePerSecond": f"{letter}ib_s" for word, letter in
       (("kibi", "k"), ("mebi", "m"), ("gibi", "g"), ("tebi", "t"), ("exbi", "e"), ("zebi", "z"), ("yobi", "y"))},
}  # fmt: skip

_SUFFIXES_BY_LOWER_NAME = {name.lower(): suffix for name, suffix in _SUFFIXES.items()}

DTDL_UNITS = frozenset(_SUFFIXES)
"""The names of the units that have a suffix word here, in their very case."""

KNOWN_SUFFIXES = frozenset(_SUFFIXES.values()) - {NO_UNIT}
"""Every suffix word that a known unit has."""


_INTEGRALS = {
    **{f"{scale}{power}": f"{scale}{power}h" for power in ("w", "va", "var", "a")
       for scale in ("", "u", "m", "k", "mega", "g")},
    NO_UNIT: "h", "w_m2": "wh_m2",
}  # fmt: skip
_RATES = {integral: suffix for suffix, integral in _INTEGRALS.items()}
_BY_TIME = {"h": 1.0, "min": 60.0, "s": 3600.0}


@dataclass(frozen=True)
class Integral:
    """What a value amounts to over time: in an hour to `per_hour` of `unit`, a suffix word, where it is 1."""

    unit: str
    per_hour: float


def integral_of(suffix: str) -> Integral:
    """The integral of what is measured in `suffix`: of `kw` `kwh`, and of a flow its volume or mass, whatever the time
    it is by: of `l_min` 60 `l` an hour, of `kg_s` 3600 `kg`.

    One without a name of its own is the unit with `_hours`: `degc` -> `degc_hours`.
    """
    if suffix in _INTEGRALS:
        return Integral(_INTEGRALS[suffix], 1.0)
    of, _, time = suffix.rpartition("_")
    if of and suffix in KNOWN_SUFFIXES and time in _BY_TIME:
        return Integral(of, _BY_TIME[time])
    return Integral(f"{suffix}_hours", 1.0)


def rate_unit(suffix: str) -> str:
    """The unit, as a suffix word, of what grows by `suffix` in an hour: `kwh` -> `kw`, `m3` -> `m3_h`."""
    return _RATES.get(suffix, f"{suffix}_h")


def is_known(unit: str) -> bool:
    """True when `unit` is the name or DTMI of a unit whose suffix is declared here, or such a suffix, in any case."""
    name = _short_name(unit).lower()
    return name in _SUFFIXES_BY_LOWER_NAME or name in KNOWN_SUFFIXES


def unit_suffix(unit: str | None) -> str:
    """The suffix word of a DTDL unit, without underscore: `degreeCelsius` -> `degc`; "1" for none.

    A unit that is not known becomes a slug of its own name: `stepsPerMile` -> `steps_per_mile`.
    """
    if not unit:
        return NO_UNIT
    name = _short_name(unit)
    if is_known(unit):
        return _SUFFIXES_BY_LOWER_NAME.get(name.lower(), name.lower())
    return snake_case(name) or NO_UNIT


def snake_case(name: str) -> str:
    """`TemperatureController` -> `temperature_controller`, `CO2Level` -> `co2_level`; only a-z, 0-9 and single _."""
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name))
    return re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")


def _short_name(unit: str) -> str:
    """`dtmi:standard:unit:degreeCelsius;2` -> `degreeCelsius`."""
    return unit.removeprefix("dtmi:").split(";")[0].split(":")[-1] if unit.startswith("dtmi:") else unit
