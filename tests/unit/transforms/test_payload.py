"""Judging payloads: strictly in Python, and what SQL vouches for agrees with it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake.models.catalog import BUILT_IN_MODELS, load_models
from lake.models.telemetry import Telemetry
from lake.sql_text import Query
from lake.storage.duckdb_connection import connect
from runtime.settings import load_settings
from transforms.payload import Payload, judged_payloads, telemetry_values
from transforms.reasons import Reason
from transforms.strict_payload import judge

THERMOSTAT = load_models([BUILT_IN_MODELS])["dtmi:lakehouse:thermostat;1"]


def telemetry(name: str, type_: str, minimum: float | None = None, enum: tuple[str, ...] | None = None) -> Telemetry:
    """A telemetry at the path that its name spells."""
    path = tuple(name.split("."))
    column = name.replace(".", "_")
    return Telemetry(name, None, column, type_, path, "1", False, minimum, None, enum, name)


def payload(*declared: Telemetry) -> Payload:
    """The shape of a model with this telemetry."""
    return Payload(0, replace(THERMOSTAT, telemetry=declared), None, declared)


PLAIN = payload(
    replace(telemetry("heat", "double", minimum=-50.0), missing=(-9.9,)),
    replace(telemetry("level", "int"), missing=(7, "none")),
    telemetry("total", "bigint"),
    telemetry("on", "boolean"),
    replace(telemetry("state", "string"), missing=("a", -1.0)),
    telemetry("mode", "string", enum=("auto", "off")),
    telemetry("force.x", "double"),
    telemetry("force.y", "double"),
)
RICH = payload(
    telemetry("heat", "double"),
    telemetry("at", "timestamp"),
    telemetry("day", "date"),
    telemetry("trace", "array<double>"),
    telemetry("labels", "map<string,int>"),
    telemetry("place", "struct<type:string,coordinates:array<double>>"),
)
TWINS = payload(telemetry("heat", "double"), telemetry("Heat", "double"))


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection as the pipeline has it."""
    with connect(load_settings({})) as opened:
        yield opened


def vouched(connection: duckdb.DuckDBPyConnection, shape: Payload, value: bytes | None) -> str | None:
    """The text that SQL vouches for; None when the record needs a closer look."""
    record = Query(
        f"SELECT $value::BLOB AS value, NULL::VARCHAR AS reason, {_names(shape)}, NULL::VARCHAR AS component_name"
    )
    (row,) = connection.execute(
        f"SELECT shape, text FROM ({judged_payloads(record, [shape])})", {"value": value}
    ).fetchall()
    found, text = row
    assert found == 0
    return None if text is None else str(text)


def values(
    connection: duckdb.DuckDBPyConnection, shape: Payload, text: str | None, mended: str | None
) -> tuple[Any, ...]:
    """The telemetry columns of a record."""
    parsed, columns = telemetry_values([shape], {t.column: t.type for t in shape.telemetry})
    record = "SELECT 0 AS shape, $text AS text, $mended AS mended"
    query = f"SELECT {', '.join(columns)} FROM (SELECT *, {parsed} FROM ({record}))"
    return connection.execute(query, {"text": text, "mended": mended}).fetchall()[0]


def _names(shape: Payload) -> str:
    return f"'{shape.model.model_id}' AS model_id"


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False), st.text(max_size=6),
    st.sampled_from(["auto", "off", "21.5", ",", ":", "{", "}"]),
)  # fmt: skip
FITTING = st.fixed_dictionaries(
    {},
    optional={
        "heat": st.one_of(st.floats(-60, 60), st.integers(-60, 60), st.just(-9.899999618530273)),
        "level": st.integers(-(2**31) - 1, 2**31),
        "total": st.integers(-(2**63) - 1, 2**63),
        "on": st.booleans(),
        "state": st.text('abé:,"\\', max_size=4),
        "mode": st.sampled_from(["auto", "off", "on"]),
        "force": st.fixed_dictionaries({}, optional={"x": st.floats(-9, 9), "y": st.integers(-9, 9)}),
    },
)
ODD = st.dictionaries(st.sampled_from(["heat", "level", "on", "state", "force", "other", "Heat"]), SCALARS, max_size=4)
# what makes JSON of another kind, or none
EDITS = st.sampled_from(["", "", "", ",", "}", "{", ":", " ", "\n", '"', "NaN", "1", "-", ".", "e9", "null", "\0", "é"])


