"""Imports point one way, in no circle, and what the rooms may not do they do not do."""

import ast
import re
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
GROUND = {"runtime", "wire"}
LAKE = {*GROUND, "lake"}
BATCH = {*LAKE, "ingestion", "transforms", "pipeline"}
# a room -> the rooms and modules that it may import; those that are still to come have their place here
MAY_IMPORT: dict[str, set[str]] = {
    "runtime": set(),
    "wire": {"runtime.errors"},
    "lake": GROUND,
    "ingestion": LAKE,
    "transforms": LAKE,
    "hub": LAKE,
    # the wire format, the models and the types that they declare, nothing of the lake's tables
    "device_sim": {*GROUND, "lake.models", "lake.column_types", "lake.slices"},
    "edge": GROUND,
    # the reconciliation reads the manifest of what was sent
    "pipeline": {*LAKE, "ingestion", "transforms", "device_sim.manifest"},
    "streams": {*LAKE, "ingestion", "transforms", "hub"},
    "dagster_project": {*BATCH, "device_sim"},
    "serving": {*BATCH, "hub", "streams", "device_sim.manifest"},
    "lakehouse": {*BATCH, "device_sim", "hub", "edge", "streams", "serving", "dagster_project"},
}
# inside a room, where it has floors of its own
FLOORS: dict[str, set[str]] = {
    "runtime.java": {"runtime"},
    "runtime.kafka": {"runtime"},
    "runtime.spark": {"runtime"},
    "lake.tables": {"lake.slices", "lake.column_types"},
    "lake.models": {"lake.tables", "lake.column_types", "lake.sql_text", "lake.json_text", "lake.slices"},
    "lake.storage": {"lake.tables", "lake.column_types", "lake.sql_text", "lake.json_text", "lake.slices"},
    "lake.records": {"lake.storage", "lake.tables", "lake.sql_text", "lake.json_text", "lake.slices"},
    "lake.reading": {
        "lake.records", "lake.storage", "lake.models", "lake.tables", "lake.sql_text", "lake.json_text", "lake.slices",
        "lake.local_days",
    },
    "hub.registry": {"hub.hub_errors"},
    "hub.query": {"hub.hub_errors", "hub.registry.moments"},
    "hub.twins": {"hub.hub_errors", "hub.methods", "hub.registry", "hub.query"},
    "hub.access": {"hub.registry"},
    "hub.messages": {"hub.registry"},
    "hub.links": set(),
    "hub.sessions": {"hub.hub_errors", "hub.methods", "hub.registry", "hub.access", "hub.messages"},
    "hub.mqtt": {"hub.hub_errors", "hub.registry", "hub.access", "hub.messages", "hub.links", "hub.sessions"},
    "hub.amqp": {"hub.hub_errors", "hub.registry", "hub.messages", "hub.links", "hub.sessions"},
    "hub.api": {"hub.hub_errors", "hub.methods", "hub.registry", "hub.access.quotas", "hub.query", "hub.twins"},
}  # fmt: skip
# the same face in every room that has one
FACES = {"__init__", "__main__", "programs", "checks"}
SETTINGS = PROJECT / "runtime" / "settings.py"
LONGEST = 300
LONGEST_FUNCTION = 50
MOST_PARAMETERS = 6
# what a person types or an analyst calls by keyword, a table's declaration, and a simulation with its surroundings
MANY_PARAMETERS = {
    "lakehouse.cli.commands.simulate:simulate",
    "lakehouse.published:series",
    "lake.tables.gold_parts:gold_table",
    "device_sim.simulation:simulate",
}
# the text of these queries is what tells one declaration of features from another, so that trained models stay good
NESTED_SELECTS = {"transforms/minute_features.py": 2}


