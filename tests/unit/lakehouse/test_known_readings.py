"""A file is refused that would bring values a second time which the lake has in other messages."""

import gc
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from device_sim.playback import Replayer
from lake.models.catalog import load_models
from lake.reading import known_readings
from lake.reading.known_readings import KnownValues, waiting_values
from lake.storage.applications import App
from lake.storage.delta import append_transaction
from lake.tables.silver import SILVER_REJECTED
from lakehouse.cli.commands.replay import outgoing_of, require_no_known_values
from runtime.errors import InputError
from runtime.settings import Settings, load_settings
from tests.support.recordings import ids_of, messages_of, replayer_of, written
from tests.support.small_lake import H5, Lake, arrow_table
from wire.envelope import DATASCHEMA, ID, TIME, Message, header, with_header

FIRST = "timestamp,temperature\n2026-11-20T05:00:00Z,20\n2026-11-20T05:01:00Z,21\n"
WIDER = "timestamp,temperature,humidity\n2026-11-20T05:01:00Z,21,40\n2026-11-20T05:02:00Z,22,41\n"
ONE_WIDER = WIDER.rpartition("2026")[0]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"LAKEHOUSE_HOME": str(tmp_path / "home")})


@pytest.fixture
def lake(settings: Settings, tmp_path: Path) -> Lake:
    """The lake after FIRST was replayed as d1."""
    lake = Lake(settings)
    for minute, message_id in enumerate(ids_of(messages_of(written(tmp_path, "first.csv", FIRST), device="d1"))):
        lake.read(H5, minute, 20.0 + minute, message_id=message_id)
    lake.write()
    return lake


def checked(lake: Lake, folder: Path, text: str, **options: Any) -> Replayer:
    """A file that may be sent."""
    replayer = replayer_of(written(folder, "later.csv", text), **{"device": "d1"} | options)
    require_no_known_values(lake.settings, lake.models, replayer)
    return replayer


def test_an_export_with_one_more_column_is_refused_before_it_is_sent(lake: Lake, tmp_path: Path) -> None:
    """One of its two rows overlaps; with the new telemetry alone both may be sent."""
    found = r"1 row of later.csv .* first temperature of d1 at 2026-11-20T05:01:00.000Z\. They would count twice\. Not"
    with pytest.raises(InputError, match=found):
        checked(lake, tmp_path, WIDER)
    messages = [each.value for row in checked(lake, tmp_path, WIDER, only=("humidity",)).rows() for each in row]
    assert messages == [b'{"humidity":40}', b'{"humidity":41}']


def test_a_row_that_lacked_a_value_is_refused_with_it(settings: Settings, tmp_path: Path) -> None:
    """The same file with a text that now means missing: another message for the row, and its other value again."""
    lake = Lake(settings)
    (message,) = messages_of(written(tmp_path, "a.csv", ONE_WIDER), device="d1")
    lake.read(H5, 1, 21.0, humidity_pct=40.0, message_id=ids_of([message])[0])
    lake.write()
    checked(lake, tmp_path, WIDER)
    with pytest.raises(InputError, match=r"1 row .* first temperature of d1"):
        checked(lake, tmp_path, WIDER, missing=("40",))


def test_the_same_rows_as_another_model_are_refused(lake: Lake, tmp_path: Path) -> None:
    """A metric is one whatever table it lies in, so both would count; a model in another unit has another metric."""
    (tmp_path / "models").mkdir()
    units = {"attic": "degreeCelsius", "cellar": "degreeFahrenheit"}
    for name, unit in units.items():
        telemetry = {"@type": ["Telemetry", "Temperature"], "name": "temperature", "schema": "double", "unit": unit}
        interface = {"@context": "dtmi:dtdl:context;3", "@id": f"dtmi:t:{name};1", "@type": "Interface",
                     "displayName": name, "contents": [telemetry]}  # fmt: skip
        (tmp_path / "models" / f"{name}.json").write_text(json.dumps(interface))
    models = {**lake.models, **load_models([tmp_path / "models"])}
    path = written(tmp_path, "a.csv", FIRST)
    with pytest.raises(InputError, match=r"2 rows .* first temperature of d1 at 2026-11-20T05:00:00"):
        require_no_known_values(lake.settings, models, replayer_of(path, models, model="dtmi:t:attic;1", device="d1"))
    require_no_known_values(lake.settings, models, replayer_of(path, models, model="dtmi:t:cellar;1", device="d1"))


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (FIRST, {}),
        (FIRST.replace("21", "99"), {}),
        (FIRST + "2026-11-20T05:02:00Z,22\n", {}),
        ("timestamp,humidity\n2026-11-20T05:00:00Z,40\n", {}),
        (WIDER, {"device": "d2"}),
        (WIDER.replace("T05:", "T06:"), {}),
        ("timestamp,name,value\n2026-11-20T05:00:00Z,temperature,20\n", {"pivot": ("name", "value")}),
    ],
    ids=["the same", "another value", "more rows", "other telemetry", "another device", "other times", "a long file"],
)
def test_what_counts_once_may_be_sent(lake: Lake, tmp_path: Path, text: str, options: dict[str, Any]) -> None:
    """A repeat and a conflict are told by silver; what the lake does not have is new."""
    assert checked(lake, tmp_path, text, **options).check.rows > 0