@given(
    document=st.one_of(FITTING, FITTING, ODD),
    edit=EDITS,
    share=st.floats(0, 1),
    separators=st.sampled_from([(",", ":"), (", ", ": ")]),
)
def test_what_sql_vouches_for_is_taken_with_the_same_values(
    connection: duckdb.DuckDBPyConnection,
    document: dict[str, Any],
    edit: str,
    share: float,
    separators: tuple[str, str],
) -> None:
    """No payload passes in SQL that the strict judge refuses, and both read the same of it."""
    text = json.dumps(document, ensure_ascii=False, separators=separators)
    place = round(share * len(text))
    value = (text[:place] + edit + text[place:]).encode()
    found = vouched(connection, PLAIN, value)
    if found is not None:
        strict = judge(value, PLAIN)
        assert (strict.reason, strict.unknown) == (None, None)
        assert values(connection, PLAIN, found, None) == values(connection, PLAIN, None, strict.text)


ORDINARY = [
    b'{"heat":21.5}',
    b' {"heat": 21, "level": -3, "total": 9007199254740993, "on": true}\n',
    b'{"state":"wet","mode":"auto","force":{"x":1.5,"y":-2}}',
]
CLOSER = {
    "a trailing comma": b'{"heat":21.5,}',
    "an unknown name": b'{"heat":21.5,"note":1}',
    "a null": b'{"heat":21.5,"level":null}',
    "a name twice": b'{"heat":21.5,"heat":22}',
    "text for a number": b'{"heat":"21.5"}',
    "a boolean for a number": b'{"heat":true}',
    "a fraction for an integer": b'{"level":1.0}',
    "a number for text": b'{"state":1}',
    "too large for an integer": b'{"level":2147483648}',
    "too large for a double": b'{"heat":1e400}',
    "below the range": b'{"heat":-51}',
    "not in the enumeration": b'{"mode":"on"}',
    "NaN": b'{"heat":NaN}',
    "a number that means none": b'{"level":7}',
    "a text that means none": b'{"state":"a"}',
    "nothing": b"{}",
    "a list": b'[{"heat":21.5}]',
    "cut short": b'{"heat":21.5',
    "not UTF-8": b'{"heat":21.5,"state":"\xff"}',
    "too long": b'{"heat":21.5' + b" " * THERMOSTAT.quality.max_payload_bytes + b"}",
    "no payload": None,
}


@pytest.mark.parametrize("value", ORDINARY)
def test_ordinary_payloads_need_no_closer_look(connection: duckdb.DuckDBPyConnection, value: bytes) -> None:
    """SQL vouches for them, so that they cost a microsecond and not ten."""
    assert vouched(connection, PLAIN, value) == value.decode()


@pytest.mark.parametrize("value", CLOSER.values(), ids=CLOSER)
def test_sql_vouches_for_no_other(connection: duckdb.DuckDBPyConnection, value: bytes | None) -> None:
    """Whatever a rule may refuse, or has a name that is not declared, is looked at closely."""
    assert vouched(connection, PLAIN, value) is None


@pytest.mark.parametrize("shape", [RICH, TWINS], ids=["arrays and times", "names that differ by their case"])
def test_some_shapes_are_always_looked_at_closely(connection: duckdb.DuckDBPyConnection, shape: Payload) -> None:
    """SQL cannot tell whether their values are of their types."""
    assert vouched(connection, shape, b'{"heat":21.5}') is None


