"""DTDL Interfaces and the columns that their telemetry becomes."""

import json
import re
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake.models.dtdl import Library, dtmi_version, read_declarations
from lake.models.telemetry import _RESERVED, Columns, Telemetry, telemetry_columns
from lake.tables.silver import READING_COLUMNS
from runtime.errors import ModelError

DEVICE = "dtmi:test:device;1"


def telemetry(name: object, schema: object = "double", **more: object) -> dict[str, object]:
    return {"@type": "Telemetry", "name": name, "schema": schema, **more}


def component(name: str, schema: object) -> dict[str, object]:
    return {"@type": "Component", "name": name, "schema": schema}


def interface(*contents: object, model_id: str = DEVICE, version: int = 2, **more: object) -> dict[str, object]:
    head = {"@context": f"dtmi:dtdl:context;{version}", "@id": model_id, "@type": "Interface"}
    return {**head, "contents": list(contents), **more}


def columns_of(document: object, model_id: str = DEVICE) -> Columns:
    declarations = read_declarations(json.dumps(document).encode(), "test.json")
    return telemetry_columns(Library(declarations), model_id)


def column_of(schema: object, name: str = "value", version: int = 2, **more: object) -> Telemetry:
    (column,) = columns_of(interface(telemetry(name, schema, **more), version=version)).telemetry
    return column


def names_of(columns: Columns) -> list[str]:
    return [column.column for column in columns.telemetry]


def obj(**fields: object) -> dict[str, object]:
    return {"@type": "Object", "fields": [{"name": name, "schema": schema} for name, schema in fields.items()]}


def enum(value_schema: str, *values: object) -> dict[str, object]:
    entries = [{"name": f"v{place}", "enumValue": value} for place, value in enumerate(values)]
    return {"@type": "Enum", "valueSchema": value_schema, "enumValues": entries}


THERMOSTAT = interface(
    {"@type": ["Telemetry", "Temperature"], "name": "temperature", "schema": "double", "unit": "degreeCelsius"},
    {"@type": "Property", "name": "targetTemperature", "schema": "double", "writable": True},
    {"@type": "Command", "name": "getMaxMinReport"},
    model_id="dtmi:test:Thermostat;1",
)
INFORMATION = interface(
    {"@type": "Property", "name": "manufacturer", "schema": "string"},
    {"@type": "Property", "name": "totalMemory", "schema": "long"},
    model_id="dtmi:test:DeviceInformation;1",
)
CONTROLLER = interface(
    {"@type": ["Telemetry", "DataSize"], "name": "workingSet", "schema": "double", "unit": "kibibyte"},
    {"@type": "Property", "name": "serialNumber", "schema": "string"},
    {"@type": "Command", "name": "reboot", "request": {"name": "delay", "schema": "integer"}},
    {"@type": "Relationship", "name": "room", "target": "dtmi:test:Room;1"},
    component("thermostat1", "dtmi:test:Thermostat;1"),
    component("thermostat2", "dtmi:test:Thermostat;1"),
    component("deviceInformation", "dtmi:test:DeviceInformation;1"),
)


def test_a_controller_with_components_becomes_one_wide_row() -> None:
    """Components' telemetry stands beside the device's own, prefixed; the message names the component."""
    columns = columns_of([CONTROLLER, THERMOSTAT, INFORMATION])
    assert names_of(columns) == ["working_set_kib", "thermostat1_temperature_degc", "thermostat2_temperature_degc"]
    assert [each.component for each in columns.telemetry] == [None, "thermostat1", "thermostat2"]
    assert [each.metric_name for each in columns.telemetry][1] == "thermostat1.temperature"
    assert columns.components == ("thermostat1", "thermostat2", "deviceInformation")


def test_what_becomes_no_column_is_named() -> None:
    """Each property, command and relationship, of components too, is in a note."""
    notes = " ".join(columns_of([CONTROLLER, THERMOSTAT, INFORMATION]).notes)
    for name in ("serialNumber", "reboot", "room", "thermostat1.targetTemperature", "thermostat2.getMaxMinReport",
                 "deviceInformation.manufacturer", "deviceInformation.totalMemory"):  # fmt: skip
        assert name in notes