def test_a_home_without_a_lake_knows_nothing(settings: Settings, tmp_path: Path) -> None:
    """The first replay of all asks nothing."""
    checked(Lake(settings), tmp_path, WIDER)


def test_a_message_that_silver_has_is_a_repeat_whatever_else_is_there(lake: Lake, tmp_path: Path) -> None:
    """Where both exports were sent before, neither is refused: it changes nothing."""
    (known,) = messages_of(written(tmp_path, "b.csv", ONE_WIDER), device="d1")
    lake.read(H5, 1, 21.0, humidity_pct=40.0, message_id=ids_of([known])[0])
    lake.write()
    checked(lake, tmp_path, FIRST)
    checked(lake, tmp_path, WIDER)


def _found_waiting(lake: Lake, waiting: list[Message], path: Path, **options: Any) -> KnownValues | None:
    outgoing = outgoing_of(replayer_of(path, lake.models, device="d1", **options))
    assert outgoing is not None
    return waiting_values(lake.models, outgoing, waiting)


def test_values_that_wait_to_be_taken_in_would_be_brought_twice_too(settings: Settings, tmp_path: Path) -> None:
    """A file that was sent, and not refreshed since, is known as one that silver has; its own rows are repeats."""
    lake = Lake(settings)
    first, wider = written(tmp_path, "first.csv", FIRST), written(tmp_path, "wider.csv", WIDER)
    waiting = messages_of(first, device="d1")
    found = _found_waiting(lake, waiting, wider)
    assert found == KnownValues(1, "d1", datetime(2026, 11, 20, 5, 1, tzinfo=UTC), ("temperature",))
    assert _found_waiting(lake, waiting, first) is None
    assert _found_waiting(lake, waiting, wider, only=("humidity",)) is None
    assert _found_waiting(lake, [*waiting, *messages_of(wider, device="d1")], wider) is None
    assert _found_waiting(lake, messages_of(first, device="d2"), wider) is None


@pytest.mark.parametrize("value", [b"", b"not json", b"[1]", b"[" * 9999, b'{"temperature":null}', b'{"humidity":{}}'])
def test_what_waits_and_is_no_such_reading_refuses_nothing(settings: Settings, tmp_path: Path, value: bytes) -> None:
    """Broken payloads, packs and other values, and models that are not known here."""
    (message,) = messages_of(written(tmp_path, "first.csv", FIRST.rpartition("2026")[0]), device="d1")
    later = written(tmp_path, "later.csv", "timestamp,temperature,humidity\n2026-11-20T05:00:00Z,20,\n")
    other = with_header(message, ID, b"other")
    lake = Lake(settings)
    assert _found_waiting(lake, [other], later) is not None
    assert _found_waiting(lake, [with_header(other, DATASCHEMA, None)], later) is not None
    assert _found_waiting(lake, [with_header(other, DATASCHEMA, b"dtmi:t:unknown;1")], later) is None
    assert _found_waiting(lake, [replace(other, value=value)], later) is None
    assert _found_waiting(lake, [with_header(other, TIME, b"noon")], later) is None