@pytest.mark.parametrize(
    ("value", "taken"),
    [
        (b'{"heat":21.5,"co":-200}', {"0": 21.5}),
        (b'{"heat":21.5,"co":-200.0}', {"0": 21.5}),
        (b'{"heat":21.5,"co":"n/a"}', {"0": 21.5}),
        (b'{"heat":21.5,"co":2}', {"0": 21.5, "1": 2.0}),
        (b'{"heat":21.5,"co":9223372036854775807}', {"0": 21.5}),
        (b'{"co":-200}', Reason.NO_TELEMETRY),
        (b'{"heat":21.5,"co":-201}', Reason.OUT_OF_RANGE),
        (b'{"heat":21.5,"co":true}', Reason.WRONG_TYPE),
        (b'{"heat":-200,"co":2}', {"0": -200.0, "1": 2.0}),
    ],
)
def test_a_value_that_means_none_is_absent(
    connection: duckdb.DuckDBPyConnection, value: bytes, taken: dict[str, float] | Reason
) -> None:
    """The rest of its message counts; SQL leaves such a payload to the closer look."""
    missing = (-200, "n/a", 1, 9223372036854775807)
    shape = payload(telemetry("heat", "double"), replace(telemetry("co", "double", minimum=0.0), missing=missing))
    found = judge(value, shape)
    assert (found.reason or json.loads(found.text or "")) == taken
    if isinstance(taken, Reason) or len(taken) == 1:
        assert vouched(connection, shape, value) is None


@pytest.mark.parametrize(
    ("number", "taken"),
    [
        ("-999.9", None),
        ("-999.9000244140625", None),
        ("-999.900024", None),
        ("-9.999000244140625e2", None),
        ("-999.90", None),
        ("-999.9002", -999.9002),
        ("100000002004087734272", None),
        ("1.0000000200408773e20", None),
        ("16777217", 16777217.0),
        ("1e300", 1e300),
        ("0", 0.0),
        ("1e-50", 1e-50),
    ],
)
def test_a_missing_number_that_was_a_single_float_is_absent(
    connection: duckdb.DuckDBPyConnection, number: str, taken: float | None
) -> None:
    """A device that computes in single floats sends its -999.9 with digits that nobody wrote; its neighbours count."""
    missing = (-999.9, 1e20, 16777216, 2e-50)
    shape = payload(telemetry("heat", "double"), replace(telemetry("co", "double"), missing=missing))
    value = f'{{"heat":21.5,"co":{number}}}'.encode()
    found = judge(value, shape)
    assert json.loads(found.text or "") == {"0": 21.5} | ({} if taken is None else {"1": taken})
    text = vouched(connection, shape, value)
    assert text is None if taken is None else text in (None, value.decode())


def test_names_that_differ_by_their_case_are_two_columns(connection: duckdb.DuckDBPyConnection) -> None:
    """Each has its own value, though DuckDB's names have no case."""
    found = judge(b'{"heat":1,"Heat":2}', TWINS)
    assert json.loads(found.text or "") == {"0": 1.0, "1": 2.0}


def test_arrays_maps_structs_and_times_reach_their_columns(connection: duckdb.DuckDBPyConnection) -> None:
    """They have the types of their columns; times are in UTC."""
    value = {
        "at": "2026-11-20T07:00:00.25+02:00", "day": "2026-11-20", "trace": [1, None, 2.5], "labels": {"a": 1},
        "place": {"type": "Point", "coordinates": [8.5, 47], "crs": None},
    }  # fmt: skip
    found = judge(json.dumps(value).encode(), RICH)
    heat, at, day, trace, labels, place = values(connection, RICH, None, found.text)
    assert heat is None
    assert f"{at:%Y-%m-%dT%H:%M:%S.%f%z}" == "2026-11-20T05:00:00.250000+0000"
    assert f"{day}" == "2026-11-20"
    assert (trace, labels) == ([1.0, None, 2.5], {"a": 1})
    assert place == {"type": "Point", "coordinates": [8.5, 47.0]}


