"""Device models: built-in ones, quality files, tables, versions, and adding one's own."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lake.models.catalog import (
    BUILT_IN_MODELS,
    Model,
    find_model,
    known_models,
    load_models,
    plural,
    silver_table,
    silver_tables,
)
from lake.models.documents import QUALITY_SUFFIX
from lake.models.dtdl_quantities import quantities, units
from lake.models.kind_columns import KindColumn, kind_columns
from lake.models.kinds import DEFAULT_GAUGE, Kind
from lake.models.store import add_models, known_catalog
from lake.models.telemetry import NUMERIC_TYPES
from lake.models.units import integral_of
from lake.tables.contracts import Column
from lake.tables.silver import READING_COLUMNS
from runtime.errors import ModelError, UsageError
from runtime.settings import Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A lakehouse of its own, without added models."""
    return load_settings({"LAKEHOUSE_HOME": str(tmp_path / "home")})


def telemetry(name: str, schema: object = "double", **more: object) -> dict[str, object]:
    return {"@type": "Telemetry", "name": name, "schema": schema, **more}


def interface(model_id: str, *contents: object, **more: object) -> dict[str, object]:
    head = {"@context": "dtmi:dtdl:context;2", "@id": model_id, "@type": "Interface"}
    return {**head, "contents": list(contents), **more}


def write(folder: Path, name: str, document: object, quality: object = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(document))
    if quality is not None:
        (folder / f"{name}{QUALITY_SUFFIX}").write_text(json.dumps(quality))
    return path


def load_one(folder: Path, document: object, quality: object = None) -> Model:
    write(folder, "model", document, quality)
    (model,) = load_models([folder]).values()
    return model


OVEN = interface("dtmi:test:oven;1", telemetry("heat", unit="degreeCelsius"), telemetry("mode", "string"))


# built-in models


def test_the_built_in_models() -> None:
    """Three kinds of devices come with the project, each with its table, interval and units."""
    models = load_models([BUILT_IN_MODELS])
    tables = {model_id: (model.table, model.quality.reporting_interval_s) for model_id, model in models.items()}
    assert tables == {
        "dtmi:lakehouse:energy_meter;1": ("silver.energy_meters", 300),
        "dtmi:lakehouse:pump;1": ("silver.pumps", 300),
        "dtmi:lakehouse:thermostat;1": ("silver.thermostats", 60),
    }
    thermostat = models["dtmi:lakehouse:thermostat;1"]
    assert [each.column for each in thermostat.telemetry] == ["temperature_degc", "humidity_pct"]
    pump = models["dtmi:lakehouse:pump;1"]
    assert {each.column for each in pump.telemetry} >= {"state", "is_running", "motor_vibration_mm_s", "pressure_kpa"}
    assert pump.components == ("motor",)
    assert [pump.metric_name(each) for each in pump.telemetry if each.component] == [
        "motor.vibration", "motor.temperature", "motor.speed",
    ]  # fmt: skip


def test_every_built_in_number_has_a_range() -> None:
    """A reading outside of what a device can measure is refused, for every number that comes with the project."""
    for model in load_models([BUILT_IN_MODELS]).values():
        for each in model.telemetry:
            if each.type in NUMERIC_TYPES:
                assert each.minimum is not None, each.column
                assert each.maximum is not None, each.column


def test_every_built_in_quality_file_has_a_model() -> None:
    """A quality file beside no model would be looked at by nobody."""
    files = sorted(BUILT_IN_MODELS.glob(f"*{QUALITY_SUFFIX}"))
    assert len(files) == 3
    assert [
        each.name for each in files if not each.with_name(each.name.replace(QUALITY_SUFFIX, ".json")).exists()
    ] == []


# quality files


def test_defaults_hold_without_a_quality_file(tmp_path: Path) -> None:
    """A model alone is enough: limits have defaults, ranges are open."""
    model = load_one(tmp_path, OVEN)
    quality = model.quality
    assert (quality.reporting_interval_s, quality.late_after_s, quality.max_rejected_ratio) == (60, 300, 0.05)
    assert (quality.max_payload_bytes, quality.max_staleness_s) == (262_144, None)
    assert model.telemetry[0].minimum is None
    assert model.telemetry[0].maximum is None