def test_what_waits_of_other_times_is_no_reason_to_read_the_file_again(settings: Settings, tmp_path: Path) -> None:
    """Only messages from its first time to its last are compared, both of these included."""
    lake = Lake(settings)
    later = written(
        tmp_path, "later.csv", "timestamp,temperature\n2026-11-20T05:00:00.000001Z,1\n2026-11-20T06:00Z,2\n"
    )
    (first, last) = (with_header(each, ID, b"other") for each in messages_of(later, device="d1"))
    others = [with_header(first, TIME, each) for each in (b"2026-11-20T05:00:00Z", b"2026-11-20T06:00:00.000001Z")]
    outgoing = outgoing_of(replayer_of(later, lake.models, device="d1"))
    assert outgoing is not None

    def read_again() -> list[Message]:
        raise AssertionError("The file is read again.")

    assert waiting_values(lake.models, replace(outgoing, messages=read_again), others) is None
    for each in (first, last):
        found = waiting_values(lake.models, outgoing, [*others, each])
        assert found is not None
        assert found.count == 1


def test_python_holds_a_batch_of_what_waits(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much it is: while the last of a hundred messages comes, there are rows of two tens at the most."""
    monkeypatch.setattr(known_readings, "_BATCH", 10)
    lake, first = Lake(settings), written(tmp_path, "first.csv", FIRST)
    outgoing = outgoing_of(replayer_of(first, lake.models, device="d1"))
    assert outgoing is not None
    message, held = messages_of(first, device="d1")[0], []

    def waiting() -> Iterator[Message]:
        yield from (with_header(message, ID, b"%d" % n) for n in range(100))
        held.append(sum(type(each) is dict and "message_id" in each for each in gc.get_objects()))

    assert waiting_values(lake.models, outgoing, waiting()) is not None
    assert held[0] <= 20


def land(lake: Lake, message: Message, **changes: Any) -> None:
    """A message in bronze that was sent as the first row of FIRST."""
    said = {name: (header(message, name) or b"").decode() for name in (ID, TIME, DATASCHEMA)}
    lake.message(H5, 0, **{"key": message.key, "value": message.value, "ingest_id": 11} | said | changes)
    lake.write()


def judge(lake: Lake, ingest_id: int) -> None:
    """Say that silver has all up to there."""
    nothing = arrow_table(SILVER_REJECTED, [])
    append_transaction(lake.settings, SILVER_REJECTED, nothing.to_reader, (App.TELEMETRY, ingest_id), {"step": "tick"})


def test_values_between_bronze_and_silver_would_be_brought_twice_too(settings: Settings, tmp_path: Path) -> None:
    """A tick was killed between the two; once silver has judged the message, silver alone says what it has."""
    lake = Lake(settings)
    (message,) = messages_of(written(tmp_path, "first.csv", FIRST.rpartition("2026")[0]), device="d1")
    land(lake, message)
    judge(lake, 10)
    wider = "timestamp,temperature,humidity\n2026-11-20T05:00:00Z,20,40\n"
    with pytest.raises(
        InputError, match=r"1 row .* that wait for the lake .* first temperature of d1 at 2026-11-20T05"
    ):
        checked(lake, tmp_path, wider)
    checked(lake, tmp_path, FIRST)
    checked(lake, tmp_path, wider, only=("humidity",))
    checked(lake, tmp_path, wider, device="d2")
    checked(lake, tmp_path, wider.replace("T05:", "T06:"))
    judge(lake, 11)
    checked(lake, tmp_path, wider)


@pytest.mark.parametrize("reached", ["bronze", "silver"])
def test_a_tick_meanwhile_hides_nothing(settings: Settings, tmp_path: Path, reached: str) -> None:
    """What a tick takes out of Kafka before it is asked is found where the tick has brought it."""
    lake = Lake(settings)
    (message,) = messages_of(written(tmp_path, "first.csv", FIRST.rpartition("2026")[0]), device="d1")
    lake.write()
    judge(lake, 10)
    replayer = replayer_of(written(tmp_path, "later.csv", WIDER.replace("T05:01", "T05:00")), device="d1")

    def landing() -> Iterator[Message]:
        if reached == "bronze":
            land(lake, message)
        else:
            lake.read(H5, 0, 20.0, message_id=ids_of([message])[0])
            lake.write()
        yield from ()

    where = "wait for the lake" if reached == "bronze" else "the lake has"
    with pytest.raises(InputError, match=f"1 row .* values that {where} .* first temperature of d1"):
        require_no_known_values(settings, lake.models, replayer, landing())