REFUSED = {
    "a date for a time": (b'{"at":"2026-11-20"}', Reason.WRONG_TYPE),
    "the 31st of February": (b'{"day":"2026-02-31"}', Reason.WRONG_TYPE),
    "seconds since 1970": (b'{"at":1763900000}', Reason.WRONG_TYPE),
    "text in an array": (b'{"trace":[1,"2"]}', Reason.WRONG_TYPE),
    "a list for a map": (b'{"labels":[1]}', Reason.WRONG_TYPE),
    "half a character": (b'{"heat":"\\ud800"}', Reason.WRONG_TYPE),
    "a number of 5,000 digits": (b'{"heat":' + b"9" * 5000 + b"}", Reason.WRONG_TYPE),
    "a name twice": (b'{"heat":1,"heat":1}', Reason.DUPLICATE_KEY),
    "a byte order mark": (b'\xef\xbb\xbf{"heat":1}', Reason.NOT_JSON),
    "a name twice inside": (b'{"place":{"type":"Point","type":"Line"}}', Reason.DUPLICATE_KEY),
    "a name twice in a list": (b'{"heat":1,"trace":[{"a":1,"a":2}]}', Reason.DUPLICATE_KEY),
    "a name twice in a map": (b'{"labels":{"a":1,"a":2}}', Reason.DUPLICATE_KEY),
    "halves that become one name": (b'{"labels":{"\\ud800":1,"\\udfff":2}}', Reason.DUPLICATE_KEY),
    "a half and its stand-in": (b'{"heat":1,"\\ud800":1,"?":2}', Reason.DUPLICATE_KEY),
    "infinity in an array": (b'{"trace":[1,1e999]}', Reason.WRONG_TYPE),
    "400 digits in an array": (b'{"trace":[' + b"9" * 400 + b"]}", Reason.WRONG_TYPE),
    "infinity in an object": (b'{"place":{"coordinates":[-1e999]}}', Reason.WRONG_TYPE),
    "infinity in a text": (b'{"place":{"type":1e999}}', Reason.WRONG_TYPE),
    "deeper than 100 levels": (b'{"heat":1,"x":' + b"[" * 100 + b"]" * 100 + b"}", Reason.NOT_JSON),
    "only names of others": (b'{"colour":"red"}', Reason.NO_TELEMETRY),
}


@pytest.mark.parametrize(("value", "reason"), REFUSED.values(), ids=REFUSED)
def test_the_strict_judge_refuses(value: bytes, reason: Reason) -> None:
    """Each with its reason."""
    assert judge(value, RICH).reason is reason


def test_what_is_nested_less_deep_is_taken() -> None:
    """Many brackets side by side are not deep, nor is a name twice in what the model does not declare refused."""
    text = b'{"heat":1,"x":' + b"[" * 99 + b"]" * 99 + b',"y":[' + b"[]," * 200 + b'{"a":1,"a":2}]}'
    assert judge(text, RICH).reason is None


def test_names_that_are_not_declared_are_kept_as_text() -> None:
    """Text as it is, the rest as JSON, null as null; half a character as a question mark."""
    found = judge(b'{"heat":1,"a":"x","b":{"c":[1,2.5]},"d":null,"e":true,"f":"\\ud800"}', RICH)
    assert found.unknown == {"a": "x", "b": '{"c":[1,2.5]}', "d": None, "e": "true", "f": "?"}


def test_text_takes_numbers_and_booleans() -> None:
    """As the JSON that was sent says them."""
    assert json.loads(judge(b'{"state":12,"on":false}', PLAIN).text or "") == {"3": False, "4": "12"}


@pytest.mark.parametrize("unit", [b"K", b"degF"])
def test_a_value_in_another_unit_is_refused(connection: duckdb.DuckDBPyConnection, unit: bytes) -> None:
    """SenML's, which stand under `$units`: by the strict judge, since SQL vouches for no name that is not declared."""
    heat = payload(replace(telemetry("heat", "double", minimum=-50.0), unit="degc"), telemetry("level", "int"))
    value = b'{"heat":294,"level":1,"$units":{"heat":"%s","level":"count"}}' % unit
    assert vouched(connection, heat, value) is None
    found = judge(value, heat)
    assert (found.reason, found.detail) == (
        Reason.OTHER_UNIT,
        f"heat is in {unit.decode()}, the model's unit is degc",
    )
    right = judge(value.replace(unit, b"Cel"), heat)
    assert (right.reason, right.unknown) == (None, None)
    assert json.loads(right.text or "") == {"0": 294, "1": 1}


@pytest.mark.parametrize("units", ["5", '"K"', "[]", '{"heat":5}'])
def test_units_of_another_form_are_an_unknown_name(units: str) -> None:
    """A device's own, which says nothing of its values."""
    found = judge(
        f'{{"heat":21,"$units":{units}}}'.encode(), payload(replace(telemetry("heat", "double"), unit="degc"))
    )
    assert (found.reason, list(found.unknown or ())) == (None, ["$units"])
