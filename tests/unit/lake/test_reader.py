"""Queries: what readers see of gold, that they can only read, and what they are told when they cannot."""

import json
import signal
from datetime import date, timedelta
from pathlib import Path
from threading import Timer

import pytest

from lake.models.catalog import BUILT_IN_MODELS, load_models
from lake.reading.allowed_functions import _FUNCTIONS, _TABLE_FUNCTIONS, _is_allowed
from lake.reading.reader import Reader, open_reader
from lake.reading.series_macros import TABLE_MACROS
from lake.records import publications
from lake.records.publications import Publication
from lake.storage.delta import append, open_table, read_rows
from lake.storage.duckdb_connection import connect
from lake.tables.gold import DEVICE_LATEST
from lakehouse.cli.main import run
from runtime.errors import QueryError, UsageError
from runtime.settings import Settings
from tests.support.small_lake import H5, NOW, Lake, arrow_table

MODELS = load_models([BUILT_IN_MODELS])
LATEST = DEVICE_LATEST.name
HELD = {"slice": H5, "table": "silver.thermostats"}
RELEASED = {"slice": "2026-11-20T06", "table": LATEST, "who": "ana", "when": NOW.isoformat(), "why": "it was swapped"}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Two publications: the first pins one row of gold, the second two; a third row is committed, not published."""
    home = tmp_path_factory.mktemp("home")
    lake = Lake(Settings(home=home, lake_uri=str(home / "lake")))
    lake.fill(H5, 2)
    inputs = lake.write()
    for number in (1, 2):
        version = commit_latest(lake, f"d{number}")
        publish(lake, number, {LATEST: version}, inputs)
    commit_latest(lake, "d3")
    lake.read(H5, 40)
    lake.write()
    return lake


def commit_latest(lake: Lake, device_id: str) -> int:
    row = {
        "device_id": device_id, "metric_name": "temperature", "unit": "degc", "event_at": NOW, "event_hour": 12,
        "event_date": date(2026, 11, 23), "value_last": 20.5,
    }  # fmt: skip
    return append(lake.settings, DEVICE_LATEST, arrow_table(DEVICE_LATEST, [row]), {})


def publish(lake: Lake, number: int, tables: dict[str, int], inputs: dict[str, int]) -> None:
    publications.record(
        lake.settings,
        Publication(
            publication_id=number, published_at=NOW + timedelta(hours=number), tables=tables, inputs=inputs,
            slices=(H5,), held=(HELD,) if number == 2 else (), releases=(RELEASED,) if number == 2 else (),
            first_slice=H5, last_slice=H5, models={}, code_version="1", run_id="run",
        ),
    )  # fmt: skip


def answer(lake: Lake, sql: str, as_of: int | None = None) -> list[tuple[object, ...]]:
    with open_reader(lake.settings, MODELS, as_of=as_of) as reader:
        return [row for statement in reader.statements(sql) for row in reader.run(statement).fetchall()]


def refusal(lake: Lake, sql: str) -> str:
    with pytest.raises(QueryError) as caught:
        answer(lake, sql)
    return str(caught.value)


def test_gold_is_seen_as_published(lake: Lake) -> None:
    """A row that is committed but not published is not there, whatever the newest version of the table is."""
    assert answer(lake, "select device_id from gold.device_latest order by 1") == [("d1",), ("d2",)]
    assert answer(lake, "select count(*) from device_latest") == [(2,)]
    newest = open_table(lake.settings, LATEST)
    assert newest is not None
    assert len(read_rows(newest)) == 3


def test_as_of_is_the_lake_of_then(lake: Lake) -> None:
    """An earlier publication shows its gold, and silver as it was built from; otherwise silver is the newest."""
    assert answer(lake, "from gold.device_latest select device_id", as_of=1) == [("d1",)]
    assert answer(lake, "select count(*) from silver.thermostats", as_of=1) == [(2,)]
    assert answer(lake, "select count(*) from silver.thermostats") == [(3,)]
    with pytest.raises(UsageError, match="no publication 9: they go from 1 to 2"):
        answer(lake, "select 1", as_of=9)


READING = (
    "select 1", "with a as (select 1) from a", "from gold.device_latest", "values (1)", "describe gold.device_latest",
    "show all tables", "summarize silver.rejected", "explain select 1", "explain analyze from gold.device_latest",
    "pivot gold.device_latest on unit using count(*) group by device_id", "select 1; select 2", "pragma version",
    "table ops.publications", "from gold.device_latest -- no more",
)  # fmt: skip
WRITING = (
    "insert into gold.device_latest values (1)", "delete from gold.device_latest", "create table t (a int)",
    "create view v as select 1", "drop view gold.device_latest", "copy (select 1) to 'LAKE/x.csv'",
    "copy gold.device_latest from 'LAKE/x.csv'", "export database 'LAKE/x'", "attach 'LAKE/x.db' as x",
    "install httpfs",
    "load httpfs", "set threads = 1", "pragma threads = 1", "reset threads", "use silver", "call pragma_version()",
    "explain analyze copy (select 1) to 'LAKE/x.csv'", "explain copy (select 1) to 'LAKE/x.csv'",
    "explain (analyze) copy (select 1) to 'LAKE/x.csv'", "-- explain\nexplain analyze copy (select 1) to 'LAKE/x.csv'",
    "explain /* select 1 */ analyze copy (select 1) to 'LAKE/x.csv'", "select 1; copy (select 1) to 'LAKE/x.csv'",
    "prepare p as copy (select 1) to 'LAKE/x.csv'", "begin", "vacuum", "checkpoint",
)  # fmt: skip


@pytest.mark.parametrize("sql", READING)
def test_reading_is_allowed(lake: Lake, sql: str) -> None:
    """Every kind of statement that only reads has an answer."""
    assert answer(lake, sql)


@pytest.mark.parametrize("sql", WRITING)
def test_writing_is_refused(lake: Lake, sql: str) -> None:
    """Statements that write, or that change the connection, are refused before any of them runs."""
    before = files(lake)
    refusal(lake, sql.replace("LAKE", lake.settings.lake_uri))
    assert files(lake) == before


def files(lake: Lake) -> list[Path]:
    return sorted(Path(lake.settings.lake_uri).rglob("*"))


FOREIGN = (
    "from read_text('/etc/hostname')", "from '/etc/hostname'", "from read_csv('secret.csv')", "from glob('/*')",
    "from delta_scan('/etc')", "from delta_scan('http://127.0.0.1:9/x')",
    "from delta_list_files('http://127.0.0.1:9/x')",
    "from delta_scan('LAKE/gold/device_latest')", "from read_parquet('LAKE/gold/device_latest/*.parquet')",
    "from 'LAKE/gold/device_latest/x.parquet'", 'from "LAKE/x.csv"', "from query('from read_text(''x'')')",
    "from query_table('LAKE/x.csv')", "from histogram('LAKE/x.csv', a)", "from copy_dir('a', 'b')",
    "from duckdb_secrets()",
    "from duckdb_logs()", "from sniff_csv('secret.csv')", "from parquet_metadata('x')", "from arrow_scan(1, 2, 3)",
    "select write_blob('LAKE/gold/x', 'abc'::blob)", "select getenv('HOME')", "select nextval('s')",
    "select (from read_blob('x') select content)", "from gold.device_latest join read_csv('x') on true",
    "with a as (from read_json('x')) from a", "from gold.device_latest where exists (from glob('*'))",
    "select [x for x in (select list(file) from glob('*'))]",
    "explain analyze from read_csv('secret.csv')", "describe from read_csv('secret.csv')", "summarize 'secret.csv'",
    "pivot (from read_csv('secret.csv')) on a using count(*)", "pivot 'secret.csv' on a using count(*)",
    "pivot (from read_csv/* ( */('secret.csv')) on a using count(*)", "pivot $$secret.csv$$ on a using count(*)",
    "pivot (from \"READ_CSV\" ('secret.csv')) on a using count(*)", "pivot 'secret.csv' on a in (1) using count(*)",
    "from settings", "from lake", "from json_execute_serialized_sql(json_serialize_sql('select 1'))",
)  # fmt: skip


@pytest.mark.parametrize("sql", FOREIGN)
def test_nothing_but_the_lakes_tables_is_within_reach(
    lake: Lake, sql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file beside the home, no file of the lake past its publication, no address, no variable; and none is made."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.csv").write_text("a\n1\n")
    before = files(lake)
    said = refusal(lake, sql.replace("LAKE", lake.settings.lake_uri))
    assert " is refused: " in said or "There is no table" in said
    assert files(lake) == before


COMPUTING = (
    "select random() between 0 and 1, histogram(unit), list_transform([1], x -> x + 1) from gold.device_latest",
    "from range(3)", "select unnest([1, 2])", "select * from generate_series(1, 3)", "select json_extract('{}', '$.a')",
    "from duckdb_tables() select count(*)",
    "select date_trunc('hour', now()), strftime(today(), '%d'), extract(year from now()), 'a' || 'b'",
    "select count(*) over (), row_number() over () from gold.device_latest",
    "select upper('x'), [1, 2][1], {'a': 1}.a",
    "from gold.device_latest select columns('unit')",
    "select formatReadableSize(3), time_bucket(interval 1 hour, now())",
    "select quantile_cont(value_last, 0.5) filter (unit = 'degc') from gold.device_latest group by all",
    "select cast('1' as int), try_cast('x' as int), '1'::int, case when true then 1 end, coalesce(null, 1)",
    "pivot gold.device_latest on unit using quantile_cont(value_last, 0.5)",
    "from pragma_table_info('gold.device_latest')",
    "with \"a cte\" as (select 1) from \"a cte\"",
    "select name collate de from (values ('x')) v(name)",
)  # fmt: skip


@pytest.mark.parametrize("sql", COMPUTING)
def test_computing_is_allowed(lake: Lake, sql: str) -> None:
    """Functions that compute, of every kind, are there for questions."""
    assert answer(lake, sql)


def test_every_function_of_duckdb_is_known_to_be_allowed_or_not() -> None:
    """Another DuckDB brings others, and each is looked at before it may be called."""
    with connect(Settings(Path("/nowhere"), "/nowhere/lake")) as connection:
        rows = connection.execute("select distinct function_type, function_name from duckdb_functions()").fetchall()
    scalars = {name for kind, name in rows if kind in ("scalar", "macro", "aggregate")}
    refused = {name for name in scalars if not _is_allowed(name, _FUNCTIONS) and not name.startswith("__internal_")}
    assert refused == {
        "create_sort_key", "currval", "get_block_size", "get_delta_test_expression", "inet_client_addr",
        "inet_client_port", "inet_server_addr", "inet_server_port", "json_deserialize_sql", "json_serialize_plan",
        "nextval", "parse_delta_filter_logline", "pg_sleep", "sleep_ms", "stats", "write_blob", "write_log",
    }  # fmt: skip
    assert {name for kind, name in rows if kind == "table"} >= _TABLE_FUNCTIONS - set(TABLE_MACROS)


def test_unknown_tables_are_answered_with_known_ones(lake: Lake) -> None:
    """A name that is nearly right, or lacks its layer, gets the right one."""
    assert "Did you mean gold.device_latest?" in refusal(lake, "from gold.device_lates")
    assert "Did you mean silver.thermostats?" in refusal(lake, "from thermostats")
    assert "There are: gold.device_latest, silver.devices" in refusal(lake, "from gold.nonsense")
    assert "silver.pumps has not been written yet" in refusal(lake, "from silver.pumps")
    assert "Candidate bindings" in refusal(lake, "select value_lst from gold.device_latest")


def test_before_the_first_publication(tmp_path: Path) -> None:
    """Gold is not there, and the message says what to do; what there is can be asked."""
    lake = Lake(Settings(home=tmp_path, lake_uri=str(tmp_path / "lake")))
    assert "lakehouse refresh" in refusal(lake, "from gold.device_hours")
    assert "lakehouse refresh" in refusal(lake, "from device_hours")
    lake.fill(H5, 2)
    lake.write()
    commit_latest(lake, "d1")
    assert answer(lake, "select count(*) from silver.thermostats") == [(2,)]
    assert "Nothing has been published yet" in refusal(lake, "from gold.device_latest")


def test_views_are_made_for_what_is_named(lake: Lake) -> None:
    """A question opens the logs of the tables that it names, and no others."""
    with open_reader(lake.settings, MODELS) as reader:
        assert made(reader, "select count(*) from gold.device_latest") == {"device_latest"}
        assert made(reader, "show all tables") >= {"device_latest", "thermostats", "telemetry", "publications"}


def made(reader: Reader, sql: str) -> set[str]:
    reader.run(sql)
    names = reader.connection.execute("select view_name from duckdb_views() where not internal").fetchall()
    return {name for (name,) in names}


def test_ctrl_c_ends_a_query(lake: Lake) -> None:
    """A long query ends at once, and as an interruption rather than as an error."""
    with open_reader(lake.settings, MODELS) as reader:
        timer = Timer(0.3, signal.raise_signal, [signal.SIGINT])
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            reader.run("select sum(a.range * b.range) from range(10000000) a, range(1000000) b")
        timer.join()
        assert reader.run("select 1").fetchall() == [(1,)]


@pytest.fixture
def shell(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """The lake, for the command."""
    monkeypatch.setenv("LAKEHOUSE_HOME", str(lake.settings.home))
    monkeypatch.delenv("LAKEHOUSE_LAKE_URI", raising=False)
    return lake


def test_figures_come_with_what_is_to_be_known(shell: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """Publication, held slices and releases stand on stderr when gold was asked, and only then."""
    assert run(["sql", "select device_id, value_last, event_at from device_latest order by 1", "--format", "csv"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[:2] == ["device_id,value_last,event_at", "d1,20.5,2026-11-23T12:00:00Z"]
    assert "publication 2 of 2026-11-23T14:00:00Z; 1 slice held (2026-11-20T05)" in err
    assert "released: 2026-11-20T06 by ana: it was swapped" in err
    assert run(["sql", "select count(*) from silver.thermostats"]) == 0
    assert capsys.readouterr().err == ""


def test_formats(shell: Lake, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The same rows as a table, JSON, CSV and Parquet; files by their names."""
    question = "select device_id, null as nothing, 'nan'::double as odd, [1] as list from gold.device_latest order by 1"
    assert run(["sql", question, "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows == [{"device_id": name, "nothing": None, "odd": None, "list": [1]} for name in ("d1", "d2")]
    assert run(["sql", question]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["d1", "nan", "[1]"]
    for name in ("a.parquet", "a.csv", "a.json"):
        assert run(["sql", question, "--output", str(tmp_path / name)]) == 0
    assert (tmp_path / "a.parquet").read_bytes()[:4] == b"PAR1"
    assert (tmp_path / "a.csv").read_text().startswith("device_id,nothing,odd,list\nd1,,nan,[1]\n")
    assert json.loads((tmp_path / "a.json").read_text()) == rows
    assert run(["sql", question, "--format", "parquet"]) == 2
    assert run(["sql", "select 1; select 2", "--output", str(tmp_path / "a.csv")]) == 2
    assert run(["sql", "select 1 from gold.device_latest where false", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_questions_in_a_file(shell: Lake, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Every statement of a file is answered, in order."""
    (tmp_path / "q.sql").write_text("-- two of them\nselect 'one' as a;\nselect 'two' as b;\n")
    assert run(["sql", "-f", str(tmp_path / "q.sql")]) == 0
    assert capsys.readouterr().out.split() == ["a", "one", "b", "two"]
    assert run(["sql", "select 1", "-f", str(tmp_path / "q.sql")]) == 2
