"""Repeatable noise: numbers that follow from what they are for, not from how many were drawn before.

Belongs here: hashing of keys and times to numbers in [0, 1). A value is a function of (seed, purpose, device, time), so
two runs that overlap agree on every reading, and a chunk of any size gives the same numbers.
"""

import hashlib
from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Keys: TypeAlias = NDArray[np.uint64]
Times: TypeAlias = NDArray[np.int64]
"""Milliseconds since 1970, UTC."""
Floats: TypeAlias = NDArray[np.float64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def key_of(*parts: object) -> int:
    """A 64-bit key of the parts, the same on every machine."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def keys_of(names: Iterable[str], *purpose: object) -> Keys:
    """One key a name, for one purpose."""
    return np.array([key_of(*purpose, name) for name in names], dtype=np.uint64)


def uniform(keys: Keys, times: Times | int) -> Floats:
    """Numbers in [0, 1), one an element: splitmix64 of key and time (any integers serve as times)."""
    x = keys + np.asarray(times, dtype=np.int64).astype(np.uint64) * _GOLDEN
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    x ^= x >> np.uint64(31)
    return np.asarray((x >> np.uint64(11)) * 2.0**-53, dtype=np.float64)


def uniform_of(*parts: object) -> float:
    """One number in [0, 1) of the parts."""
    return (key_of(*parts) >> 11) * 2.0**-53