def test_ranges_reach_the_columns(tmp_path: Path) -> None:
    """A range is inclusive and may be open on one side; it shows in the column's description."""
    model = load_one(tmp_path, OVEN, {"ranges": {"heat": [None, 300]}, "late_after_s": 10})
    assert (model.telemetry[0].minimum, model.telemetry[0].maximum) == (None, 300.0)
    assert model.quality.late_after_s == 10
    assert silver_table([model]).columns[len(READING_COLUMNS)] == Column("heat_degc", "double", "heat; from any to 300")


def test_kinds_reach_the_columns(tmp_path: Path) -> None:
    """The quality file says what a telemetry is, else its schema; no kinds leave the digest as it was."""
    oven = interface("dtmi:test:oven;1", telemetry("heat"), telemetry("isHot", "boolean"))
    plain = load_one(tmp_path, oven)
    assert [each.kind.name for each in plain.telemetry] == ["gauge", "state"]
    assert kind_columns([plain]) == [
        KindColumn(plain.table, each.column, each.metric_name, each.unit, each.kind) for each in plain.telemetry
    ]
    assert load_one(tmp_path, oven, {"kinds": {}}).digest == plain.digest
    counted = load_one(tmp_path, oven, {"kinds": {"heat": {"kind": "counter", "max": 10, "carry_limit_s": 60}}})
    assert counted.telemetry[0].kind == Kind("counter", 60, 10.0)
    assert counted.digest != plain.digest
    newer = replace(plain, model_id="dtmi:test:oven;2")
    assert [each.kind.name for each in kind_columns([newer, counted])] == ["gauge", "state"]  # the newest version says


def test_built_in_models_say_what_can_be_made_of_their_telemetry() -> None:
    """Of the meter's register there are increases, and of its power, on straight lines between readings, energy."""
    of_meters = [each for each in kind_columns(load_models([BUILT_IN_MODELS]).values()) if "meter" in each.table]
    named = {each.metric_name: each for each in of_meters}
    energy, power = named.pop("energy"), named.pop("power")
    assert (energy.metric_name, energy.unit, energy.kind.name) == ("energy", "kwh", "counter")
    assert (power.metric_name, power.kind.name, power.kind.interpolation) == ("power", "gauge", "linear")
    assert integral_of(power.unit).unit == "wh"
    assert {each.kind for each in named.values()} == {DEFAULT_GAUGE}


def test_a_semantic_type_makes_no_kind(tmp_path: Path) -> None:
    """Of whatever quantity a number is, it is a gauge; the quality file makes a counter of it."""
    families = units(1)
    contents = [
        {"@type": ["Telemetry", quantity], "name": quantity, "schema": "double", "unit": families[family][0]}
        for quantity, family in quantities(1).items()
    ]
    meter = interface("dtmi:test:meter;1", *contents)
    found = load_one(tmp_path, meter)
    assert {"Energy", "Volume", "Power"} <= {each.name for each in found.telemetry}
    assert {each.kind for each in found.telemetry} == {DEFAULT_GAUGE}
    assert {each.kind for each in kind_columns([found])} == {DEFAULT_GAUGE}
    columns = kind_columns([load_one(tmp_path, meter, {"kinds": {"Energy": "counter"}})])
    (counter,) = (each for each in columns if each.kind.name == "counter")
    assert (counter.metric_name, counter.unit) == ("Energy", "j")