def test_a_component_that_is_not_declared_is_noted() -> None:
    """A public model that refers to another file is taken without it, and says what is missing."""
    columns = columns_of([CONTROLLER, THERMOSTAT])
    assert "deviceInformation" not in columns.components
    assert [note for note in columns.notes if "dtmi:test:DeviceInformation;1 is not declared" in note]


def test_a_component_within_a_component_is_noted() -> None:
    """A message can name one component only, so deeper ones have no columns."""
    inner = interface(component("deep", "dtmi:test:Thermostat;1"), telemetry("x"), model_id="dtmi:test:Inner;1")
    columns = columns_of([interface(component("outer", "dtmi:test:Inner;1")), inner, THERMOSTAT])
    assert names_of(columns) == ["outer_x"]
    assert any("outer.deep" in note for note in columns.notes)


@pytest.mark.parametrize(
    ("schema", "spark_type", "is_metric"),
    [
        ("boolean", "boolean", True),
        ("date", "date", False),
        ("dateTime", "timestamp", False),
        ("double", "double", True),
        ("duration", "string", False),
        ("float", "double", True),
        ("integer", "int", True),
        ("long", "bigint", True),
        ("string", "string", False),
        ("time", "string", False),
        ("unsignedLong", "bigint", True),
        ("uuid", "string", False),
        ("dtmi:dtdl:instance:Schema:double;2", "double", True),
        ("dtmi:standard:schema:geospatial:point;2", "struct<type:string,coordinates:array<double>>", False),
        ("point", "struct<type:string,coordinates:array<double>>", False),
        ("lineString", "struct<type:string,coordinates:array<array<double>>>", False),
        ("multiPoint", "struct<type:string,coordinates:array<array<double>>>", False),
        ("polygon", "struct<type:string,coordinates:array<array<array<double>>>>", False),
        ("multiLineString", "struct<type:string,coordinates:array<array<array<double>>>>", False),
        ("multiPolygon", "struct<type:string,coordinates:array<array<array<array<double>>>>>", False),
        ({"@type": "Array", "elementSchema": "double"}, "array<double>", False),
        ({"@type": "Array", "elementSchema": obj(a="integer", b="string")}, "array<struct<a:int,b:string>>", False),
        ({"@type": "Map", "mapKey": {"name": "k", "schema": "string"}, "mapValue": {"name": "v", "schema": "long"}},
         "map<string,bigint>", False),
        ({"@type": "Map", "mapKey": {"name": "k", "schema": "string"},
          "mapValue": {"name": "v", "schema": obj(a="double")}}, "map<string,struct<a:double>>", False),
        (enum("string", "on", "off"), "string", False),
        (enum("integer", 1, 2), "int", False),
    ],
)  # fmt: skip
def test_every_schema_has_a_spark_type(schema: object, spark_type: str, is_metric: bool) -> None:
    """Primitive, geospatial and complex schemas map to columns; only numbers and booleans are metrics."""
    column = column_of(schema, version=4 if schema in ("unsignedLong", "uuid") else 2)
    assert (column.type, column.is_metric) == (spark_type, is_metric)


def test_enums_keep_their_values() -> None:
    """An enum's column knows what may stand in it."""
    assert column_of(enum("string", "on", "off")).enum_values == ("on", "off")
    assert column_of(enum("integer", 1, 2)).enum_values == (1, 2)
    assert column_of("string").enum_values is None


def test_nested_objects_are_flattened() -> None:
    """Each leaf of an object is a column, with the path to it in the payload."""
    schema = obj(x="double", inner=obj(y="integer", flag="boolean"))
    columns = columns_of(interface(telemetry("accelData", schema, unit="metrePerSecondSquared")))
    found = {each.column: (each.name, each.json_path) for each in columns.telemetry}
    assert found == {
        "accel_data_x_m_s2": ("accelData.x", ("accelData", "x")),
        "accel_data_inner_y_m_s2": ("accelData.inner.y", ("accelData", "inner", "y")),
        "accel_data_inner_is_flag": ("accelData.inner.flag", ("accelData", "inner", "flag")),
    }


def test_a_field_has_its_own_unit() -> None:
    """DTDL v3 allows a unit on a field; it wins over the object's."""
    fields = [{"@type": ["Field", "Temperature"], "name": "t", "schema": "double", "unit": "kelvin"},
              {"name": "p", "schema": "double"}]  # fmt: skip
    columns = columns_of(interface(telemetry("m", {"@type": "Object", "fields": fields}, unit="pascal"), version=3))
    assert names_of(columns) == ["m_t_k", "m_p_pa"]


