"""Published gold in a real PostgreSQL: what readers see, while it is copied, when it is killed, and who sees what."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import adbc_driver_postgresql.dbapi
import psycopg
import pytest

from lake.models.catalog import known_models
from lake.records import publications
from lake.tables.gold import DEVICE_DAYS, DEVICE_HOURS, DEVICES, GOLD_TABLES
from runtime.errors import PlatformError
from runtime.programs import addresses
from runtime.settings import Settings, inherited_environment, load_settings
from runtime.supervisor import start_all, stop_all
from serving.access.api_keys import ApiKeys
from serving.access.scopes import parse_scopes
from serving.access.tenant_sites import load_tenants
from serving.bi import postgres_tables, publication_copy
from serving.bi.postgres_server import PostgresServer
from serving.bi.publication_copy import Copied
from serving.bi.reader_roles import readers_of, sync_readers
from serving.programs import PROGRAMS
from serving.snapshots import Snapshots
from tests.support.awaiting import awaited
from tests.support.postgres_gold import postgres_of, publish_hours, publish_in_place
from tests.support.served_gold import START, row, rows_of

PROJECT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 26, tzinfo=UTC)


class Copy:
    """A home whose gold is copied into its own PostgreSQL."""

    def __init__(self, settings: Settings, server: PostgresServer) -> None:
        self.settings, self.server = settings, server
        self.number = 0

    def copy(self) -> Copied | None:
        """Copy what is newest."""
        with publication_copy.connect(self.server.address) as connection:
            return publication_copy.copy_newest(self.settings, connection, known_models(self.settings).values())

    def publish(self, hours: int = 10) -> int:
        """Publish the first hours anew; returns the publication's number."""
        self.number += 1
        publish_hours(self.settings, self.number, hours)
        return self.number

    def ask(self, question: str) -> list[Any]:
        """Rows, as the owner sees them."""
        with psycopg.connect(self.server.address) as connection:
            return connection.execute(question.encode()).fetchall()

    def reader(self, name: str, *scopes: str) -> dict[str, Any]:
        """How a reader with a new key connects."""
        key_id, key = ApiKeys(self.settings).create(name, parse_scopes(scopes), NOW)
        self.sync()
        return {"host": "127.0.0.1", "port": self.server.port, "dbname": "lakehouse", "user": f"lh_{key_id}",
                "password": key}  # fmt: skip

    def sync(self) -> None:
        """Let the roles be those of the keys."""
        with publication_copy.connect(self.server.address) as connection:
            sync_readers(connection, readers_of(ApiKeys(self.settings), load_tenants(self.settings), NOW))


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    """A copy of a first publication."""
    settings = load_settings({"LAKEHOUSE_HOME": str(tmp_path_factory.mktemp("bi"))})
    with postgres_of(settings) as server:
        copied = Copy(settings, server)
        copied.publish()
        assert copied.copy() is not None
        yield copied


def test_rows_are_those_of_gold(copy: Copy) -> None:
    """Every table has the rows of the publication, odd texts and numbers included; a NUL is shown as its sign."""
    odd = [
        row(DEVICES, device, START, 0.0) | {"device_id": text, "site_id": site}
        for device, text, site in (("d1", 'a,"b"\n\\N', ""), ("d2", "", None), ("d3", "x\0é😀", "NULL"))
    ]
    values = [
        row(DEVICE_HOURS, "d1", START, value) | {"unit": str(place)}
        for place, value in enumerate((0.1 + 0.2, float("inf"), -0.0, 1e-320, 2.0**60))
    ]
    copy.number += 1
    publish_in_place(copy.settings, copy.number, rows_of(10, 7.0) | {DEVICES: odd, DEVICE_HOURS: values}, "true")
    copy.copy()
    snapshot = Snapshots(copy.settings).newest()
    for table in GOLD_TABLES:
        if table.name in snapshot.publication.tables:
            columns = ", ".join(table.column_names)
            found = snapshot.ask(f"SELECT {columns} FROM {table.name}").to_pylist()
            expected = [tuple(str(value).replace("\0", "␀") for value in each.values()) for each in found]
            there = [tuple(map(str, each)) for each in copy.ask(f"SELECT {columns} FROM {table.name}")]
            assert [each[:3] for each in sorted(there)] == [each[:3] for each in sorted(expected)]
            assert len(there) == len(expected)
    assert sorted(value for (value,) in copy.ask("SELECT value_mean FROM gold.device_hours")) == sorted(
        each["value_mean"] for each in values
    )
    copy.publish()
    copy.copy()