@pytest.mark.parametrize(
    ("quality", "message"),
    [
        ({"range": {}}, "unknown key 'range'"),
        ({"ranges": {"heet": [0, 1]}}, "did you mean 'heat'"),
        ({"ranges": {"mode": [0, 1]}}, "not a numeric telemetry"),
        ({"ranges": {"heat": [1]}}, "minimum, maximum"),
        ({"ranges": {"heat": [None, None]}}, "minimum, maximum"),
        ({"ranges": {"heat": [2, 1]}}, "above its maximum"),
        ({"ranges": {"heat": ["0", 1]}}, "not a finite number"),
        ({"ranges": {"heat": [True, 1]}}, "not a finite number"),
        ({"ranges": {"heat": [0, 10**400]}}, "not a finite number"),
        ({"ranges": []}, "must be an object"),
        ({"kinds": []}, "kinds in .* must be an object"),
        ({"kinds": {"heat": "counted"}}, "give one of gauge, counter, state. Did you mean counter"),
        ({"kinds": {"heat": ["counter"]}}, "give one of gauge, counter, state"),
        ({"kinds": {"heat": {"kind": {}}}}, "give one of gauge, counter, state"),
        ({"kinds": {"heat": {"kind": "gauge", "max": 5}}}, "a gauge may have kind, carry_limit_s, interpolation"),
        ({"kinds": {"heat": {"kind": "counter", "max": 0}}}, "the number above 0"),
        ({"kinds": {"heat": {"kind": "counter", "carry_limit_s": 2_678_401}}}, "from 0 to 2678400"),
        ({"kinds": {"heat": {"kind": "gauge", "interpolation": "cubic"}}}, "give previous or linear"),
        ({"kinds": {"heat": "state"}}, "not a telemetry of booleans, texts, enumerations or whole numbers"),
        ({"kinds": {"mode": "counter"}}, "not a numeric telemetry"),
        ({"kinds": {"heet": "counter"}}, "did you mean 'heat'"),
        ({"reporting_interval_s": 0}, "at least 1"),
        ({"reporting_interval_s": 1.5}, "whole number"),
        ({"reporting_interval_s": True}, "whole number"),
        ({"reporting_interval_s": None}, "whole number"),
        ({"late_after_s": -1}, "at least 0"),
        ({"max_rejected_ratio": 5}, "from 0 to 1"),
        ({"table": 5}, "give a name"),
        ({"table": "Silver.Ovens"}, "words of a-z"),
        ({"table": "gold.ovens"}, "words of a-z"),
        ({"table": "silver.rejected"}, "uses itself"),
        ([], "one JSON object"),
        ({"dtmi:test:other;1": {}}, "does not declare"),
        ({"dtmi:test:oven;1": 5}, "object of values"),
    ],
)
def test_quality_files_are_strict(tmp_path: Path, quality: object, message: str) -> None:
    """A key, name or value that means nothing is refused, naming the file, rather than left without effect."""
    with pytest.raises(ModelError, match=message) as caught:
        load_one(tmp_path, OVEN, quality)
    assert "model.quality.json" in str(caught.value)


def test_one_quality_file_may_speak_of_several_models(tmp_path: Path) -> None:
    """A file with several kinds of devices has their values by DTMI; values for 'the' model would be ambiguous."""
    document = [OVEN, interface("dtmi:test:fridge;1", telemetry("cold"))]
    write(tmp_path, "kitchen", document, {"dtmi:test:oven;1": {"late_after_s": 7}})
    models = load_models([tmp_path])
    assert [model.quality.late_after_s for model in models.values()] == [300, 7]
    write(tmp_path, "kitchen", document, {"late_after_s": 7})
    with pytest.raises(ModelError, match="several device models"):
        load_models([tmp_path])


# tables


@pytest.mark.parametrize(
    ("model_id", "table"),
    [
        ("dtmi:com:example:TemperatureController;1", "silver.temperature_controllers"),
        ("dtmi:a:battery;3", "silver.batteries"),
        ("dtmi:a:gateway", "silver.gateways"),
        ("dtmi:a:switch;1", "silver.switches"),
        ("dtmi:a:sensors;1", "silver.sensors"),
        ("dtmi:a:deviceStatus;1", "silver.device_statuses"),
    ],
)
def test_the_table_follows_from_the_dtmi(tmp_path: Path, model_id: str, table: str) -> None:
    """The last segment in snake case and plural."""
    assert load_one(tmp_path, interface(model_id, telemetry("x"))).table == table


def test_a_table_of_the_lakehouse_is_never_taken(tmp_path: Path) -> None:
    """A model named `device` must not write into the registry."""
    model = load_one(tmp_path, interface("dtmi:acme:device;1", telemetry("x")))
    assert model.table == "silver.device_readings"
    assert any("silver.devices" in note for note in model.notes)


def test_plural() -> None:
    """English plurals of the last word."""
    assert [plural(word) for word in ("energy_meter", "bus", "box", "key")] == [
        "energy_meters",
        "buses",
        "boxes",
        "keys",
    ]


def test_a_silver_table_is_a_reading_and_its_telemetry(tmp_path: Path) -> None:
    """Telemetry stands after the columns of every reading and may be null, since a message may leave it out."""
    table = silver_table([load_one(tmp_path, OVEN)])
    assert table.columns[: len(READING_COLUMNS)] == READING_COLUMNS
    assert [(each.name, each.nullable) for each in table.columns[len(READING_COLUMNS) :]] == [
        ("heat_degc", True), ("mode", True),
    ]  # fmt: skip
    assert table.partition_by == ("event_date",)


