"""Mentions: a planted id is found wherever a file can hold it, and a longer id is another one."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from pyarrow import parquet

from pipeline.erasure.mentions import Mentions

DEVICE = "pump-1"
MENTIONS = Mentions(DEVICE)
HEADERS = pa.list_(pa.struct({"key": pa.string(), "value": pa.binary()}))
OTHERS = ["pump-10", "my-pump-1", "pump-1-b", "plant.pump-1", "pump-1.b", "pump_1"]


def file_of(table: pa.Table, **options: Any) -> bytes:
    sink = BytesIO()
    parquet.write_table(table, sink, **options)
    return sink.getvalue()


@pytest.mark.parametrize(
    "text",
    ["pump-1", '{"id":"pump-1"}', "/devices/pump-1", "of pump-1.", "pump-1: bad", "a\x00pump-1\x00", '"a\\npump-1"'],
)
def test_an_id_is_found_between_other_characters(text: str) -> None:
    """Quotes, slashes, full stops and binary neighbours do not hide it; it is taken out, and masked at its length."""
    assert MENTIONS.in_file("00000000000000000001.json", text.encode())
    assert not MENTIONS.in_bytes(MENTIONS.redacted(text).encode())
    masked = MENTIONS.masked(text.encode())
    assert len(masked) == len(text)
    assert not MENTIONS.in_bytes(masked)


@pytest.mark.parametrize("text", OTHERS)
def test_a_longer_id_is_another_device(text: str) -> None:
    """An id that contains this one, or is spelt otherwise, is not found and stays as it is."""
    assert not MENTIONS.in_bytes(text.encode())
    assert not MENTIONS.in_file("a.parquet", file_of(pa.table({"device_id": [text, "x"]})))
    assert MENTIONS.redacted(text) == text


@pytest.mark.parametrize(
    "values",
    [
        pa.array(["a", DEVICE, "z"]),
        pa.array([b"a", None, DEVICE.encode()]),
        pa.array(["a", DEVICE]).dictionary_encode(),
        pa.array([[{"key": "k", "value": b"/devices/pump-1"}]], HEADERS),
        pa.array([[("pump-1", "v")]], pa.map_(pa.string(), pa.string())),
        pa.array([[("k", "of pump-1")]], pa.map_(pa.string(), pa.string())),
        pa.array([{"stats": json.dumps({"minValues": {"device_id": DEVICE}})}]),
    ],
    ids=["text", "binary", "dictionary", "headers", "map key", "map value", "statistics in a checkpoint"],
)  # fmt: skip
def test_a_planted_id_is_found_in_compressed_values(values: pa.Array) -> None:
    """Whatever the type of the column, though the bytes of the file do not show it."""
    data = file_of(pa.table({"column": values}), compression="zstd", write_statistics=False, store_schema=False)
    assert MENTIONS.in_file("part-0.parquet", data)


def test_a_planted_id_is_found_in_a_footer() -> None:
    """A key-value pair and a column's bounds speak of rows that need not be there any more."""
    table = pa.table({"n": [1]}).replace_schema_metadata({"made_for": DEVICE})
    assert MENTIONS.in_file("part-0.parquet", file_of(table))
    bounded = parquet.ParquetFile(BytesIO(file_of(pa.table({"device_id": [DEVICE, "z"]}))))
    assert bounded.metadata.row_group(0).column(0).statistics.min == DEVICE
    assert not MENTIONS.in_file("part-0.parquet", file_of(pa.table({"device_id": ["a", "z"], "n": [1, 2]})))


def test_a_bound_that_was_cut_within_a_longer_id_is_no_mention(tmp_path: Path) -> None:
    """delta-rs keeps 64 bytes of a bound, which may end after the first part of a longer id."""
    filling = "x" * 57 + "/"
    write_deltalake(tmp_path, pa.table({"path": [f"{filling}{DEVICE}0"]}))
    (file,) = tmp_path.glob("*.parquet")
    assert parquet.ParquetFile(file).metadata.row_group(0).column(0).statistics.min == filling + DEVICE
    assert not MENTIONS.in_file(file.name, file.read_bytes())


@pytest.mark.parametrize("device", ['q"z', "x\\E", "ü-1", "漢字", "d'1", "a b#c&~", "$a^", "50%"])
def test_an_id_is_found_as_json_spells_it(device: str) -> None:
    """Plain, in a commit's JSON, in the statistics in it, and in the log of a program that writes ASCII only."""
    mentions = Mentions(device)
    stats = json.dumps({"minValues": {"device_id": device}}, ensure_ascii=False)
    for text in (device, stats, json.dumps({"add": {"stats": stats}}, ensure_ascii=False), json.dumps({"id": device})):
        assert mentions.in_bytes(text.encode())
        assert mentions.redacted(text).count("[erased]") == 1
        assert len(mentions.masked(text.encode())) == len(text.encode())
    assert not mentions.in_bytes(f"{device}0".encode())
