"""Units of SenML: whether one names the unit of a telemetry.

Belongs here: the symbols of SenML's registries and the suffix words that they stand for. The words are in `units`.
"""

from lake.models.units import DTDL_UNITS, KNOWN_SUFFIXES, NO_UNIT, unit_suffix

# symbols of SenML's registries of units and secondary units (RFC 8428, section 12.1; RFC 8798) whose unit has a suffix
# word, with each word of the same size; those below with another name than the word
_SYMBOLS = {
    "A": "a", "Ah": "ah", "B": "bytes", "B/s": "bytes_s", "Bq": "bq", "Bspl": "bel", "C": "c_charge", "Cel": "degc",
    "EL": "s", "F": "f", "Gy": "gy", "H": "h_inductance", "Hz": "hz", "J": "j", "K": "k", "KiB": "kib", "MHz": "megahz",
    "N": "n", "Ohm": "ohm", "Pa": "pa", "Sv": "sv", "T": "t_magnetic", "V": "v", "VA": "va", "VAh": "vah",
    "W": "w j_s", "W/m2": "w_m2", "Wb": "wb", "Wh": "wh", "bit": "bits", "bit/s": "bits_s", "cd/m2": "cd_m2",
    "dB": "db", "dBm": "dbm", "g/l": "kg_m3", "hPa": "hpa mbar", "kVA": "kva", "kVAh": "kvah", "kW": "kw kj_s",
    "kWh": "kwh", "kg/m3": "kg_m3", "km/h": "km_h", "l/s": "l_s", "lat": "deg", "lon": "deg", "m/h": "m_h",
    "m/s": "m_s", "m/s2": "m_s2", "m3/s": "m3_s", "mA": "ma", "mV": "mv", "mg/l": "g_m3", "ug/l": "mg_m3",
    "ug/m3": "ug_m3",
    "%EL": "pct", "%RH": "pct", "/100": "pct", "/": NO_UNIT, "%": NO_UNIT, "count": NO_UNIT, "beats": NO_UNIT,
    "1/min": "rpm", "1/s": "rps hz",
    **{word: word for word in ("cd", "cm", "deg", "g", "h", "kg", "km", "kvar", "kvarh", "l", "lm", "lx", "m", "m2",
                               "m3", "min", "mm", "ms", "ppb", "ppm", "ppt", "rad", "s", "var", "varh")},
}  # fmt: skip
_NAMED = frozenset(word for words in _SYMBOLS.values() for word in words.split())


def is_other_unit(symbol: str, suffix: str) -> bool:
    """True when a unit as SenML writes it is another one than that of a suffix word.

    SenML's symbols are told by their case, and its `%` is a ratio up to 1 (RFC 8428, section 12.1, note 2). What is not
    in its registries may be a DTDL unit or a suffix word (`degreeCelsius`, `kPa`); else it is another unit than each
    that SenML has a symbol for. A plain number may have any.
    """
    if suffix == NO_UNIT:
        return False
    if symbol in _SYMBOLS:
        return suffix not in _SYMBOLS[symbol].split()
    word = unit_suffix(symbol) if symbol in DTDL_UNITS else _as_suffix(symbol)
    return word != suffix and (suffix in _NAMED or word in KNOWN_SUFFIXES)


def _as_suffix(symbol: str) -> str:
    """`kPa` -> `kpa`; M is mega, and m milli, wherever there is a word for both: `MW` -> `megaw`."""
    mega = f"mega{symbol[1:].lower()}"
    return mega if symbol.startswith("M") and mega in KNOWN_SUFFIXES else symbol.lower()