def test_only_changed_slices_are_copied(copy: Copy) -> None:
    """An hour built anew is one slice of each hourly table; one that was written anew as it was is none."""
    copy.publish()
    copy.copy()
    copy.publish(hours=1)
    copied = copy.copy()
    # an hour of device_hours, the day of site_days, all of device_latest; of tables that were written anew with the
    # rows that they had, none
    assert copied == Copied(copy.number, 3, 3 + 2 + 3)
    assert copy.copy() is None


def test_a_reader_never_sees_two_publications(copy: Copy) -> None:
    """While publications follow each other, a statement that asks two tables is of one of them, and so is all of a
    transaction that is REPEATABLE READ."""
    place = copy.reader("mixed", "read")
    copy.publish()
    copy.copy()
    seen: set[int] = set()
    wrong: list[Any] = []
    stop, began = threading.Event(), threading.Event()

    def read() -> None:
        one = "(SELECT array_agg(DISTINCT value_mean) FROM gold.device_hours)"
        other = "(SELECT array_agg(DISTINCT value_last) FROM gold.device_latest)"
        with psycopg.connect(**place, autocommit=True) as connection:
            while not stop.is_set():
                with connection.transaction():
                    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                    answers = [connection.execute(f"SELECT {each}".encode()).fetchone() for each in (one, other, one)]
                    (number,) = connection.execute("SELECT publication_id FROM ready.publication").fetchone() or (0,)
                single = connection.execute(
                    f"SELECT {one}, {other}, ARRAY[publication_id::float8] FROM ready.publication".encode()
                ).fetchone()
                if (
                    any(answer != ([float(number)],) for answer in answers)
                    or len({str(each) for each in single or ()}) != 1
                ):
                    wrong.append((number, answers, single))
                seen.add(number)
                began.set()

    thread = threading.Thread(target=read)
    thread.start()
    assert began.wait(120)
    for _ in range(6):
        copy.publish()
        copy.copy()
    stop.set()
    thread.join(120)
    assert wrong == []
    assert len(seen) > 1


def test_killed_at_any_moment_and_run_again(copy: Copy) -> None:
    """A copy that is killed leaves readers where they were; run again, it brings all of the publication."""
    before = copy.publish()
    copy.copy()
    after = copy.publish()
    command = [sys.executable, "-m", "tests.support.killed_copies", copy.server.address, "7"]
    environment = inherited_environment(copy.settings.child_environment())
    said = subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    lines = said.splitlines()
    assert len(lines) > 5
    states = [json.loads(line.partition(" ")[2].replace("(", "[").replace(")", "]")) for line in lines]
    # once committed it is there whole; what is killed after that lets earlier publications go the next time
    assert all(state in ([before, [float(before)]], [after, [float(after)]]) for state in states)
    assert states[0] == [before, [float(before)]]
    copy.copy()
    assert copy.ask("SELECT publication_id FROM ready.publication") == [(after,)]
    assert copy.ask("SELECT count(*), min(value_mean), max(value_mean) FROM gold.device_hours") == [(30, after, after)]
    assert copy.ask(f"SELECT count(*) FROM publication_{before}.device_hours WHERE value_mean = {before}") == [(30,)]


def test_a_killed_server_starts_again_with_the_copy(copy: Copy) -> None:
    """SIGKILL to PostgreSQL loses nothing that was copied."""
    number = copy.publish()
    copy.copy()
    copy.server.kill()
    assert not copy.server.is_alive()
    copy.server.start()
    assert copy.ask("SELECT DISTINCT value_mean FROM gold.device_hours") == [(float(number),)]
    assert copy.copy() is None


