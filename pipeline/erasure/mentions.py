"""Mentions: whether stored bytes name a device.

Belongs here: the rule that tells a device's id from a longer id that contains it, looking into each kind of file that a
lake has, and taking an id out of text. What is done about a mention belongs to `pipeline.erasure.removal`.

Parquet files are read, all text and binary columns of them, and so are the statistics and key-value pairs of their
footers; anything else is searched as it lies.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
from pyarrow import parquet

# some writers cut bounds at this length
_BOUND_BYTES = 64
_STAND_IN = "[erased]"


def pattern_of(*spellings: str) -> str:
    """A regular expression, of Python and of Java, for a spelling where it is no part of a longer id.

    Letters, digits, `_` and `-` make an id longer, and so does a point between them.
    """
    # JSON writes the end of a line as a backslash and a letter
    before = r"(?:(?<![A-Za-z0-9_-])|(?<=\\[nrt]))(?<![A-Za-z0-9_-]\.)"
    return f"{before}(?:{'|'.join(map(re.escape, spellings))})(?![A-Za-z0-9_-])(?!\\.[A-Za-z0-9_-])"


def spellings_of(device_id: str) -> list[str]:
    """The id as it is, as JSON writes it, and as JSON in JSON does, which the statistics in a Delta log are."""
    once = [json.dumps(device_id, ensure_ascii=is_ascii)[1:-1] for is_ascii in (False, True)]
    twice = [json.dumps(text, ensure_ascii=False)[1:-1] for text in once]
    return sorted({device_id, *once, *twice}, key=len, reverse=True)


class Mentions:
    """Looks for one device's id."""

    def __init__(self, device_id: str) -> None:
        spellings = spellings_of(device_id)
        self._spellings = [spelling.encode() for spelling in spellings]
        self._bytes = re.compile(pattern_of(*spellings).encode())
        self._text = re.compile(pattern_of(*spellings))

    def redacted(self, text: str) -> str:
        """The text with another word in the id's place."""
        return self._text.sub(_STAND_IN, text)

    def masked(self, data: bytes) -> bytes:
        """The bytes with as many asterisks in the id's place, so that what comes after stays where it is."""
        return self._bytes.sub(lambda found: b"*" * len(found[0]), data)

    def in_file(self, name: str, data: bytes) -> bool:
        """True when a file of that name and content names the device."""
        if not name.endswith(".parquet") or name.startswith("."):
            return self.in_bytes(data)
        file = parquet.ParquetFile(pa.BufferReader(data))
        return any(map(self.in_bytes, _footer(file.metadata))) or any(self._in_array(each) for each in _arrays(file))

    def in_bytes(self, data: bytes) -> bool:
        """True when the bytes name the device."""
        return self._may_name(data) and self._bytes.search(data) is not None

    def _may_name(self, data: bytes) -> bool:
        return any(spelling in data for spelling in self._spellings)

    def _in_array(self, array: pa.Array) -> bool:
        # the values lie end to end in one buffer: only where the id occurs in it are they looked at one by one
        if not any(buffer is not None and self._may_name(buffer.to_pybytes()) for buffer in array.buffers()[1:]):
            return False
        values = (value for value in array.to_pylist() if value is not None)
        return any(self.in_bytes(value if isinstance(value, bytes) else value.encode()) for value in values)


def _arrays(file: Any) -> Iterator[pa.Array]:
    """The text and binary values of a Parquet file, those inside of lists, maps and structs too."""
    for group in range(file.metadata.num_row_groups):
        # with threads pyarrow frees buffers after the interpreter has gone
        for column in file.read_row_group(group, use_threads=False).columns:
            for chunk in column.chunks:
                yield from _leaves(chunk)


def _leaves(array: pa.Array) -> Iterator[pa.Array]:
    kind = array.type
    if pa.types.is_struct(kind):
        for part in array.flatten():
            yield from _leaves(part)
    elif pa.types.is_map(kind):
        yield from _leaves(array.keys)
        yield from _leaves(array.items)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield from _leaves(array.values)
    elif pa.types.is_dictionary(kind):
        yield from _leaves(array.dictionary)
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind):
        yield array


def _footer(metadata: Any) -> Iterator[bytes]:
    """The texts of a footer: key-value pairs, and the bounds of each column of each row group."""
    for pair in (metadata.metadata or {}).items():
        yield from pair
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        for place in range(row_group.num_columns):
            yield from _bounds(row_group.column(place).statistics)


def _bounds(statistics: Any) -> Iterable[bytes]:
    if statistics is None or not statistics.has_min_max:
        return ()
    bounds = [each.encode() if isinstance(each, str) else each for each in (statistics.min, statistics.max)]
    # cut short, a bound may end within a longer id; where it ends with this one, the values have it too
    return [each + b"-" if len(each) >= _BOUND_BYTES else each for each in bounds if isinstance(each, bytes)]
