"""The doctor: each check passes when all is well and says what to do when it is not."""

import socket
from dataclasses import replace
from pathlib import Path

import pytest

import dagster_project.checks
import ingestion.checks
import lake.checks
import pipeline.checks
import runtime.checks
import runtime.java.checks
import runtime.spark.checks
import serving.checks
from lakehouse.cli.rooms import all_checks
from runtime.settings import Settings
from tests.support.certificates import make_certificate


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A fresh home."""
    home = tmp_path / "home"
    return Settings(home=home, lake_uri=str(home / "lake"))


def test_healthy_machine_has_no_complaint_and_nothing_is_left(settings: Settings) -> None:
    """On this machine every check passes, and looking has made no folder."""
    assert [finding for check in all_checks() if not (finding := check(settings)).is_ok] == []
    assert not settings.home.exists()


def test_misspelled_variable_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """LAKEHOUSE_HMOE would otherwise be ignored without a word."""
    monkeypatch.setenv("LAKEHOUSE_HMOE", "/data")
    finding = runtime.checks.check_variables(settings)
    assert not finding.is_ok
    assert "LAKEHOUSE_HMOE" in finding.found


def test_missing_jars_are_named_by_kind(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what this home starts itself is missed."""
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    assert runtime.java.checks.check_jars(settings).found == "missing: kafka, spark"
    assert runtime.java.checks.check_jars(replace(settings, kafka_bootstrap="h:1", spark="sc://h:1")).is_ok


def test_silent_broker_and_spark_are_named_by_their_address(settings: Settings) -> None:
    """Configured services that do not answer are findings with the variable to correct."""
    configured = replace(settings, kafka_bootstrap="127.0.0.1:9", spark="sc://127.0.0.1:9")
    for finding in (ingestion.checks.check_broker(configured), runtime.spark.checks.check_spark(configured)):
        assert not finding.is_ok
        assert "127.0.0.1:9" in finding.found
        assert "LAKEHOUSE_" in finding.advice


def test_executors_of_a_cluster_that_does_not_answer_are_not_asked(settings: Settings) -> None:
    """What is wrong then is said once, of Spark, and nothing is started or made."""
    configured = replace(settings, spark="spark://127.0.0.1:9")
    assert pipeline.checks.check_executors(configured).found == "not known while Spark does not answer"
    assert not runtime.spark.checks.check_spark(configured).is_ok
    assert not settings.home.exists()


def test_one_of_several_masters_is_enough(settings: Settings) -> None:
    """The standby may be the one that answers; when none does all are named."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"spark://127.0.0.1:9,127.0.0.1:{other.getsockname()[1]}"
        assert runtime.spark.checks.check_spark(replace(settings, spark=address)).is_ok
    none = replace(settings, spark="spark://127.0.0.1:9,127.0.0.1:10")
    assert runtime.spark.checks.check_spark(none).found == "does not answer at spark://127.0.0.1:9,127.0.0.1:10"
    assert pipeline.checks.check_executors(none).found == "not known while Spark does not answer"


def test_folder_that_cannot_be_written_is_named(settings: Settings) -> None:
    """A home under a folder that takes no files (of the kernel, so that root meets it too) is a finding."""
    finding = runtime.checks.check_home(replace(settings, home=Path("/proc/lakehouse")))
    assert not finding.is_ok
    assert "LAKEHOUSE_HOME" in finding.advice


def test_taken_ui_port_is_named(settings: Settings) -> None:
    """A port that another program holds is found before the webserver stumbles over it."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert not dagster_project.checks.check_ui_port(replace(settings, ui_port=port)).is_ok
    assert dagster_project.checks.check_ui_port(replace(settings, ui_port=port)).is_ok


def test_broken_model_is_named(settings: Settings) -> None:
    """An added model that is not JSON is a finding that names the file."""
    settings.models_folder.mkdir(parents=True)
    (settings.models_folder / "broken.json").write_text("{")
    finding = lake.checks.check_models(settings)
    assert not finding.is_ok
    assert "broken.json" in finding.found


def test_memory_setting_that_is_no_size_is_a_finding(settings: Settings) -> None:
    """A wrong size does not break the doctor."""
    finding = runtime.spark.checks.check_memory(replace(settings, spark_memory="much"))
    assert not finding.is_ok
    assert "LAKEHOUSE_SPARK_MEMORY" in finding.advice


def test_missing_memory_and_disk_are_found(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Spark larger than the machine, and less disk than needed, are findings."""
    assert not runtime.spark.checks.check_memory(replace(settings, spark_memory="9000g")).is_ok
    monkeypatch.setattr(runtime.checks, "NEEDED_DISK_MB", 10**9)
    assert not runtime.checks.check_disk(settings).is_ok


def test_an_api_that_could_not_be_served_is_named(settings: Settings, tmp_path: Path) -> None:
    """Off this machine without TLS or a key, files that are no certificate, one that has ended, a taken port; looking
    makes no file of keys."""
    certificate, key = make_certificate(tmp_path)
    secured = replace(settings, tls_certificate=certificate, tls_key=key)
    assert "certificate until" in serving.checks.check_api(secured).found
    for wrong, words in (
        (replace(settings, api_host="0.0.0.0"), "LAKEHOUSE_TLS_CERTIFICATE"),
        (replace(secured, api_host="0.0.0.0"), "nobody may ask"),
        (replace(secured, tls_certificate=key), "no certificate"),
    ):
        finding = serving.checks.check_api(wrong)
        assert not finding.is_ok
        assert words in finding.found
    make_certificate(tmp_path, days=-2)
    finding = serving.checks.check_api(secured)
    assert not finding.is_ok
    assert "Its time is over" in finding.advice
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert "taken" in serving.checks.check_api(replace(settings, api_port=other.getsockname()[1])).found
    assert not settings.home.exists()


def test_users_mail_and_postgres_that_are_not_there_are_named(settings: Settings) -> None:
    """Tenants and reports that cannot be read or sent, a provider, a mail server and a PostgreSQL that are silent."""
    nowhere = "127.0.0.1:9"
    checks = serving.checks
    for check, wrong, words in (
        (checks.check_users, replace(settings, oidc_issuer=f"http://{nowhere}"), "no keys"),
        (checks.check_mail, replace(settings, smtp=f"smtp://{nowhere}", mail_from="a@b.c"), "takes no connection"),
        (checks.check_postgres, replace(settings, postgres=f"postgresql://me:secret@{nowhere}/x"), nowhere),
    ):
        finding = check(wrong)
        assert not finding.is_ok
        assert words in finding.found
        assert "secret" not in finding.found
    (settings.home / "reports").mkdir(parents=True)
    (settings.home / "reports" / "weekly.yml").write_text("to: [ops@example.com]")
    assert "no mail server" in checks.check_mail(settings).found
    (settings.home / "reports" / "weekly.yml").write_text("to: nobody")
    assert "weekly.yml" in checks.check_mail(settings).found
    (settings.home / "tenants.yml").write_text("acme: north")
    assert "tenants.yml" in checks.check_users(settings).found
    assert [check(settings).is_ok for check in checks.CHECKS] == [True, False, False, True]
