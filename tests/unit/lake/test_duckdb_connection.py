"""DuckDB connections that read Delta tables, without a network and without a home folder."""

from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from lake.storage.duckdb_connection import connect, extension_path, scan
from runtime.errors import PlatformError
from runtime.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A lakehouse in a folder."""
    return Settings(home=tmp_path / "home", lake_uri=str(tmp_path / "it's a lake"))


def test_scan_reads_the_pinned_version(settings: Settings) -> None:
    """A later commit does not show, and a quote in the path is no harm."""
    uri = f"{settings.lake_uri}/t"
    for number in (1, 2):
        write_deltalake(uri, pa.table({"n": [number]}), mode="append")
    with connect(settings) as connection:
        assert connection.sql(f"SELECT n FROM {scan(uri, 0)}").fetchall() == [(1,)]
        assert connection.sql(f"SELECT sum(n) FROM {scan(uri, 1)}").fetchall() == [(3,)]


def test_session_is_in_utc_and_downloads_nothing(settings: Settings) -> None:
    """Hours are UTC hours whatever the machine's zone is, and an unknown function does not fetch an extension."""
    with connect(settings, threads=1) as connection:
        row = connection.sql("SELECT date_trunc('day', TIMESTAMPTZ '2026-11-20 23:30:00-01:00')::VARCHAR").fetchone()
        assert row == ("2026-11-21 00:00:00+00",)
        assert connection.sql("SELECT current_setting('threads')").fetchone() == (1,)
        # where TZ is not set, the machine's own zone is called otherwise
        assert connection.cursor().sql("SELECT current_setting('TimeZone')").fetchone() == ("UTC",)
        with pytest.raises(duckdb.Error, match="excel"):
            connection.sql("SELECT * FROM read_xlsx('/none.xlsx')")
        assert connection.sql(
            "SELECT current_setting('autoinstall_known_extensions'), current_setting('autoload_known_extensions')"
        ).fetchone() == (False, False)


def test_s3_lake_gets_a_secret_for_itself_only(tmp_path: Path) -> None:
    """The keys are for the lake's prefix, at the endpoint that the settings name."""
    settings = Settings(
        home=tmp_path,
        lake_uri="s3://bucket/prefix",
        aws_endpoint_url="http://127.0.0.1:9",
        aws_access_key_id="key",
        aws_secret_access_key="it's",
    )
    with connect(settings) as connection:
        secret = connection.sql("SELECT scope, secret_string FROM duckdb_secrets()").fetchone()
    assert secret is not None
    assert secret[0] == ["s3://bucket/prefix"]
    assert "endpoint=127.0.0.1:9" in secret[1]
    assert "use_ssl=false" in secret[1]


def test_explain_analyze_reads_partition_predicates(settings: Settings) -> None:
    """Two predicates on partition columns can be explained, and skip files."""
    uri = f"{settings.lake_uri}/t"
    rows = pa.table({"d": [1, 1, 2], "h": [1, 2, 1], "n": [1, 2, 3]})
    write_deltalake(uri, rows, partition_by=["d", "h"])
    with connect(settings) as connection:
        sql = f"EXPLAIN ANALYZE SELECT n FROM {scan(uri, 0)} WHERE d = 1 AND h BETWEEN 2 AND 3"
        plan = connection.sql(sql).fetchall()[0][1]
    assert "Total Files Read: 1" in " ".join(plan.split())


def test_missing_extension_says_what_to_do() -> None:
    """An extension that is not installed is one clear sentence."""
    with pytest.raises(PlatformError, match="duckdb-extension-nonesuch is not installed: install the requirements"):
        extension_path("nonesuch")


def test_database_that_cannot_be_opened_is_named(settings: Settings, tmp_path: Path) -> None:
    """A file that is no database is named in the error."""
    path = tmp_path / "no.duckdb"
    path.write_text("this is no database at all, but long enough to be looked at")
    with pytest.raises(PlatformError, match=r"no\.duckdb"):
        connect(settings, str(path))


def test_timestamps_come_back_in_utc(settings: Settings) -> None:
    """A Delta timestamp is the same moment in DuckDB."""
    moment = datetime.fromisoformat("2026-11-20T05:00:00+00:00")
    uri = f"{settings.lake_uri}/t"
    write_deltalake(uri, pa.table({"at": pa.array([moment], pa.timestamp("us", tz="UTC"))}))
    with connect(settings) as connection:
        assert connection.sql(f'SELECT "at"::VARCHAR FROM {scan(uri, 0)}').fetchone() == ("2026-11-20 05:00:00+00",)