def test_names_follow_the_grammar() -> None:
    """Booleans begin with is_ or has_, timestamps end in _at, dates in _date, quantities in their unit, once."""
    document = interface(
        telemetry("doorOpen", "boolean"),
        telemetry("hasPower", "boolean"),
        telemetry("lastSeen", "dateTime"),
        telemetry("startedAt", "dateTime"),
        telemetry("service", "date"),
        telemetry("humidity_pct", "double", unit="percent"),
        component("motor", interface(telemetry("isHot", "boolean"), model_id="dtmi:test:motor;1")),
    )
    assert names_of(columns_of(document)) == [
        "is_door_open", "has_power", "last_seen_at", "started_at", "service_date", "humidity_pct", "motor_is_hot",
    ]  # fmt: skip


def test_names_that_are_taken_get_another_and_a_note() -> None:
    """Columns of every reading, reserved words and names that come out alike never clash."""
    columns = columns_of(interface(*(telemetry(name, "string") for name in
                                     ("source", "offset", "tempC", "temp_c", "select", "source_value"))))  # fmt: skip
    assert names_of(columns) == [
        "source_value", "offset_value", "temp_c", "temp_c_value", "select_value", "source_value_value",
    ]  # fmt: skip
    for name in ("source", "offset", "temp_c", "select", "source_value"):
        assert any(f"telemetry {name}:" in note for note in columns.notes)
    assert not any("telemetry tempC:" in note for note in columns.notes)


def test_every_word_that_duckdb_reserves_is_avoided() -> None:
    """Analysts need no quotes: the list holds all of DuckDB's reserved words."""
    query = "select keyword_name from duckdb_keywords() where keyword_category = 'reserved'"
    reserved = {name for (name,) in duckdb.connect().execute(query).fetchall()}
    assert len(reserved) > 50
    assert reserved - _RESERVED == set()


