"""Output: values and tables as text, for people and for programs.

Belongs here: how a value is spelt in a table, in CSV and in JSON. What is printed belongs to the commands.

A table is drawn with lines on a terminal and aligned without them elsewhere, so that it can be cut and compared.
"""

import csv
import json
import math
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, TextIO

import click

Row = Sequence[Any]


def spelt(value: Any) -> Any:
    """A value in JSON's types: times as RFC 3339 in UTC, bytes as text, what is no number as None."""
    if isinstance(value, datetime):
        moment = value.astimezone(UTC) if value.tzinfo else value
        return moment.replace(tzinfo=None).isoformat() + ("Z" if value.tzinfo else "")
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, bool | int | str) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "backslashreplace")
    if isinstance(value, dict):
        return {str(spelt(key)): spelt(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [spelt(each) for each in value]
    return str(value)


def as_text(value: Any, null: str = "") -> str:
    """A value as one line of text."""
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    plain = spelt(value)
    if plain is None:
        return null
    if isinstance(plain, bool):
        return str(plain).lower()
    if isinstance(plain, dict | list):
        return json.dumps(plain, ensure_ascii=False)
    return str(plain)


def print_table(columns: Sequence[str], rows: Iterable[Row], indent: str = "") -> None:
    """Print rows under their names, numbers to the right."""
    every = [tuple(row) for row in rows]
    right = [_is_numeric([row[place] for row in every]) for place in range(len(columns))]
    texts = [tuple(as_text(value).replace("\n", "\\n") for value in row) for row in every]
    if sys.stdout.isatty():
        _draw_table(columns, texts, right)
    else:
        _align_table(columns, texts, right, indent)


def write_csv(columns: Sequence[str], rows: Iterable[Row], file: TextIO) -> None:
    """CSV with a header; null is an empty cell."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([as_text(value) for value in row])


def write_json(columns: Sequence[str], rows: Iterable[Row], file: TextIO) -> None:
    """A JSON array with one object a line."""
    separator = "[\n"
    # where a character cannot be written as it is, its escape must be JSON's
    is_ascii = (file.encoding or "utf-8").lower().replace("-", "") != "utf8"
    for row in rows:
        record = {name: spelt(value) for name, value in zip(columns, row, strict=True)}
        file.write(separator + json.dumps(record, ensure_ascii=is_ascii))
        separator = ",\n"
    file.write("[]\n" if separator == "[\n" else "\n]\n")


def moment(value: datetime) -> str:
    """A time for people: RFC 3339 in UTC, to the second."""
    return str(spelt(value.replace(microsecond=0)))


def duration(span: timedelta) -> str:
    """A span in its two largest units, e.g. `2 h 5 min`."""
    seconds = max(0, round(span.total_seconds()))
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    parts: list[str] = []
    for name, size in units:
        count, seconds = divmod(seconds, size)
        if count or (name == "s" and not parts):
            parts.append(f"{count} {name}")
    return " ".join(parts[:2])


def _is_numeric(values: Sequence[Any]) -> bool:
    present = [value for value in values if value is not None]
    return bool(present) and all(
        isinstance(value, int | float | Decimal) and not isinstance(value, bool) for value in present
    )


def _align_table(columns: Sequence[str], texts: Sequence[Row], right: Sequence[bool], indent: str) -> None:
    widths = [max(len(line[place]) for line in (columns, *texts)) for place in range(len(columns))]
    for line in (columns, *texts):
        cells = [
            text.rjust(width) if is_right else text.ljust(width)
            for text, width, is_right in zip(line, widths, right, strict=True)
        ]
        click.echo((indent + "  ".join(cells)).rstrip())


def _draw_table(columns: Sequence[str], texts: Sequence[Row], right: Sequence[bool]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, is_right in zip(columns, right, strict=True):
        table.add_column(Text(name), justify="right" if is_right else "left", overflow="fold")
    for line in texts:
        table.add_row(*map(Text, line))
    Console().print(table)
