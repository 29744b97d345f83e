"""Settings of the engines: Kafka, Spark and Dagster.

Belongs here: which of them are used, and with how much memory. Not how they are started.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from runtime.kafka.clients import address_of
from runtime.variables import (
    Setting,
    absolute_path,
    engine_name,
    host,
    hosts,
    memory_size,
    message_types,
    port,
    seconds,
    spark_address,
    whole_number,
)


@dataclass(frozen=True, kw_only=True)
class KafkaSettings:
    """Which Kafka, and what counts as telemetry there."""

    kafka_bootstrap: Annotated[
        str | None, Setting("LAKEHOUSE_KAFKA_BOOTSTRAP", hosts, "Kafka", "your Kafka", "embedded broker")
    ] = None
    kafka_config: Annotated[
        Path | None,
        Setting(
            "LAKEHOUSE_KAFKA_CONFIG", Path, "Kafka",
            "file of client properties for your Kafka: TLS, user and password", "none",
        ),
    ] = None  # fmt: skip
    foreign_types: Annotated[
        str | None,
        Setting(
            "LAKEHOUSE_TELEMETRY_TYPES", message_types, "Kafka",
            "types of CloudEvents that count as telemetry besides our own: `com.example.reading,com.other.*`",
            "none",
        ),
    ] = None  # fmt: skip

    @property
    def kafka_address(self) -> str | None:
        """Your Kafka with its client properties, as clients are told it."""
        return address_of(self.kafka_bootstrap, self.kafka_config) if self.kafka_bootstrap else None

    @property
    def telemetry_types(self) -> tuple[str, ...]:
        """The foreign types of messages that count as telemetry."""
        return tuple(self.foreign_types.split(",")) if self.foreign_types else ()


@dataclass(frozen=True, kw_only=True)
class SparkSettings:
    """Where Spark runs, with which memory and Java."""

    spark: Annotated[
        str,
        Setting(
            "LAKEHOUSE_SPARK", spark_address, "Spark",
            "`local[N]`, `spark://host:port`, or a running Connect server `sc://host:port`", "`local[*]`",
        ),
    ] = "local[*]"  # fmt: skip
    spark_memory: Annotated[
        str, Setting("LAKEHOUSE_SPARK_MEMORY", memory_size, "Spark", "memory of the embedded Spark", "`1200m`")
    ] = "1200m"
    spark_driver_host: Annotated[
        str | None,
        Setting(
            "LAKEHOUSE_SPARK_DRIVER_HOST", host, "Spark",
            "name or address of this machine, as a cluster's executors reach it", "this machine's own name",
        ),
    ] = None  # fmt: skip
    spark_python: Annotated[
        str | None,
        Setting("LAKEHOUSE_SPARK_PYTHON", str, "Spark", "Python on a cluster's machines", "what they have"),
    ] = None
    spark_credentials: Annotated[
        str | None,
        Setting(
            "LAKEHOUSE_SPARK_CREDENTIALS", absolute_path, "Spark",
            "file of AWS credentials on each of a cluster's machines, where these have no role", "their environment",
        ),
    ] = None  # fmt: skip
    spark_wait_s: Annotated[
        int,
        Setting(
            "LAKEHOUSE_SPARK_WAIT_S", seconds, "Spark",
            "seconds in which executors of a cluster must answer before a tick says what they cannot do", "25",
        ),
    ] = 25  # fmt: skip
    engine: Annotated[
        str,
        Setting(
            "LAKEHOUSE_ENGINE", engine_name, "Spark",
            "where silver is judged: `here`, on `spark`'s executors, or `auto`: there when they are a cluster's and it "
            "is a million records or more", "`here`",
        ),
    ] = "here"  # fmt: skip
    ingest_engine: Annotated[
        str,
        Setting(
            "LAKEHOUSE_INGEST_ENGINE", engine_name, "Spark",
            "who reads Kafka into bronze: the run itself (`here`), `spark`, or `auto`: Spark for more than 250,000 "
            "records", "`auto`",
        ),
    ] = "auto"  # fmt: skip
    java_home: Annotated[
        Path | None, Setting("JAVA_HOME", Path, "Spark", "Java for Spark and Kafka", "what set-up has found")
    ] = None


@dataclass(frozen=True, kw_only=True)
class DagsterSettings:
    """Dagster's own web page, and what it shows."""

    ui_port: Annotated[
        int | None, Setting("LAKEHOUSE_UI_PORT", port, "Dagster", "port of Dagster's UI", "3000, or a free one")
    ] = None
    fresh_within_minutes: Annotated[
        int,
        Setting(
            "LAKEHOUSE_FRESH_WITHIN_MINUTES", whole_number, "Dagster",
            "a gold table of which nothing was published for so long is shown as overdue; 0: none is", "60",
        ),
    ] = 60  # fmt: skip
