"""Settings: said once, read at the start with every mistake named, and the same in every child."""

from dataclasses import fields, replace
from pathlib import Path

import pytest

from runtime.errors import UsageError
from runtime.settings import KNOWN_VARIABLES, SETTINGS, Settings, load_settings, settings_markdown, unknown_variables

CUSTOM = {
    "LAKEHOUSE_HOME": "elsewhere",
    "LAKEHOUSE_LAKE_URI": "s3://lakes/one/",
    "LAKEHOUSE_KAFKA_BOOTSTRAP": "kafka-1:9092,[::1]:9093",
    "LAKEHOUSE_SPARK": "sc://spark:15002",
    "LAKEHOUSE_SPARK_MEMORY": "2g",
    "LAKEHOUSE_SPARK_DRIVER_HOST": "driver.example",
    "LAKEHOUSE_SPARK_PYTHON": "/opt/python/bin/python",
    "LAKEHOUSE_SPARK_CREDENTIALS": "/etc/lakehouse/credentials",
    "LAKEHOUSE_SPARK_WAIT_S": "90",
    "LAKEHOUSE_ENGINE": "spark",
    "LAKEHOUSE_INGEST_ENGINE": "here",
    "JAVA_HOME": "/opt/java",
    "LAKEHOUSE_UI_PORT": "4000",
    "LAKEHOUSE_FRESH_WITHIN_MINUTES": "90",
    "LAKEHOUSE_KEEP_PUBLICATIONS_DAYS": "7",
    "LAKEHOUSE_KEEP_FILES_HOURS": "48",
    "LAKEHOUSE_KEEP_BRONZE_DAYS": "90",
    "LAKEHOUSE_KEEP_SILVER_DAYS": "180",
    "LAKEHOUSE_SQL_MEMORY_MB": "0",
    "LAKEHOUSE_KAFKA_CONFIG": "/etc/kafka.properties",
    "LAKEHOUSE_TELEMETRY_TYPES": "com.example.reading,org.other.*",
    "LAKEHOUSE_HUB_DATABASE": "postgresql://hub@db/hub",
    "LAKEHOUSE_HUB_PORT": "443",
    "LAKEHOUSE_API_PORT": "8081",
    "LAKEHOUSE_API_HOST": "0.0.0.0",
    "LAKEHOUSE_TLS_CERTIFICATE": "/certificates/api.pem",
    "LAKEHOUSE_TLS_KEY": "/certificates/api.key",
    "LAKEHOUSE_OIDC_ISSUER": "https://login.example/lake",
    "LAKEHOUSE_OIDC_AUDIENCE": "api://lakehouse",
    "LAKEHOUSE_OIDC_KEYS": "https://login.example/keys",
    "LAKEHOUSE_OIDC_CLAIM": "roles",
    "LAKEHOUSE_POSTGRES": "postgresql://lake@db/lake",
    "LAKEHOUSE_POSTGRES_PORT": "5433",
    "LAKEHOUSE_QUEUES_PORT": "5673",
    "LAKEHOUSE_SMTP": "smtp://user:secret@mail.example:587",
    "LAKEHOUSE_MAIL_FROM": "lake@example.com",
    "LAKEHOUSE_ACTIONS_SECRET": "secret",
    "LAKEHOUSE_ACTIONS_ALLOW": "10.1.0.0/16,127.0.0.1/32",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9000",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_SESSION_TOKEN": "token",
    "AWS_REGION": "eu-west-1",
}


def test_a_child_comes_to_the_same_settings(tmp_path: Path) -> None:
    """Each setting that can be read is passed on, none by hand."""
    settings = load_settings(CUSTOM, tmp_path)
    default = load_settings({}, tmp_path)
    assert [name for name in SETTINGS if getattr(settings, name) == getattr(default, name)] == []
    assert load_settings(settings.child_environment(), Path("/")) == settings
    assert load_settings(default.child_environment(), Path("/")) == default


def test_every_field_is_a_setting_but_the_rehearsal_s() -> None:
    """A field that is added is read, known and described, or it would be none."""
    assert {each.name for each in fields(Settings)} - set(SETTINGS) == {"is_rehearsal", "is_brief"}
    assert set(CUSTOM) <= set(KNOWN_VARIABLES)
    assert all(f"| `{setting.variable}` |" in settings_markdown() for setting in SETTINGS.values())


def test_the_defaults_shown_are_the_defaults() -> None:
    """The page does not call a default what it is not."""
    defaults = {each.name: each.default for each in fields(Settings) if isinstance(each.default, int | str)}
    del defaults["is_rehearsal"], defaults["is_brief"]
    assert {name: SETTINGS[name].shown.strip("`") for name in defaults} == {n: str(v) for n, v in defaults.items()}


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    """One run is enough to learn of them all, each with what to give instead."""
    (tmp_path / "file").touch()
    wrong = {
        "LAKEHOUSE_HOME": "file",
        "LAKEHOUSE_LAKE_URI": "gs://bucket/lake",
        "LAKEHOUSE_KAFKA_BOOTSTRAP": "kafka://broker:9092",
        "LAKEHOUSE_SPARK": "yarn",
        "LAKEHOUSE_SPARK_MEMORY": "much",
        "LAKEHOUSE_UI_PORT": "65536",
        "LAKEHOUSE_KEEP_FILES_HOURS": "-1",
        "LAKEHOUSE_SQL_MEMORY_MB": "½",
        "LAKEHOUSE_TELEMETRY_TYPES": "a b",
        "LAKEHOUSE_HUB_DATABASE": "mysql://hub",
        "LAKEHOUSE_ACTIONS_ALLOW": "10.1.0.1/16",
        "AWS_ENDPOINT_URL": "127.0.0.1:9000",
    }
    with pytest.raises(UsageError) as error:
        load_settings(wrong, tmp_path)
    lines = str(error.value).splitlines()
    assert sorted(line.split()[0] for line in lines) == sorted(wrong)
    assert all(": give " in line for line in lines)


