"""Unit symbols: how units of gold's columns are shown to a person.

Belongs here: the table. Units themselves are declared in `lake.models.units`; one without a symbol is shown as it is.
"""

SYMBOLS = {
    "degc": "°C",
    "pct": "%",
    "kpa": "kPa",
    "hpa": "hPa",
    "v": "V",
    "a": "A",
    "w": "W",
    "kwh": "kWh",
    "mm_s": "mm/s",
    "m_s": "m/s",
    "1": "",
}