def test_versions_share_a_table(tmp_path: Path) -> None:
    """A later version adds its columns at the end and widens numbers; the order of files does not matter."""
    v2 = interface("dtmi:test:meter;2", telemetry("fresh"), telemetry("count", "long"), telemetry("level", "integer"))
    v10 = interface("dtmi:test:meter;10", telemetry("level", "double"), telemetry("count", "integer"))
    write(tmp_path, "a", v10)
    write(tmp_path, "b", v2)
    (table,) = silver_tables(load_models([tmp_path]).values()).values()
    columns = table.columns[len(READING_COLUMNS) :]
    assert [(each.name, each.type) for each in columns] == [
        ("fresh", "double"), ("count", "bigint"), ("level", "double"),
    ]  # fmt: skip


def test_a_version_shares_the_table_that_another_names(tmp_path: Path) -> None:
    """`table` in the first version's quality file holds for the second too."""
    write(tmp_path, "a", OVEN, {"table": "kilns"})
    write(tmp_path, "b", interface("dtmi:test:oven;2", telemetry("heat", unit="degreeCelsius")))
    assert {model.table for model in load_models([tmp_path]).values()} == {"silver.kilns"}
    write(tmp_path, "b", interface("dtmi:test:oven;2", telemetry("x")), {"table": "stoves"})
    with pytest.raises(ModelError, match="share a table"):
        load_models([tmp_path])


@pytest.mark.parametrize(
    ("later", "message"),
    [
        (interface("dtmi:test:oven;2", telemetry("mode", "double")), "dtmi:test:oven;1 and double in dtmi:test:oven;2"),
        (interface("dtmi:other:oven;1", telemetry("heat")), "different kinds of device"),
        (interface("dtmi:test:oven;1", telemetry("heat")), "what a DTMI says does not change"),
        # its telemetry comes out under the names of version 1, swapped
        (interface("dtmi:test:oven;2", telemetry("b_c", "string"), telemetry("bC", "string")), "keep the order"),
    ],
)
def test_what_does_not_fit_together_is_refused(tmp_path: Path, later: object, message: str) -> None:
    """Clashing types, tables, declarations and swapped columns name both sides."""
    first = interface("dtmi:test:oven;1", telemetry("mode", "string"), telemetry("bC", "string"),
                      telemetry("b_c", "string"))  # fmt: skip
    write(tmp_path, "first", first)
    write(tmp_path, "later", later)
    with pytest.raises(ModelError, match=message):
        load_models([tmp_path])


# which Interfaces are device models


def test_an_interface_that_another_uses_is_no_device_model(tmp_path: Path) -> None:
    """Components and bases of a file have no table of their own; a former version of the same model has."""
    part = interface("dtmi:test:thermostat;1", telemetry("t"))
    device = interface("dtmi:test:room;1", {"@type": "Component", "name": "c", "schema": "dtmi:test:thermostat;1"})
    write(tmp_path, "room", [device, part])
    assert list(load_models([tmp_path])) == ["dtmi:test:room;1"]
    newer = interface("dtmi:test:oven;2", telemetry("more"), extends="dtmi:test:oven;1")
    write(tmp_path, "room", [OVEN, newer])
    assert list(load_models([tmp_path])) == ["dtmi:test:oven;1", "dtmi:test:oven;2"]


def test_interfaces_that_use_each_other_are_refused(tmp_path: Path) -> None:
    """A circle of components would leave no device model at all."""
    pair = [
        interface(f"dtmi:test:{name};1", {"@type": "Component", "name": "c", "schema": f"dtmi:test:{other};1"})
        for name, other in (("a", "b"), ("b", "a"))
    ]
    write(tmp_path, "pair", pair)
    with pytest.raises(ModelError, match="in a circle"):
        load_models([tmp_path])