def test_a_reader_sees_its_sites_and_writes_nothing(copy: Copy) -> None:
    """A key opens PostgreSQL with its scopes: rows of its sites, no table of ours, no writing, nothing once revoked."""
    place = copy.reader("north", "read:site=north")
    with psycopg.connect(**place, autocommit=True) as connection:
        for table in ("gold.device_hours", "gold.devices", "publication_%d.site_days", "ready.devices_now",
                      "wide.thermostats_hours"):  # fmt: skip
            sites = connection.execute(f"SELECT DISTINCT site_id FROM {table.replace('%d', str(copy.number))}".encode())
            assert sites.fetchall() == [("north",)], table
        connection.execute("SET default_transaction_read_only = off")
        for statement in (
            "SELECT * FROM lakehouse.readers", "SELECT * FROM store_1.device_hours", "DELETE FROM gold.devices",
            "CREATE TABLE mine (a int)", "CREATE TABLE gold.mine (a int)", "CREATE TEMP TABLE mine (a int)",
            "SET ROLE lakehouse", "ALTER ROLE lakehouse_readers SUPERUSER", "COPY gold.devices TO PROGRAM 'cat'",
            "SELECT pg_read_file('PG_VERSION')",
        ):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())
        # a function that tells what it is given is not told rows of others
        told = connection.execute("SELECT device_id FROM gold.devices WHERE device_id::text > ''").fetchall()
        assert sorted(told) == [("d1",), ("d2",)]
        ApiKeys(copy.settings).revoke("north", NOW)
        copy.sync()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    for wrong in ({}, {"password": "lh_x_y"}, {"user": "lakehouse"}):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(**place | wrong)
    (copy.settings.home / "tenants.yml").write_text("acme: [south]\n")
    with psycopg.connect(**copy.reader("acme", "read:tenant=acme", "read:tenant=nobody")) as connection:
        assert connection.execute("SELECT DISTINCT site_id FROM gold.device_hours").fetchall() == [("south",)]
    share = copy.reader("share only", "share")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(**share)


def test_adbc_reads_the_same(copy: Copy) -> None:
    """The Arrow driver of PostgreSQL gets the rows of a view, typed."""
    place = copy.reader("adbc", "read")
    uri = f"postgresql://{place['user']}:{place['password']}@127.0.0.1:{place['port']}/lakehouse"
    with adbc_driver_postgresql.dbapi.connect(uri) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT device_id, hour_at, value_mean FROM gold.device_hours ORDER BY 1, 2")
        table = cursor.fetch_arrow_table()
        assert table.num_rows == 30
        assert [str(field.type) for field in table.schema] == ["string", "timestamp[us, tz=UTC]", "double"]
        found = connection.adbc_get_objects(depth="tables", db_schema_filter="gold").read_all().to_pylist()
    schemas = [schema for catalog in found for schema in catalog["catalog_db_schemas"] or ()]
    tables = [each["table_name"] for schema in schemas for each in schema["db_schema_tables"]]
    assert {table.short_name for table in GOLD_TABLES} <= set(tables)


def catalog_questions() -> Iterator[tuple[str, str, str]]:
    """(name, question, what its answer has) of the file of what tools send."""
    text = (PROJECT / "tests" / "data" / "bi_catalog_questions.sql").read_text()
    for block in text.split("\n\n")[1:]:
        heading, _, question = block.strip().partition("\n")
        name, _, wanted = heading.removeprefix("-- ").partition(" -> ")
        yield name, question, wanted


def test_the_catalog_answers_what_tools_ask(copy: Copy) -> None:
    """Each question that Metabase, Superset, Grafana, Tableau and Power BI begin with is answered, for a reader."""
    place = copy.reader("tools", "read")
    with psycopg.connect(**place, autocommit=True) as connection:
        questions = list(catalog_questions())
        assert len(questions) > 20
        for name, question, wanted in questions:
            cursor = connection.execute(question.encode())
            answer = str(cursor.fetchall()) if cursor.description else ""
            assert wanted in answer, name
            assert "store_" not in answer, name