@pytest.mark.parametrize(
    ("variable", "values"),
    [
        ("LAKEHOUSE_KEEP_BRONZE_DAYS", ("500001", "9" * 25, "9" * 5000, "\u0663")),
        ("LAKEHOUSE_UI_PORT", ("0", "9" * 5000)),
        ("LAKEHOUSE_SPARK_WAIT_S", ("0", "-1", "1.5", "500001")),
        ("LAKEHOUSE_KAFKA_BOOTSTRAP", ("host:0", "host:65536", "a:9092,b:99999", "[::1", "a,,b")),
        ("LAKEHOUSE_SPARK", ("localhost:7077", "local[x]", "sc://", "sc://h:99999", "spark://", "spark://h",
                             "spark://h:x", "spark://h:7077,g", "spark://h:70770")),
        ("AWS_ENDPOINT_URL", ("http://[", "http://h:x", "https://h:65536", "https://:443")),
        ("LAKEHOUSE_SMTP", ("smtp://[", "smtp://h:x")),
    ],
)  # fmt: skip
def test_what_could_not_be_used_later_is_refused_at_the_start(
    variable: str, values: tuple[str, ...], tmp_path: Path
) -> None:
    """A number that no calendar has, a port that there is none, no time to answer in, an address without a host."""
    for value in values:
        with pytest.raises(UsageError, match=f"^{variable} is .*: give "):
            load_settings({variable: value}, tmp_path)


@pytest.mark.parametrize(
    ("variable", "values"),
    [
        ("LAKEHOUSE_KEEP_BRONZE_DAYS", ("0", "500000")),
        ("LAKEHOUSE_SPARK_WAIT_S", ("1", "600")),
        ("LAKEHOUSE_KAFKA_BOOTSTRAP", ("host", "host:9092", "[::1]:9092", "10.0.0.1:1,b_c-d.example:65535")),
        ("LAKEHOUSE_SPARK", ("local", "local[2]", "local[*]", "local[2,3]", "sc://h", "sc://h:15002/;use_ssl=true",
                             "spark://h:7077", "spark://a:7077,b:7077", "sc://[::1]:15002")),
        ("AWS_ENDPOINT_URL", ("http://127.0.0.1:9000", "https://s3.example/path", "http://[::1]:9000")),
        ("LAKEHOUSE_SMTP", ("smtp://h", "smtps://u:p%40@h:465/")),
    ],
)  # fmt: skip
def test_what_can_be_used_is_taken_as_it_is(variable: str, values: tuple[str, ...], tmp_path: Path) -> None:
    """Every form that the page names, and several hosts."""
    for value in values:
        assert value in map(str, vars(load_settings({variable: value}, tmp_path)).values())


@pytest.mark.parametrize("text", ["s3:///x", "s3://", "s3:/bucket/x", "s3:bucket", "S3://bucket/x", "file:/tmp/lake"])
def test_a_lake_on_s3_needs_a_bucket(tmp_path: Path, text: str) -> None:
    """`s3://` alone is no place, and an address that lacks a slash no folder."""
    with pytest.raises(UsageError, match=f"LAKEHOUSE_LAKE_URI is '{text}': give a folder"):
        load_settings({"LAKEHOUSE_LAKE_URI": text}, tmp_path)


def test_an_empty_variable_is_as_one_that_is_not_set(tmp_path: Path) -> None:
    """Shell files and containers pass empty values on."""
    assert load_settings(dict.fromkeys(CUSTOM, ""), tmp_path) == load_settings({}, tmp_path)


def test_s3_s_own_address_goes_before_that_of_all_of_aws(tmp_path: Path) -> None:
    """As AWS's own clients have it, and the region's usual name before its old one."""
    env = {"AWS_ENDPOINT_URL": "https://aws", "AWS_ENDPOINT_URL_S3": "https://s3", "AWS_DEFAULT_REGION": "a"}
    settings = load_settings(env, tmp_path)
    assert (settings.aws_endpoint_url, settings.aws_region) == ("https://s3", "a")
    assert load_settings(env | {"AWS_REGION": "b"}, tmp_path) == replace(settings, aws_region="b")
    assert load_settings(env | settings.child_environment(), tmp_path) == settings


def test_a_misspelled_variable_is_unknown() -> None:
    """LAKEHOUSE_ is ours; other programs' variables are no matter."""
    assert unknown_variables({"LAKEHOUSE_HOEM": "x", "HOEM": "y", "LAKEHOUSE_HOME": "z"}) == ["LAKEHOUSE_HOEM"]
