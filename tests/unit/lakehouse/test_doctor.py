"""The doctor: each check passes when all is well and says what to do when it is not."""

import socket
from dataclasses import replace
from pathlib import Path

import pytest

import dagster_project.checks
import ingestion.checks
import lake.checks
import runtime.checks
import runtime.java.checks
import runtime.spark.checks
from lakehouse.cli.rooms import all_checks
from runtime.settings import Settings


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