def name(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


MODULES = sorted(path for room in MAY_IMPORT for path in (PROJECT / room).rglob("*.py"))


def module_name(path: Path) -> str:
    """`lake/storage/delta.py` -> `lake.storage.delta`."""
    return name(path).removesuffix(".py").replace("/", ".").removesuffix(".__init__")


NAMES = {module_name(path) for path in MODULES}
# as docstrings may call modules and packages: by any part of their names
PLACES = {
    ".".join(parts[start:end])
    for parts in (module.split(".") for module in NAMES)
    for start in range(len(parts))
    for end in range(start + 1, len(parts) + 1)
}


def imports(source: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _within(module: str, places: set[str]) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in places)


def wrong_imports(module: str, source: str) -> set[str]:
    """Modules of ours that `module` may not import, by its room or by its floor in the room."""
    room = module.split(".")[0]
    ours = {m for m in imports(source) if m.split(".")[0] in MAY_IMPORT}
    named = {m for m in ours if not any(other != m and other.startswith(f"{m}.") for other in ours)}
    wrong = {m for m in named if not _within(m, {room, *MAY_IMPORT[room]})}
    for floor, allowed in FLOORS.items():
        if _within(module, {floor}):
            wrong |= {m for m in named if m.split(".")[0] == room and not _within(m, {floor, *allowed})}
    return wrong


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_imports_point_one_way(path: Path) -> None:
    """No room imports one that stands above it or beside it, and no floor of a room one above it."""
    assert wrong_imports(module_name(path), path.read_text()) == set()


def test_a_wrong_import_is_caught() -> None:
    """The check sees both spellings of an import, also inside a function, rooms and floors."""
    assert wrong_imports("lake.slices", "def f():\n    from pipeline.silver.tick import tick") == {
        "pipeline.silver.tick.tick"
    }
    assert wrong_imports("device_sim.fleet", "import lake.tables.gold") == {"lake.tables.gold"}
    assert wrong_imports("edge.gateway", "from hub.listener import serve") == {"hub.listener.serve"}
    assert wrong_imports("lake.storage.delta", "from lake.records import verdicts") == {"lake.records.verdicts"}
    assert wrong_imports("hub.links.link", "from hub.sessions import uplink") == {"hub.sessions.uplink"}
    assert wrong_imports("transforms.clock", "from wire.envelope import ID") == set()


def circles(sources: dict[str, str]) -> list[str]:
    """A circle of imports, those for types alone too, as its members' names; empty when there is none.

    What a function imports does not count: it runs when all are loaded.
    """
    graph: dict[str, set[str]] = {}
    for module, source in sources.items():
        top = ast.Module([n for n in ast.parse(source).body if isinstance(n, ast.Import | ast.ImportFrom | ast.If)], [])
        graph[module] = {m for m in imports(ast.unparse(top)) if m in sources and m != module}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_imports_go_in_a_circle() -> None:
    """No module needs itself, over however many others."""
    assert circles({module_name(path): path.read_text() for path in MODULES}) == []
    assert circles({"a": "import b", "b": "from c import d", "c": "import a"}) != []
    assert circles({"a": "import b", "b": "if TYPE_CHECKING:\n    from a import c"}) != []
    assert circles({"a": "import b", "b": "def f():\n    import a"}) == []


def test_module_names_are_unique() -> None:
    """A module's name says which it is; only the faces of rooms share names with others."""
    counted = Counter(path.stem for path in MODULES if path.stem not in FACES)
    assert [stem for stem, times in counted.items() if times > 1] == []


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_modules_are_short(path: Path) -> None:
    """A module that outgrows the bound is two modules."""
    assert len(path.read_text().splitlines()) <= LONGEST


def functions(source: str) -> list[tuple[str, int, int]]:
    """Every function, methods too: its name, its lines, and its parameters but for `self` and `cls`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            given = node.args
            names = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
            starred = [each for each in (given.vararg, given.kwarg) if each is not None]
            count = len(names) + len(starred) - (names[:1] in (["self"], ["cls"]))
            found.append((node.name, (node.end_lineno or 0) - node.lineno + 1, count))
    return found


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_functions_are_short(path: Path) -> None:
    """A function that outgrows the bound does two things."""
    assert [(each, lines) for each, lines, _ in functions(path.read_text()) if lines > LONGEST_FUNCTION] == []


def test_few_functions_have_many_parameters() -> None:
    """Those that have more than six are named here, and no more than those; what travels together is one value."""
    many = {
        f"{module_name(path)}:{each}"
        for path in MODULES
        for each, _, count in functions(path.read_text())
        if count > MOST_PARAMETERS
    }
    assert many == MANY_PARAMETERS
    assert functions("def f(self, a, *b, c=1, **d):\n    pass") == [("f", 2, 4)]


@pytest.mark.parametrize("path", [path for path in MODULES if path != SETTINGS], ids=name)
def test_only_the_settings_read_the_environment(path: Path) -> None:
    """Nothing but runtime.settings touches os.environ or os.getenv."""
    used = {
        node.attr
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os"
    }
    assert not used & {"environ", "getenv", "putenv"}


def nested_selects(source: str) -> int:
    """How often a query stands behind FROM or JOIN, where WITH would say what it is."""
    return len(re.findall(r"\b(?:FROM|JOIN)\s*\(\s*(?:SELECT|WITH)\b", source))


def test_queries_name_their_steps() -> None:
    """No SQL in our modules nests a query in a query behind FROM or JOIN."""
    models = sorted((PROJECT / "dbt").rglob("*.sql"))
    nested = {name(path): nested_selects(path.read_text()) for path in [*MODULES, *models]}
    assert {path: times for path, times in nested.items() if times} == NESTED_SELECTS
    assert nested_selects("SELECT a FROM (SELECT b) JOIN (\n  WITH c AS (SELECT d) FROM c) WHERE e IN (SELECT f)") == 2


def test_only_the_runs_know_what_is_private_to_dagster() -> None:
    """No module outside of dagster_project/runs imports or starts what Dagster calls private."""
    private = re.compile(r"\bdagster(?:_shared|\._)")
    outside = [path for path in MODULES if not name(path).startswith("dagster_project/runs/")]
    assert [name(path) for path in outside if private.search(path.read_text())] == []


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_every_module_has_a_charter(path: Path) -> None:
    """A module opens by saying what it is for."""
    assert ast.get_docstring(ast.parse(path.read_text()))


def places_named(charter: str) -> set[str]:
    """The modules and packages to which a charter sends what does not belong here."""
    sent = re.finditer(
        r"\b(?:belongs?|lies?|stands?|is|are) (?:in|to|with) ((?:`[a-z_.]+`(?:, | and | or )?)+)", charter
    )
    return {each for match in sent for each in re.findall(r"`([a-z_.]+)`", match[1])}


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_charter_sends_nobody_to_a_place_that_is_not_there(path: Path) -> None:
    """What belongs elsewhere belongs in a module that there is, named in full or by the end of its name."""
    charter = " ".join((ast.get_docstring(ast.parse(path.read_text())) or "").split())
    assert places_named(charter) <= PLACES
    assert places_named("Topics belong in `a.b`, `c` and `d`; a moment is in `e`.") == {"a.b", "c", "d", "e"}


@pytest.mark.parametrize("path", [p for p in MODULES if name(p).startswith(("transforms/", "wire/"))], ids=name)
def test_pure_rooms_know_no_orchestrator_and_no_storage(path: Path) -> None:
    """Transforms and wire are pure: no Dagster, no Delta, no Kafka client, no socket."""
    roots = {module.split(".")[0] for module in imports(path.read_text())}
    assert not roots & {"dagster", "deltalake", "duckdb", "confluent_kafka", "s3fs", "socket", "asyncio"}
