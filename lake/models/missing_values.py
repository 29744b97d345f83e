"""Missing values: which numbers mean that there is none, given those that a quality file lists.

Belongs here: that a number is the same one once it has been a single float. A device that computes in single floats
sends its -999.9 as -999.9000244140625, and a program that has read it into a double writes it so. What is done with
such a value belongs to the callers.
"""

import math
import struct
from collections.abc import Iterable

# whole numbers that a double counts in are exact, and their neighbours are other numbers: 16777217 is not 16777216
_COUNTED = 2.0**53
_SMALLEST_NORMAL = 2.0**-126


def means_none(value: float | str, missing: Iterable[float | str], type_: str) -> bool:
    """True where a value of a telemetry of this type is one of those that mean there is none."""
    if value in missing:
        return True
    if isinstance(value, str) or type_ != "double":
        return False
    single = nearest_single(value)
    return single is not None and single in singles(missing)


def singles(missing: Iterable[float | str]) -> list[float]:
    """What the missing numbers are once they have been single floats; only of those that may have been changed."""
    return [
        single for each in missing for single in [None if isinstance(each, str) else nearest_single(each)]
        if single is not None
    ]  # fmt: skip


def nearest_single(number: float) -> float | None:
    """The nearest single float; None for a whole number that is exact in a double, and outside of single floats."""
    try:
        double = float(number)
        if double.is_integer() and abs(double) < _COUNTED:
            return None
        (single,) = struct.unpack("f", struct.pack("f", double))
    except (OverflowError, ValueError):
        return None
    return float(single) if _SMALLEST_NORMAL <= abs(single) < math.inf else None
