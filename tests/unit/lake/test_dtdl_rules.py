"""The rules of DTDL, version 2 to 4: of each kind a document that holds to it and one that breaks it."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from lake.models.dtdl import read_declarations
from lake.models.dtdl_classes import VERSIONS, classes
from lake.models.dtdl_quantities import quantities, units
from lake.models.units import is_known
from runtime.errors import ModelError

Json = dict[str, object]
QUANTITIES_3 = "dtmi:dtdl:extension:quantitativeTypes;1"


def interface(*contents: object, version: int = 3, extensions: tuple[str, ...] = (), **more: object) -> Json:
    context = [f"dtmi:dtdl:context;{version}", *(f"dtmi:dtdl:extension:{each}" for each in extensions)]
    return {"@context": context, "@id": "dtmi:t:device;1", "@type": "Interface", "contents": list(contents), **more}


def content(kind: str, name: str = "a", **more: object) -> Json:
    return {"@type": kind, "name": name, **({"schema": "double"} if kind in ("Telemetry", "Property") else {}), **more}


def refusal(document: object) -> str:
    """What is said against a document; "" when it is taken."""
    try:
        read_declarations(json.dumps(document).encode(), "case.json")
    except ModelError as error:
        return str(error)
    return ""


def command(schema: object = "double", version: int = 3, **more: object) -> Json:
    kind = "CommandPayload" if version == 2 else "CommandRequest"
    return content("Command", request={"@type": kind, "name": "r", "schema": schema, **more})


ENUM = {"@type": "Enum", "valueSchema": "integer", "enumValues": [{"name": "on", "enumValue": 1}]}
MAP = {"@type": "Map", "mapKey": {"name": "k", "schema": "string"}, "mapValue": {"name": "v", "schema": "double"}}
OBJECT = {"@type": "Object", "fields": [{"name": "f", "schema": "double"}]}
ARRAY = {"@type": "Array", "elementSchema": "double"}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_class_and_property_is_taken(version: int) -> None:
    """One Interface that says all that the language can say."""
    texts: dict[str, Any] = {"comment": "c", "description": {"en": "d"}, "displayName": {"en": "n", "de": "N"}}
    reply = {"@type": "CommandPayload" if version == 2 else "CommandResponse", "name": "r", "schema": ENUM, **texts}
    link = {"target": "dtmi:t:other;1", "minMultiplicity": 0, "maxMultiplicity": 2, "writable": True,
            "properties": [content("Property")], **texts}  # fmt: skip
    document = interface(
        content("Telemetry", "t", **{**texts, "schema": MAP}),
        content("Property", "p", writable=True, **{**texts, "schema": OBJECT}),
        {**command(MAP, version), **texts, "name": "c", "response": reply},
        content("Relationship", "r", **link),
        content("Component", "k", schema="dtmi:t:other;1", **texts),
        version=version,
        schemas=[{"@id": "dtmi:t:array;1", **ARRAY, **texts}],
        extends=["dtmi:t:other;1"],
        **texts,
    )
    assert refusal(document) == ""


@pytest.mark.parametrize(
    ("document", "where", "what"),
    [
        (interface(content("Telemetry", writable=True)), "'a' in contents of dtmi:t:device;1", "does not have"),
        (interface(content("Relationship", target=["x", "y"])), "target of 'a'", "at most 1"),
        (interface(content("Relationship", minMultiplicity=1)), "minMultiplicity of 'a'", "0"),
        (interface(content("Relationship", properties=[content("Telemetry", "b")])), "properties of 'a'", "a Property"),
        (interface(content("Command", response={"name": "b"})), "'b' in response of 'a'", "no schema"),
        (interface(command(nullable="no")), "nullable of 'r' in request of 'a'", "boolean"),
        (interface(command(version=2, nullable=True), version=2), "", ""),
        (interface(content("Telemetry", schema={"@type": "Array"})), "schema of 'a'", "no elementSchema"),
        (interface(content("Telemetry", schema={**MAP, "mapKey": {"name": "k", "schema": "double"}})),
         "schema of 'k' in mapKey of schema of 'a'", "give one of string"),
        (interface(content("Telemetry", schema={**MAP, "mapValue": None})), "mapValue of schema of 'a'", "null"),
        (interface(content("Telemetry", schema={**ENUM, "valueSchema": "double"})), "valueSchema of schema of 'a'",
         "integer, string"),
        (interface(content("Telemetry", schema={**ENUM, "enumValues": [{"name": "x", "enumValue": "1"}]})),
         "schema of 'a'", "not of type integer"),
        (interface(content("Telemetry", schema="bytes")), "schema of 'a'", "neither a DTDL schema"),
        (interface(content("Telemetry", schema="bytes"), version=4), "", ""),
        (interface(content("Telemetry"), colour="red"), "dtmi:t:device;1", "'colour', which Interface"),
        (interface(schemas=[{"@id": "dtmi:t:s;1", **content("Telemetry")}]), "schemas of", "ComplexSchema"),
        (interface({"@context": "dtmi:dtdl:context;2", **content("Telemetry")}), "", ""),
        (interface(schemas=[{"@context": "dtmi:dtdl:context;2", "@id": "dtmi:t:s;1", **ARRAY}]), "schemas of",
         "Array of version 2"),
        (interface({"@context": "dtmi:dtdl:context;4", **content("Telemetry")}), "'a' in contents", "version 4"),
    ],
)  # fmt: skip
def test_each_property_is_held_to_its_rule(document: Json, where: str, what: str) -> None:
    """What is refused names the file, the element and the rule; what the language allows is taken."""
    said = refusal(document)
    assert said == "" if not what else said.startswith("case.json is not DTDL: ") and where in said and what in said


def fields(count: int) -> Json:
    return {"@type": "Object", "fields": [{"name": f"f{each}", "schema": "double"} for each in range(count)]}


def values(count: int) -> Json:
    return {**ENUM, "enumValues": [{"name": f"v{each}", "enumValue": each} for each in range(count)]}


def many(count: int) -> list[Json]:
    return [content("Telemetry", f"t{each}") for each in range(count)]


@pytest.mark.parametrize(
    ("most", "what"),
    [
        (lambda n: interface(content("Telemetry", "n" * (64 + n)), version=2), "at most 64"),
        (lambda n: interface(content("Telemetry", "n" * (512 + n))), "at most 512"),
        (lambda n: interface(content("Telemetry", displayName="n" * (64 + n)), version=2), "at most 64"),
        (lambda n: interface(content("Telemetry", displayName={"en": "n" * (512 + n)})), "at most 512"),
        (lambda n: interface(content("Telemetry", description="n" * (512 + n)), version=4), "at most 512"),
        (lambda n: interface(comment="n" * (512 + n), version=2), "at most 512"),
        (lambda n: interface(*many(300 + n), version=2), "at most 300"),
        (lambda n: interface(*many(301), extends=[f"dtmi:t:b{each};1" for each in range(1024 + n)]), "at most 1024"),
        (lambda n: interface(extends=[f"dtmi:t:b{each};1" for each in range(2 + n)], version=2), "at most 2"),
        (lambda n: interface(content("Telemetry", schema=fields(30 + n))), "at most 30"),
        (lambda n: interface(content("Telemetry", schema=values(100 + n))), "at most 100"),
        (lambda n: {**interface(), "@id": f"dtmi:{'n' * (121 + n)};1"}, "may have 128"),
        (lambda n: interface({"@id": f"dtmi:{'n' * (2041 + n)};1", **content("Telemetry")}), "not a DTMI"),
    ],
)  # fmt: skip
def test_limits_are_to_the_one(most: Callable[[int], Json], what: str) -> None:
    """The longest and the most are taken, one more is refused, by version."""
    assert refusal(most(0)) == ""
    assert what in refusal(most(1))


def test_without_limits_texts_are_of_any_length() -> None:
    """Version 4 can be told that there are no limits; limits stand right behind that."""
    long = content("Telemetry", "n" * 600, description="d" * 600)
    free, bound = "dtmi:dtdl:context;4#limitless", "dtmi:dtdl:context;4#limits"
    for context, what in (
        ([free], ""),
        ([free, "dtmi:dtdl:limits:example;1"], ""),
        (["dtmi:dtdl:context;4"], "at most 512"),
        ([free, bound], "at most 512"),
        (["dtmi:dtdl:context;4", bound], "right behind"),
        ([free, "dtmi:dtdl:extension:quantitativeTypes;2", bound], "right behind"),
        (["dtmi:dtdl:context;3#limitless"], "limits are of version 4"),
    ):
        said = refusal({**interface(long), "@context": context})
        assert said == "" if not what else what in said


@pytest.mark.parametrize(
    ("context", "what"),
    [
        (["dtmi:dtdl:context;2", "dtmi:iotcentral:context;2"], ""),
        (["dtmi:dtdl:context;3", QUANTITIES_3, "dtmi:com:example:own;1"], ""),
        (["dtmi:iotcentral:context;2"], "first"),
        ([QUANTITIES_3, "dtmi:dtdl:context;3"], "comes first"),
        (["dtmi:dtdl:context;5"], "versions 2, 3, 4 are known"),
        (["dtmi:dtdl:context;3.9"], "versions 2, 3, 4 are known"),
        (["dtmi:dtdl:contexts;3"], "comes first"),
        (["dtmi:dtdl:context;3", "dtmi:dtdl:nothing;1"], "not known"),
        ([3], "give identifiers"),
        ([], "is empty"),
    ],
)
def test_contexts_come_in_order(context: object, what: str) -> None:
    """The language first, then extensions; an extension that is not known is let be."""
    said = refusal({**interface(content("Telemetry")), "@context": context})
    assert said == "" if not what else "@context of dtmi:t:device;1" in said and what in said


@pytest.mark.parametrize(("version", "extension"), [(2, 1), (3, 1), (4, 2)])
def test_every_quantity_takes_its_units_and_no_others(version: int, extension: int) -> None:
    """Each unit of each quantity is taken where it belongs; that of another quantity is refused."""
    extensions = () if version == 2 else (f"quantitativeTypes;{extension}",)
    for quantity, family in quantities(extension).items():
        for unit in units(extension)[family]:
            each = {**content("Telemetry", unit=unit), "@type": ["Telemetry", quantity]}
            assert refusal(interface(each, version=version, extensions=extensions)) == "", (quantity, unit)
        foreign = "metre" if family != "LengthUnit" else "kelvin"
        said = refusal(
            interface({**content("Telemetry", unit=foreign), "@type": ["Telemetry", quantity]}, version=version)
        )
        assert f"unit of 'a' in contents of dtmi:t:device;1 is '{foreign}'" in said
        assert family in said


def test_every_unit_of_the_language_is_spelt_in_columns() -> None:
    """A unit that a quantity takes has a suffix of its own."""
    assert [each for names in units(2).values() for each in names if not is_known(each)] == []


def typed(*types: str, **more: object) -> Json:
    return {**content("Telemetry"), "@type": ["Telemetry", *types], **more}


IN_FULL = "dtmi:dtdl:extension:quantitativeTypes:v1"
HEAT = {"unit": "kelvin"}


@pytest.mark.parametrize(
    ("version", "each", "what"),
    [
        (3, {"@type": ["Telemetry", f"{IN_FULL}:class:Temperature"], f"{IN_FULL}:property:unit": "kelvin", "name": "a",
             "schema": "float"}, ""),
        (2, typed("dtmi:standard:class:Temperature;2", unit="dtmi:standard:unit:kelvin;2"), ""),
        (3, typed("Temperature", schema=ARRAY, **HEAT), "whose schema is NumericSchema"),
        (3, typed("Temperature", "Pressure", **HEAT), "one quantity only"),
        (3, typed("Temperature"), "no unit: give one"),
        (3, typed("Temperature", unit=["kelvin", "kelvin"]), "give the name of a unit"),
        (3, typed("Hotness"), "'Hotness', which is not known"),
        (2, typed("Hotness"), ""),
        (2, typed("ApparentPower", unit="voltAmpere"), ""),
        (3, typed("ApparentPower", unit="voltAmpere"), "not known"),
        (4, typed("ApparentPower", unit="voltAmpere"), ""),
        (3, {**command(), "@type": ["Command", "Temperature"], **HEAT}, "does not take"),
        (3, content("Property", schema="TemperatureUnit"), ""),
        (3, content("Property", schema="WarmthUnit"), "neither a DTDL schema"),
    ],
)  # fmt: skip
def test_semantic_types_stand_where_they_may(version: int, each: Json, what: str) -> None:
    """By name or identifier, one quantity, with its unit, on a number; version 2 lets unknown types be."""
    extensions = () if version == 2 else (f"quantitativeTypes;{version - 2}",)
    said = refusal(interface(each, version=version, extensions=extensions))
    assert said == "" if not what else "'a' in contents of dtmi:t:device;1" in said and what in said


NOTE = {"@type": ["Property", "ValueAnnotation"], "name": "note", "annotates": "a", "schema": "string"}
OVERRIDE = {**NOTE, "@type": ["Property", "ValueAnnotation", "Override"], "name": "scale", "overrides": "unit",
            "schema": "TemperatureUnit"}  # fmt: skip


@pytest.mark.parametrize(
    ("contents", "what"),
    [
        ([content("Telemetry"), NOTE], ""),
        ([content("Telemetry"), {**NOTE, "annotates": 5}], "annotates of 'note'"),
        ([content("Telemetry"), {**NOTE, "annotates": None}], "give a value"),
        ([content("Command"), NOTE], "only a telemetry or property"),
        ([content("Telemetry"), NOTE, {**NOTE, "name": "of_note", "annotates": "note"}], "no annotation itself"),
        ([typed("Temperature", **HEAT), OVERRIDE], ""),
        ([content("Telemetry"), OVERRIDE], "none to replace"),
        ([typed("Temperature", **HEAT), {**OVERRIDE, "overrides": "schema"}], "none to replace"),
        ([typed("Temperature", **HEAT), {**OVERRIDE, "schema": "LengthUnit"}], "does not list 'kelvin'"),
        ([typed("Temperature", **HEAT), OVERRIDE, {**OVERRIDE, "name": "other"}], "overridden twice"),
        ([{**content("Telemetry"), "@type": ["Telemetry", "Historized"]}], ""),
        ([{**command(), "@type": ["Command", "Historized"]}], "does not take"),
        ([content("Property"), {**content("Property", "b", initialValue=5), "@type": ["Property", "Initialized"]}], ""),
        ([content("Property", initialValue=5)], "does not have"),
        ([{**command(), "@type": ["Command", "Idempotent", "Cacheable"], "ttl": "PT15S"}], ""),
        ([{**command(), "@type": ["Command", "Cacheable"], "ttl": "PT15S"}], "without Idempotent"),
        ([{**command(), "@type": ["Command", "Idempotent", "Cacheable"], "ttl": "soon"}], "give a duration"),
        ([{**command(), "@type": ["Command", "Idempotent"], "ttl": "PT15S"}], "does not have"),
    ],
)
def test_extensions_are_held_to_their_rules(contents: list[Json], what: str) -> None:
    """Annotation, Overriding, Historization, Initialization and MQTT."""
    named = ("quantitativeTypes;1", "annotation;1", "historization;1", "initialization;1", "overriding;1", "mqtt;1")
    said = refusal(interface(*contents, extensions=named))
    assert said == "" if not what else what in said and "dtmi:t:device;1" in said


def nested(depth: int) -> object:
    return "double" if depth == 0 else {"@type": "Array", "elementSchema": nested(depth - 1)}


@pytest.mark.parametrize(
    ("document", "what"),
    [
        (interface(content("Property", schema=nested(8))), ""),
        (interface(content("Property", schema=nested(9))), "deep"),
        (interface(command({**OBJECT, "@id": "dtmi:t:o;1", "fields": [{"name": "f", "schema": "dtmi:t:o;1"}]})),
         "holds itself"),
        (interface(content("Property", schema=ARRAY)), ""),
        (interface(content("Property", schema=ARRAY), version=2), "cannot hold one"),
        (interface(content("Property", schema="polygon"), version=2), "cannot hold one"),
        (interface(content("Property", schema=OBJECT), version=2), ""),
        (interface(content("Component", schema="dtmi:t:device;1")), "itself as a component"),
        ([interface(content("Component", schema="dtmi:t:other;1")),
          {**interface(content("Component", schema="dtmi:t:device;1")), "@id": "dtmi:t:other;1"}],
         "break the circle"),
        (interface(content("Component", schema="dtmi:t:nowhere;1")), ""),
        (interface(content("Property", schema="dtmi:t:nowhere;1")), "nor declared in its document"),
    ],
)  # fmt: skip
def test_elements_fit_together(document: object, what: str) -> None:
    """Schemas end, components do not hold themselves, references lead somewhere."""
    said = refusal(document)
    assert said == "" if not what else what in said and "dtmi:t:device;1" in said


def test_what_is_nested_without_measure_is_refused() -> None:
    """Hundreds of levels are a sentence, whatever class they are of."""
    assert "too deeply" in refusal(interface(content("Property", schema=nested(400)), version=4))


@pytest.mark.parametrize(
    ("each", "said"),
    [
        (content("Telemetry", schema="dubble"), "schema of 'a' in contents of dtmi:t:device;1 is 'dubble', which is "
         "not a DTMI, neither a DTDL schema nor declared: did you mean 'double'?"),
        (content("Telemetry", schema="number"), "known are boolean, date, dateTime, double,"),
        (content("telemetry"), "has the type 'telemetry', which is not known: did you mean 'Telemetry'?"),
        (typed("Temprature", **HEAT), "did you mean 'Temperature'?"),
        (typed("Temperature"), "'a' in contents of dtmi:t:device;1 has no unit: give one of kelvin, degreeCelsius, "),
        (typed("Temperature", unit="celsius"), "TemperatureUnit has kelvin, degreeCelsius, degreeFahrenheit."),
        (content("Telemetry", displayname="x"), "did you mean 'displayName'?"),
        (content("Telemetry", maxValue=5), "known are comment, description, displayName, name, schema."),
    ],
)  # fmt: skip
def test_a_refusal_says_what_would_do(each: Json, said: str) -> None:
    """The nearest word, or the few that are known."""
    assert said in refusal(interface(each, extensions=("quantitativeTypes;1",)))


def test_the_tables_are_whole() -> None:
    """Every class that a property asks for is there, or is a kind of several that are."""
    for version in VERSIONS:
        kinds = {kind for rule in classes(version).values() for kind in rule["kin"]}
        asked = {each["of"] for rule in classes(version).values() for each in rule["props"].values() if "of" in each}
        assert asked - {""} <= kinds
        patterns = [each["pattern"] for rule in classes(version).values() for each in rule["props"].values()
                    if "pattern" in each]  # fmt: skip
        assert all(re.compile(each) for each in patterns)