def test_another_past_or_another_definition_is_copied_anew(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a device was erased, or a table's declaration changes, nothing of before stays; views of yours go on."""
    with psycopg.connect(copy.server.address) as connection:
        connection.execute("CREATE VIEW public.mine AS SELECT count(*) AS n FROM gold.devices")
    number = copy.publish()
    publications.forget(copy.settings, number)
    copied = copy.copy()
    schemas = {name for (name,) in copy.ask("SELECT nspname FROM pg_namespace")}
    assert copied is not None
    assert copied.rows == 3 * 10 * 2 + 3 * 2 + 2
    assert {name for name in schemas if name.startswith(("store_", "publication_"))} == {
        "store_2", f"publication_{number}"
    }  # fmt: skip
    monkeypatch.setattr(publication_copy, "definition", lambda: postgres_tables.definition() + " and more")
    assert copy.copy() == copied
    assert copy.ask("SELECT n FROM public.mine") == [(3,)]
    assert copy.ask("SELECT store FROM lakehouse.publications") == [("store_3",)]


def test_up_runs_it_and_says_where_it_is(tmp_path: Path) -> None:
    """`up --postgres` starts server and copy, its address is PostgreSQL's, a key opens it, and all of it ends."""
    settings = load_settings({"LAKEHOUSE_HOME": str(tmp_path / "home")})
    publish_hours(settings, 1, 2)
    key_id, key = ApiKeys(settings).create("bi", parse_scopes(["read"]), NOW)
    ours = [program for program in PROGRAMS if program.name == "postgres"]
    try:
        assert start_all(settings, ours, {"postgres": True}, lambda _: None) == ["postgres"]
        address = addresses(settings, ours)["postgres"]
        place = address.replace("postgresql://", f"postgresql://lh_{key_id}:{key}@")
        assert _answer_of(place, "SELECT count(*) FROM gold.device_hours") == (6,)
    finally:
        assert stop_all(settings, ours) == ["postgres"]
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(place)


def test_a_postgresql_of_yours_takes_the_copy(copy: Copy, tmp_path: Path) -> None:
    """With an address no server is started, and nobody is shown its password; a schema that is not ours is left."""
    with psycopg.connect(copy.server.address, autocommit=True) as connection:
        connection.execute("CREATE DATABASE yours")
        connection.execute("CREATE DATABASE foreign_gold")
    yours = copy.server.address.rpartition("/")[0] + "/yours"
    foreign = copy.server.address.rpartition("/")[0] + "/foreign_gold"
    settings = load_settings({"LAKEHOUSE_HOME": str(tmp_path / "home"), "LAKEHOUSE_POSTGRES": yours})
    publish_hours(settings, 1, 2)
    ours = [program for program in PROGRAMS if program.name == "postgres"]
    try:
        start_all(settings, ours, {"postgres": True}, lambda _: None)
        assert addresses(settings, ours) == {"postgres": f"postgresql://127.0.0.1:{copy.server.port}/yours"}
        assert _answer_of(yours, "SELECT count(*) FROM gold.device_hours") == (6,)
    finally:
        stop_all(settings, ours)
    with psycopg.connect(foreign) as connection:
        connection.execute("CREATE SCHEMA gold")
    with pytest.raises(PlatformError, match="schema gold that is not the lakehouse's"):
        publication_copy.connect(foreign)


def _answer_of(place: str, question: str) -> Any:
    """A question's first row, once the copy is there: the process makes roles and rows after it answers."""

    def answer() -> Any:
        with suppress(psycopg.Error), psycopg.connect(place) as connection:
            return connection.execute(question.encode()).fetchone()
        return None

    return awaited(answer, "an answer")


def test_a_day_of_two_sites_is_seen_by_who_sees_both(copy: Copy) -> None:
    """The day on which a device moved is in no view of one site's reader; its hours are, each where it stood."""
    hours = [
        row(DEVICE_HOURS, "d1", START + timedelta(hours=hour), 1.0) | {"site_id": "north" if hour < 3 else "south"}
        for hour in range(6)
    ]
    days = [row(DEVICE_DAYS, device, START, 1.0) | {"site_id": "south"} for device in ("d1", "d3")]
    copy.number += 1
    publish_in_place(copy.settings, copy.number, {DEVICE_HOURS: hours, DEVICE_DAYS: days}, "true")
    copy.copy()
    for sites, seen_hours, seen_days in (
        (("south",), 3, ["d3"]),
        (("north",), 3, []),
        (("north", "south"), 6, ["d1", "d3"]),
    ):
        place = copy.reader("-".join(sites) + "-moved", *(f"read:site={site}" for site in sites))
        with psycopg.connect(**place) as connection:
            assert connection.execute("SELECT count(*) FROM gold.device_hours").fetchone() == (seen_hours,)
            found = connection.execute("SELECT device_id FROM gold.device_days ORDER BY 1").fetchall()
            assert [device for (device,) in found] == seen_days
    assert copy.ask("SELECT count(*) FROM gold.device_days") == [(2,)]