def test_the_digest_follows_what_is_said(tmp_path: Path) -> None:
    """Spacing does not change a model's digest; a telemetry, a quality value and a used Interface do."""
    digest = load_one(tmp_path, OVEN).digest
    (tmp_path / "model.json").write_text(json.dumps(OVEN, indent=3, sort_keys=True))
    assert load_models([tmp_path])["dtmi:test:oven;1"].digest == digest
    assert load_one(tmp_path, OVEN, {"late_after_s": 1}).digest != digest
    assert load_one(tmp_path, {**OVEN, "description": "hot"}).digest != digest
    base = [interface("dtmi:test:base;1", telemetry(name)) for name in ("a", "b")]
    device = interface("dtmi:test:oven;1", telemetry("x"), extends="dtmi:test:base;1")
    assert load_one(tmp_path, [device, base[0]]).digest != load_one(tmp_path, [device, base[1]]).digest


def test_an_unknown_model_is_answered_with_near_ones(settings: Settings) -> None:
    """A slip of the pen in a DTMI is told; without a version the newest is meant."""
    models = known_models(settings)
    assert find_model(models, "dtmi:lakehouse:pump").model_id == "dtmi:lakehouse:pump;1"
    with pytest.raises(UsageError, match="did you mean dtmi:lakehouse:thermostat;1"):
        find_model(models, "dtmi:lakehouse:termostat;1")
    with pytest.raises(UsageError, match="models list"):
        find_model(models, "dtmi:acme:zeppelin;1")


# adding


def test_adding_a_model(settings: Settings, tmp_path: Path) -> None:
    """The model is known afterwards with the values beside its file, and adding it again changes nothing."""
    path = write(tmp_path, "oven", OVEN, {"ranges": {"heat": [0, 300]}})
    added = add_models(settings, [path])
    assert added.paths == (settings.models_folder / "test.oven-1.json",)
    assert [model.table for model in added.models] == ["silver.ovens"]
    assert known_models(settings)["dtmi:test:oven;1"].telemetry[0].maximum == 300
    before = {each.name: each.read_bytes() for each in settings.models_folder.iterdir()}
    assert add_models(settings, [path]).paths == ()
    assert {each.name: each.read_bytes() for each in settings.models_folder.iterdir()} == before
    assert sorted(before) == ["test.oven-1.json", "test.oven-1.quality.json"]


def test_a_declared_version_does_not_change(settings: Settings, tmp_path: Path) -> None:
    """Other content under a known DTMI is refused and nothing is written; the next version is welcome."""
    add_models(settings, [write(tmp_path, "oven", OVEN)])
    before = {each.name: each.read_bytes() for each in settings.models_folder.iterdir()}
    changed = interface("dtmi:test:oven;1", telemetry("heat", "integer"))
    with pytest.raises(ModelError, match="next version number"):
        add_models(settings, [write(tmp_path, "oven", changed)])
    assert {each.name: each.read_bytes() for each in settings.models_folder.iterdir()} == before
    add_models(
        settings, [write(tmp_path, "oven2", interface("dtmi:test:oven;2", telemetry("heat", unit="degreeCelsius")))]
    )
    assert "dtmi:test:oven;2" in known_models(settings)


def test_a_built_in_model_does_not_change(settings: Settings, tmp_path: Path) -> None:
    """Its declaration stands; its quality values may be given anew for one lakehouse."""
    with pytest.raises(ModelError, match="next version number"):
        add_models(settings, [write(tmp_path, "t", interface("dtmi:lakehouse:thermostat;1", telemetry("x")))])
    own = write(tmp_path, "q", {"ranges": {"temperature": [0, 50]}})
    add_models(settings, [BUILT_IN_MODELS / "thermostat.json"], own)
    assert known_models(settings)["dtmi:lakehouse:thermostat;1"].telemetry[0].maximum == 50
    assert load_models([BUILT_IN_MODELS])["dtmi:lakehouse:thermostat;1"].telemetry[0].maximum == 85


def test_quality_values_may_be_given_anew(settings: Settings, tmp_path: Path) -> None:
    """Adding the same file with other limits replaces the limits; without any it keeps them."""
    path = write(tmp_path, "oven", OVEN, {"late_after_s": 10})
    add_models(settings, [path])
    add_models(settings, [path], write(tmp_path, "other", {"late_after_s": 20}))
    assert known_models(settings)["dtmi:test:oven;1"].quality.late_after_s == 20
    (tmp_path / "oven.quality.json").unlink()
    assert add_models(settings, [path]).paths == ()
    assert known_models(settings)["dtmi:test:oven;1"].quality.late_after_s == 20