@given(
    st.lists(
        st.from_regex(r"[A-Za-z](?:[A-Za-z0-9_]{0,12}[A-Za-z0-9])?", fullmatch=True),
        min_size=1,
        max_size=12,
        unique_by=str.lower,
    )
)
def test_any_names_become_unique_safe_columns(names: list[str]) -> None:
    """Whatever names DTDL allows, the columns are SQL-safe, unique and none of a reading's own."""
    found = names_of(columns_of(interface(*(telemetry(name) for name in names))))
    assert len(set(found)) == len(names)
    assert all(re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", column) for column in found)
    assert not set(found) & ({column.name for column in READING_COLUMNS} | _RESERVED)


def test_an_unknown_unit_is_noted() -> None:
    """A unit that nobody declared gives a suffix and a note, not silence."""
    columns = columns_of(interface(telemetry("pace", unit="stepsPerMile"), telemetry("heat", unit="degreeCelsius")))
    assert names_of(columns) == ["pace_steps_per_mile", "heat_degc"]
    assert any("stepsPerMile" in note for note in columns.notes)
    assert not any("degreeCelsius" in note for note in columns.notes)


def test_only_quantities_have_a_unit() -> None:
    """A unit on a text is ignored with a note; on an array of numbers it holds."""
    columns = columns_of(
        interface(
            telemetry("label", "string", unit="volt"),
            telemetry("samples", {"@type": "Array", "elementSchema": "double"}, unit="volt"),
        )
    )
    assert [(each.column, each.unit) for each in columns.telemetry] == [("label", "1"), ("samples_v", "v")]
    assert any("telemetry label: the unit 'volt' is ignored" in note for note in columns.notes)


def test_what_a_column_does_not_check_is_noted() -> None:
    """Enum values inside arrays, unsigned 64-bit numbers and unknown keys are named."""
    document = interface(
        telemetry("states", {"@type": "Array", "elementSchema": enum("string", "a")}),
        telemetry("speed", maxValue=7),
    )
    meter = interface(telemetry("total", "unsignedLong"), version=4)
    notes = " ".join((*columns_of(document).notes, *columns_of(meter).notes))
    assert "states: enum values" in notes
    assert "total: values above" in notes
    assert "speed: maxValue" in notes


def test_extends_brings_what_the_bases_contain() -> None:
    """Bases come first; a base reached twice counts once; a base may be written inline."""
    base = interface(telemetry("a"), model_id="dtmi:test:base;1")
    left = interface(telemetry("b"), model_id="dtmi:test:left;1", extends="dtmi:test:base;1")
    right = interface(telemetry("c"), model_id="dtmi:test:right;1", extends=["dtmi:test:base;1"])
    document = [interface(telemetry("d"), extends=[left, "dtmi:test:right;1"]), base, right]
    assert names_of(columns_of(document)) == ["a", "b", "c", "d"]


def test_schemas_may_be_declared_once_and_referred_to() -> None:
    """An Interface's `schemas`, and a schema with an @id anywhere, also in a base, can be named."""
    schemas = [{"@id": "dtmi:test:vec;1", **obj(x="double")}, {"@id": "dtmi:test:pair;1", **obj(v="dtmi:test:vec;1")}]
    base = interface(telemetry("p", {"@id": "dtmi:test:mode;1", **enum("integer", 1)}), model_id="dtmi:test:base;1",
                     schemas=schemas)  # fmt: skip
    document = interface(telemetry("q", "dtmi:test:pair;1"), telemetry("r", {"@id": "dtmi:test:mode;1"}), extends=base)
    columns = columns_of(document)
    assert [(each.column, each.type) for each in columns.telemetry] == [("p", "int"), ("q_v_x", "double"), ("r", "int")]


def test_a_document_may_be_a_graph() -> None:
    """`@context` may be a list with extensions, and Interfaces may stand in `@graph`."""
    head = {"@context": ["dtmi:dtdl:context;4#limitless", "dtmi:dtdl:extension:quantitativeTypes;2"]}
    device = {key: value for key, value in interface(telemetry("t", unit="kelvin")).items() if key != "@context"}
    assert names_of(columns_of({**head, "@graph": [device]})) == ["t_k"]


def test_texts_may_be_language_maps() -> None:
    """English is taken from a language map, else the first language."""
    texts = {"de": "Wärme", "en-GB": "Heat"}
    assert column_of("double", description=texts).description == "Heat"
    assert column_of("double", displayName={"nl": "Warmte", "fr": "Chaleur"}).description == "Chaleur"
    declared = read_declarations(json.dumps(interface(displayName={"en": "Oven"})).encode(), "x.json")
    assert declared[DEVICE].display_name == "Oven"


def test_iot_central_schemas_are_known() -> None:
    """`geopoint` and `vector` of the IoT Central extension flatten like objects."""
    contexts: dict[str, Any] = {"@context": ["dtmi:iotcentral:context;2", "dtmi:dtdl:context;2"]}
    contents = (telemetry("place", "geopoint"), telemetry("accel", "vector", unit="gForce"))
    columns = columns_of(interface(*contents, **contexts))
    assert names_of(columns) == ["place_lat_deg", "place_lon_deg", "place_alt_m",
                                 "accel_x_g_force", "accel_y_g_force", "accel_z_g_force"]  # fmt: skip


@pytest.mark.parametrize("text", ["dtmi:a;1", "dtmi:com:example:Thermo_Stat2;12", "dtmi:a:b;3.4", "dtmi:noversion"])
def test_dtmis_are_recognised(text: str) -> None:
    """DTDL v3 allows minor versions and none at all."""
    assert list(read_declarations(json.dumps(interface(model_id=text, version=3)).encode(), "x.json")) == [text]


def test_versions_order_as_numbers() -> None:
    """Version 10 is newer than version 9."""
    assert dtmi_version("dtmi:a;10") > dtmi_version("dtmi:a;9.2") > dtmi_version("dtmi:a;9") > dtmi_version("dtmi:a")


def chain(length: int) -> list[dict[str, object]]:
    """Interfaces that each extend the next."""
    more: list[dict[str, Any]] = [{"extends": f"dtmi:test:link{place + 1};1"} for place in range(length)]
    return [
        interface(model_id=DEVICE if place == 0 else f"dtmi:test:link{place};1", **each)
        for place, each in enumerate([*more, {}])
    ]


def nested(depth: int) -> object:
    return "double" if depth == 0 else obj(f=nested(depth - 1))


def test_limits_allow_what_dtdl_allows() -> None:
    """Twelve levels of extends and eight of schemas are fine."""
    assert names_of(columns_of(chain(12))) == []
    assert len(columns_of(interface(telemetry("deep", nested(7)))).telemetry) == 1


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (interface(model_id="dtmi:9bad;1"), "not a DTMI"),
        (interface(model_id="com:example;1"), "not a DTMI"),
        (interface(model_id="dtmi:a_;1"), "not a DTMI"),
        (interface(model_id="dtmi:a;0"), "not a DTMI"),
        ({**interface(), "@context": "http://azureiot.com/v1/contexts/IoTModel.json"}, "dtmi:dtdl:context;3"),
        ({key: value for key, value in interface().items() if key != "@context"}, "@context"),
        ({**interface(), "@type": "Telemetry"}, "only an Interface can stand there"),
        ([], "declares no Interface"),
        ("text", "must be an object"),
        (interface({"@type": "Sensor", "name": "a"}), "exactly one class"),
        (interface({"@type": ["Telemetry", "Property"], "name": "a", "schema": "double"}), "exactly one class"),
        (interface(telemetry("1st")), "a name is letters"),
        (interface(telemetry("a_")), "a name is letters"),
        (interface(telemetry("a-b")), "a name is letters"),
        (interface(telemetry("a"), telemetry("a")), "declared twice"),
        (interface(telemetry("temp"), telemetry("Temp")), "only in upper and lower case"),
        (interface(telemetry("a", obj(x="double", X="double"))), "only in upper and lower case"),
        (interface(telemetry("a", "number")), "neither a DTDL schema nor declared"),
        (interface({"@type": "Telemetry", "name": "a"}), "no schema: give one"),
        (interface(telemetry("a", {"@type": "Object", "fields": []})), "no fields"),
        (interface(telemetry("a", {"@type": "Union"})), "'Union'"),
        (interface(telemetry("a", enum("double", 1.5))), "valueSchema"),
        (interface(telemetry("a", enum("integer", "x"))), "not of type integer"),
        (interface(telemetry("a", enum("integer", True))), "not of type integer"),
        (interface(telemetry("a", enum("string", "x", "x"))), "declared twice"),
        (interface(telemetry("a", enum("string"))), "no enumValues: give one"),
        (interface(telemetry("a", {"@type": "Map"})), "no mapKey: give one"),
        (interface(telemetry("a", unit=5)), "has 'unit'"),
        (interface(telemetry("a", nested(8))), "deep"),
        (interface(telemetry("a", "dtmi:s:x;1"), schemas=[{"@id": "dtmi:s:x;1", **obj(f="dtmi:s:x;1")}]), "deep"),
        (interface(telemetry("a"), schemas=[obj(x="double")]), "not a DTMI"),
        (interface(component("c", 5)), "not a DTMI"),
        (interface(extends="dtmi:test:nowhere;1"), "is not declared"),
        (interface(extends=DEVICE), "extends itself"),
        (chain(13), "levels deep"),
        (interface(telemetry("a"), extends=interface(telemetry("a"), model_id="dtmi:test:b;1")), "declared twice"),
        ([interface(), interface(telemetry("a"))], "declared twice in its document"),
        (interface(telemetry("a", description=5)), "give a text"),
    ],
)
def test_what_cannot_be_used_is_refused(document: object, message: str) -> None:
    """Each fault of a declaration ends in an error that says what it is."""
    with pytest.raises(ModelError, match=re.escape(message)):
        columns_of(document)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{", "not JSON"),
        ("{}".encode("utf-16"), "no text in UTF-8, as JSON is: save it as UTF-8"),
        (b'{"displayName": "gr\xfcn"}', "no text in UTF-8"),
        (b'{"@id": NaN}', "NaN"),
        (b'{"@id": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"displayName": "\\ud800"}', "half of a character"),
        (b'{"@id": "a", "@id": "b"}', "'@id' twice"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_what_is_not_strict_json_is_refused(text: bytes, message: str) -> None:
    """Broken bytes, NaN, a key twice and endless nesting name the file."""
    with pytest.raises(ModelError, match=message):
        read_declarations(text, "broken.json")


def test_a_byte_order_mark_is_no_fault() -> None:
    """Editors on Windows write one."""
    text = b"\xef\xbb\xbf" + json.dumps(interface()).encode()
    assert list(read_declarations(text, "x.json")) == [DEVICE]


DOUBLE = "dtmi:dtdl:instance:Schema:double;2"
SPELLINGS = [
    telemetry("heat", description="Air"),
    telemetry("heat", description=["Air"]),
    telemetry("heat", description={"en": "Air"}),
    telemetry("heat", description=[{"@value": "Luft", "@language": "de"}, {"@value": "Air", "@language": "en"}]),
    telemetry(["heat"], ["double"], description="Air"),
    telemetry({"@value": "heat", "@type": "xsd:string"}, {"@id": DOUBLE}, description="Air"),
    {"@type": ["dtmi:dtdl:class:Telemetry;2"], "name": "heat", "schema": DOUBLE,
     "dtmi:dtdl:property:description;2": "Air"},
]  # fmt: skip


@pytest.mark.parametrize("content", SPELLINGS)
def test_json_ld_spellings_are_one(content: dict[str, object]) -> None:
    """A value, a list of one, an object with `@value`, a term or its identifier: the same column."""
    (column,) = columns_of(interface(content)).telemetry
    assert (column.column, column.type, column.description) == ("heat", "double", "Air")


def quantity(type_: str, unit: str, schema: str = "double", kind: str = "Telemetry") -> dict[str, object]:
    return {"@type": [kind, type_], "name": "a", "schema": schema, "unit": unit}


@pytest.mark.parametrize("version", [2, 3, 4])
def test_a_unit_is_of_its_quantity(version: int) -> None:
    """Also where version 3 or 4 does not name the extension that has the quantity."""
    assert names_of(columns_of(interface(quantity("Temperature", "kelvin"), version=version))) == ["a_k"]
    for content, message in (
        (quantity("Temperature", "volt"), "no unit of its type: TemperatureUnit"),
        (quantity("Temperature", "celsius"), "no unit of its type"),
        (quantity("Temperature", "kelvin", "string"), "whose schema is NumericSchema"),
        (quantity("Temperature", "kelvin", kind="Relationship"), "Relationship of version"),
        ({"@type": ["Telemetry", "Temperature"], "name": "a", "schema": "double"}, "no unit"),
    ):
        with pytest.raises(ModelError, match=message):
            columns_of(interface(content, version=version))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"@type": "Property", "name": "a", "schema": "double", "writable": "yes"}, "give a boolean"),
        ({"@type": "Property", "name": "a", "schema": "nothing"}, "neither a DTDL schema nor declared"),
        ({"@type": "Property", "name": "1a", "schema": "double"}, "a name is letters"),
        ({"@type": "Command", "name": "a", "request": {"name": "b"}}, "no schema"),
        ({"@type": "Command", "name": "a", "request": {"name": "b", "schema": "x"}}, "neither a DTDL schema"),
        ({"@type": "Command", "name": "a", "commandType": "later"}, "neither a DTDL schema"),
        ({"@type": "Relationship", "name": "a", "target": "somewhere"}, "not a DTMI"),
        ({"@type": "Relationship", "name": "a", "maxMultiplicity": 0}, "maxMultiplicity"),
        ({"@type": "Component", "name": "a"}, "no schema"),
        ({"@type": "Telemetry", "@id": "dtmi:dtdl:x;1", "name": "a", "schema": "double"}, "keeps for itself"),
        ({"@type": "Telemetry", "@id": "x", "name": "a", "schema": "double"}, "not a DTMI"),
        ({"@type": "Telemetry", "name": "a", "schema": "double", "description": {"english": "x"}}, "language"),
        ({"@type": "Telemetry", "name": "a" * 65, "schema": "double"}, "at most 64"),
        ({"@type": "Telemetry", "name": "a", "schema": None}, "null"),
    ],
)
def test_what_becomes_no_column_is_checked_too(content: dict[str, object], message: str) -> None:
    """Properties, commands, relationships and identifiers are held to the language as telemetry is."""
    with pytest.raises(ModelError, match=message):
        columns_of(interface(content))


def test_what_was_taken_before_is_read_as_it_is() -> None:
    """A stored document that breaks a rule which was not asked for then does not stop the lakehouse."""
    text = json.dumps(interface(quantity("Temperature", "volt"))).encode()
    with pytest.raises(ModelError, match="no unit of its type"):
        read_declarations(text, "x.json")
    assert list(read_declarations(text, "x.json", is_known=True)) == [DEVICE]
