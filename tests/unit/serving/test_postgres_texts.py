"""What is said to PostgreSQL: verifiers of keys, tables and views of declarations, addresses."""

import base64

import pytest

from lake.models.catalog import BUILT_IN_MODELS, load_models
from lake.tables.gold import GOLD_TABLES
from runtime.errors import UsageError
from runtime.settings import load_settings
from serving.access.scram import scram_verifier
from serving.bi.postgres_layout import declared_views
from serving.bi.postgres_server import shown
from serving.bi.postgres_tables import store_statements


def test_a_verifier_is_as_postgresql_makes_it() -> None:
    """The user and password of RFC 7677's example."""
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    assert scram_verifier("pencil", salt) == (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )


def test_every_declared_table_has_a_store_and_a_view() -> None:
    """Each gold table is stored with its key and shown with what its columns mean, and only a reader's sites."""
    stores, views = store_statements("store_1"), declared_views("store_1", load_models([BUILT_IN_MODELS]).values())
    for table in GOLD_TABLES:
        assert f"CREATE TABLE store_1.{table.short_name} (" in stores
        statement = views[table.name]
        assert all(column.description.replace("'", "''") in statement for column in table.columns)
        assert ("site_id = ANY" in statement) == ("site_id" in table.column_names)
        assert "lakehouse.readers WHERE role = current_user" in statement
    assert "ready.publication" in views
    assert 'wide."thermostats_hours"' in views


def test_an_address_is_shown_without_its_secrets() -> None:
    """Neither user nor password nor options are told."""
    assert shown("postgresql://u:secret@db.example:6543/gold?sslmode=require") == "postgresql://db.example:6543/gold"
    assert shown("postgres://u@db/gold") == "postgresql://db:5432/gold"


@pytest.mark.parametrize("text", ["db.example", "mysql://u@h/x", "postgresql://host", "postgresql://host/"])
def test_an_address_that_is_none_is_refused(text: str) -> None:
    """A setting without a database, or of another kind, is said before anything is started."""
    with pytest.raises(UsageError, match="LAKEHOUSE_POSTGRES"):
        load_settings({"LAKEHOUSE_POSTGRES": text})
