"""What becomes of wrong commands and settings: one table of cases, each one sentence and an exit code."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ingestion import landing_topics
from lake.records import publications
from lake.records.publications import Publication
from lakehouse.cli.main import run
from runtime.settings import Settings
from tests.support.s3server import ACCESS_KEY, SECRET_KEY, S3Server, running_s3_server
from tests.support.small_lake import H5, NOW, Lake


@dataclass(frozen=True)
class Case:
    """A command line, the settings that it meets, and what comes of it; `{folder}` and `{s3}` are filled in."""

    name: str
    arguments: str
    says: str
    exit_code: int = 2
    settings: dict[str, str] = field(default_factory=dict)


NOWHERE = "127.0.0.1:9"
S3 = {
    "LAKEHOUSE_LAKE_URI": "s3://lakes/one",
    "AWS_ENDPOINT_URL": "{s3}",
    "AWS_ACCESS_KEY_ID": ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
}
DAY = "2026-11-20"
CASES = (
    Case("a command that there is not", "refesh", "No such command 'refesh'"),
    Case("an option that there is not", "status --jsn", "No such option '--jsn'"),
    Case("an unknown Spark", "status", "LAKEHOUSE_SPARK is 'yarn'", settings={"LAKEHOUSE_SPARK": "yarn"}),
    Case("a Spark that does not answer", "verify", "Spark does not answer at sc://127.0.0.1:9", 1,
         {"LAKEHOUSE_SPARK": f"sc://{NOWHERE}"}),
    Case("no memory size", "verify", "LAKEHOUSE_SPARK_MEMORY is 'much'", settings={"LAKEHOUSE_SPARK_MEMORY": "much"}),
    Case("more memory than there is", "verify", "close programs", 1, {"LAKEHOUSE_SPARK_MEMORY": "9000g"}),
    Case("no port", "up", "LAKEHOUSE_UI_PORT is '80a'", settings={"LAKEHOUSE_UI_PORT": "80a"}),
    Case("a lake on another store", "status", "give a folder or s3://", settings={"LAKEHOUSE_LAKE_URI": "gs://b/l"}),
    Case("a home that is a file", "ingest", "which is a file: give a folder", 2,
         {"LAKEHOUSE_HOME": "{folder}/broken.json"}),
    Case("a broker that does not answer", "simulate --devices 1 --hours 1", NOWHERE, 1,
         {"LAKEHOUSE_KAFKA_BOOTSTRAP": NOWHERE}),
    Case("a bucket that there is not", "status", "There is no bucket nowhere", 1,
         {**S3, "LAKEHOUSE_LAKE_URI": "s3://nowhere/one"}),
    Case("a wrong secret key", "status", "AWS_SECRET_ACCESS_KEY", 1, {**S3, "AWS_SECRET_ACCESS_KEY": "wrong"}),
    Case("no keys", "status", "AWS_ACCESS_KEY_ID", 1,
         {"LAKEHOUSE_LAKE_URI": "s3://lakes/one", "AWS_ENDPOINT_URL": "{s3}"}),
    Case("an S3 that does not answer", "status", NOWHERE, 1, {**S3, "AWS_ENDPOINT_URL": f"http://{NOWHERE}"}),
    Case("a last hour before the first", f"backfill --from {DAY}T05 --to {DAY}T04",
         "--to 2026-11-20T04 is before --from 2026-11-20T05"),
    Case("a last day before the first", f"missing --from {DAY} --to 2026-11-19",
         "--to 2026-11-19 is before --from 2026-11-20"),
    Case("an hour that is none", f"backfill --from {DAY}T24 --to {DAY}T25", "is not a slice"),
    Case("a range with no data", "backfill --from 2020-01-01 --to 2020-01-02", "No records from 2020-01-01T00", 0),
    Case("a slice that is none", "release yesterday --why x", "yesterday is not held"),
    Case("a slice that is not held", f"release {DAY}T09 --why x", "is not held"),
    Case("no reason", f"release {H5}", "Missing option '--why'"),
    Case("an unknown publication", "verify 99", "There is no publication 99"),
    Case("a publication that is no number", "verify last", "'last' is not a valid integer"),
    Case("an unknown publication in SQL", "sql --as-of 99 'SELECT 1'", "There is no publication 99"),
    Case("SQL that deletes", "sql 'DELETE FROM silver.thermostats'", "DELETE is refused"),
    Case("SQL that makes a table", "sql 'CREATE TABLE x AS SELECT 1'", "CREATE is refused"),
    Case("SQL that copies to a file", "sql \"COPY (SELECT 1) TO '/tmp/x.csv'\"", "COPY is refused"),
    Case("SQL that reads another file", "sql \"FROM '/etc/passwd'\"", "'/etc/passwd' is refused"),
    Case("SQL with a mistake", "sql 'SELEC 1'", "syntax error"),
    Case("a table that there is not", "sql 'SELECT * FROM silver.thermostat'", "Did you mean silver.thermostats?"),
    Case("a column that there is not", "sql 'SELECT temp FROM silver.thermostats'", '"temp" not found'),
    Case("a question file that is not there", "sql -f {folder}/none.sql", "none.sql"),
    Case("a trace of nothing", "trace", "Give a gold table"),
    Case("a place that is none", "trace --message telemetry-0-17", "is not TOPIC:PARTITION:OFFSET"),
    Case("a message that there is not", "trace --message telemetry:0:99", "bronze has no telemetry:0:99"),
    Case("a trace of an unknown table", "trace gold.hours device_id=x", "gold.hours is no table of gold"),
    Case("a trace before any publication", "trace gold.device_hours device_id=x", "Nothing has been published yet",
         settings={"LAKEHOUSE_HOME": "{folder}/empty"}),
    Case("a verification before any publication", "verify", "Nothing has been published yet",
         settings={"LAKEHOUSE_HOME": "{folder}/empty"}),
    Case("an unknown model", "models show pmp", "is not a device model"),
    Case("a model file that is not there", "models add {folder}/none.json", "none.json"),
    Case("a model file that is no JSON", "models add {folder}/broken.json", "broken.json"),
    Case("a model file that is no model", "models add {folder}/list.json", "list.json"),
    Case("a fault file that is no JSON", "simulate --faults {folder}/broken.json", "broken.json"),
    Case("no devices", "simulate --devices 0", "--devices"),
    Case("hours that are none", "simulate --hours -1", "--hours"),
    Case("a recording that is not there", "replay {folder}/none.csv --model pump", "none.csv"),
    Case("a recording of an unknown model", "replay {folder}/data.csv --model pmp --device d", "is not a device model"),
    Case("a recording without such a column",
         "replay {folder}/data.csv --model thermostat --device d --time-column when", "no column 'when'"),
    Case("a recording with no device", "replay {folder}/data.csv --model thermostat", "--device"),
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that are not what they should be, and a home whose lake has an hour of silver."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "broken.json").write_text('{"@id": ')
    (folder / "list.json").write_text("[1, 2]")
    (folder / "data.csv").write_text("timestamp,temperature\n2026-11-20T05:00:00Z,21.5\n")
    lake = Lake(Settings(home=folder / "home", lake_uri=str(folder / "home" / "lake")))
    lake.fill(H5, 2)
    inputs = lake.write()
    publications.record(lake.settings, Publication(
        publication_id=1, published_at=NOW, tables={}, inputs=inputs, slices=(), held=(), releases=(), first_slice="",
        last_slice="", models={}, code_version="1", run_id="run",
    ))  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running_s3_server(tmp_path_factory.mktemp("s3")) as server:
        server.settings(tmp_path_factory.mktemp("home"), "lakes")
        yield server


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_wrong_command_is_answered_with_one_sentence(
    case: Case, folder: Path, server: S3Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what is wrong, ends with the exit code of its kind, and nothing is started or changed."""
    for name in ("LAKEHOUSE_LAKE_URI", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(landing_topics, "_TIMEOUT_S", 1.0)  # nobody listens there, however long one waits
    monkeypatch.setenv("LAKEHOUSE_HOME", str(folder / "home"))
    for name, value in case.settings.items():
        monkeypatch.setenv(name, value.format(folder=folder, s3=server.endpoint))
    arguments = [each.format(folder=folder) for each in shlex.split(case.arguments)]
    exit_code = run(arguments)
    said = "".join(capsys.readouterr())
    assert case.says in said
    assert exit_code == case.exit_code