def test_a_table_may_be_named(settings: Settings, tmp_path: Path) -> None:
    """A public thermostat beside the built-in one needs a table of its own, and keeps it."""
    path = write(tmp_path, "t", interface("dtmi:com:example:Thermostat;1", telemetry("temperature")),
                 {"late_after_s": 9})  # fmt: skip
    with pytest.raises(ModelError, match=r"different kinds of device.*--table"):
        add_models(settings, [path])
    assert not settings.models_folder.exists()
    (model,) = add_models(settings, [path], table="example_thermostats").models
    assert (model.table, model.quality.late_after_s) == ("silver.example_thermostats", 9)
    with pytest.raises(ModelError, match="keeps its table"):
        add_models(settings, [path], table="other")


def test_a_used_interface_may_come_later(settings: Settings, tmp_path: Path) -> None:
    """A component whose Interface is added afterwards gets its columns then, and the answer says so."""
    device = interface("dtmi:test:room;1", telemetry("x"),
                       {"@type": "Component", "name": "probe", "schema": "dtmi:test:probe;1"})  # fmt: skip
    (room,) = add_models(settings, [write(tmp_path, "room", device)]).models
    assert [each.column for each in room.telemetry] == ["x"]
    added = add_models(settings, [write(tmp_path, "probe", interface("dtmi:test:probe;1", telemetry("y")))])
    assert [model.model_id for model in added.changed] == ["dtmi:test:room;1"]
    assert [each.column for each in known_models(settings)["dtmi:test:room;1"].telemetry] == ["x", "probe_y"]


def test_a_file_that_declares_more_replaces_one_that_declares_less(settings: Settings, tmp_path: Path) -> None:
    """The fuller file of the same model is taken; one that would drop an Interface is refused."""
    device = interface("dtmi:test:room;1", telemetry("x"),
                       {"@type": "Component", "name": "probe", "schema": "dtmi:test:probe;1"})  # fmt: skip
    probe = interface("dtmi:test:probe;1", telemetry("y"))
    add_models(settings, [write(tmp_path, "room", device)])
    (room,) = add_models(settings, [write(tmp_path, "room", [device, probe])]).models
    assert [each.column for each in room.telemetry] == ["x", "probe_y"]
    assert add_models(settings, [write(tmp_path, "room", device)]).paths == ()
    with pytest.raises(ModelError, match=r"also declares dtmi:test:probe;1"):
        add_models(settings, [write(tmp_path, "room", [device, interface("dtmi:test:tank;1", telemetry("z"))])])


def test_an_interface_without_telemetry_is_kept_as_a_part(settings: Settings, tmp_path: Path) -> None:
    """Device information and the like get no table, and say why."""
    information = interface("dtmi:test:info;1", {"@type": "Property", "name": "serial", "schema": "string"})
    added = add_models(settings, [write(tmp_path, "info", information)])
    assert added.models == ()
    assert added.parts == {"dtmi:test:info;1": "it comes to no telemetry"}
    assert "dtmi:test:info;1" not in known_models(settings)
    assert "dtmi:test:info;1" in known_catalog(settings).parts


def test_a_refused_model_leaves_nothing_behind(settings: Settings, tmp_path: Path) -> None:
    """A wrong quality file is found before anything is written."""
    with pytest.raises(ModelError, match="unknown key"):
        add_models(settings, [write(tmp_path, "oven", OVEN, {"rangs": {}})])
    with pytest.raises(UsageError, match="is not a file"):
        add_models(settings, [tmp_path / "nowhere.json"])
    with pytest.raises(UsageError, match="declares 2 device models"):
        add_models(
            settings,
            [write(tmp_path, "two", [OVEN, interface("dtmi:test:b;1", telemetry("x"))])],
            table="both",
        )
    assert not settings.models_folder.exists()


def test_killed_between_its_two_writes(settings: Settings, tmp_path: Path) -> None:
    """Limits that lie there without their model disturb nothing, and adding again completes them."""
    path = write(tmp_path, "oven", OVEN, {"late_after_s": 10})
    add_models(settings, [path])
    (settings.models_folder / "test.oven-1.json").unlink()
    assert "dtmi:test:oven;1" not in known_models(settings)
    add_models(settings, [path])
    assert known_models(settings)["dtmi:test:oven;1"].quality.late_after_s == 10
