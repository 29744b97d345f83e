"""How the embedded Spark is configured: for Delta, for S3 and for one machine.

Belongs here: the server's properties, its JVM's options and its process's variables, and why they are so. What a
session is told, and the server's start, belong in `connect_server`.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from runtime.errors import UsageError
from runtime.java import class_archives, compilers
from runtime.java.jvm import find_java
from runtime.private_files import home_key
from runtime.settings import Settings
from runtime.variables import memory_mb

NAME = "spark"
EXECUTORS_LOG = "org.apache.spark.scheduler.cluster"
"""Who says in the driver's log which executors a cluster gives, which have come and which have gone."""
_CLUSTER_LOG = f"""\
rootLogger.level = warn
rootLogger.appenderRef.stdout.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{{yy/MM/dd HH:mm:ss}} %p %c{{1}}: %m%n%ex
logger.executors.name = {EXECUTORS_LOG}
logger.executors.level = info
"""
_FEW_CORES = 4


def needed_memory_mb(settings: Settings) -> int:
    """Memory that must be available to start Spark: its heap. Raises UsageError for a size that is none."""
    try:
        return memory_mb(settings.spark_memory)
    except ValueError as error:
        raise UsageError(f"LAKEHOUSE_SPARK_MEMORY is {settings.spark_memory!r}: {error}") from error


def spark_configuration(settings: Settings, jars: list[Path], port: int) -> dict[str, str]:
    """The server's configuration. Holds no credentials: those go through the environment."""
    cores = os.cpu_count() or 2
    work = settings.work_folder
    java = find_java(settings.java_home)
    jvm_options = [f"-Duser.timezone=UTC -Dderby.system.home={work / 'derby'}", *_jvm_options(cores)]
    jvm_options += [*class_archives.options(settings, NAME, java, jars), *compilers.options(settings)]
    values = {
        "spark.master": settings.spark,
        "spark.driver.memory": settings.spark_memory,
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        # errors come back as their message; the JVM's stack stands in the log
        "spark.sql.connect.serverStacktrace.enabled": "false",
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.session.timeZone": "UTC",
        "spark.driver.extraJavaOptions": " ".join(jvm_options),
        "spark.sql.warehouse.dir": str(work / "warehouse"),
        "spark.local.dir": str(work),
        "spark.sql.catalogImplementation": "in-memory",
        "spark.log.level": "WARN",
        # what a plan shows of a source's options: Kafka's password may stand among them
        "spark.sql.redaction.options.regex": "(?i)url|jaas|password|keystore",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        # the defaults are made for a cluster: 200, 50 and 10,000 tasks of which each costs more than its work here
        "spark.sql.shuffle.partitions": str(cores * 2),
        "spark.databricks.delta.snapshotPartitions": "2",
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": str(cores * 2),
        # one tick's plans compile to more classes than the 100 that are kept by default (docs/decisions/014)
        "spark.sql.codegen.cache.maxEntries": "1000",
    }
    if settings.spark.startswith("local"):
        values |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
        # the driver's own ports, with a key that Spark makes for itself
        values["spark.authenticate"] = "true"
        # one class path for the one JVM; executors elsewhere are sent the jars instead
        values["spark.driver.extraClassPath"] = ":".join(str(jar) for jar in jars)
        # Hadoop's own forks a chmod for each file and folder (docs/decisions/014)
        values["spark.hadoop.fs.file.impl"] = "com.globalmentor.apache.hadoop.fs.BareLocalFileSystem"
        values["spark.pyspark.python"] = sys.executable
    else:
        values |= _cluster_configuration(settings, jars)
    if settings.is_s3:
        values |= _s3a_configuration(settings)
    return values


def write_files(settings: Settings, values: Mapping[str, str]) -> Path:
    """Write the configuration, and for a cluster what the driver logs of executors; the file that Spark is given."""
    conf = _conf_folder(settings)
    if settings.spark.startswith("spark://"):
        conf.mkdir(parents=True, exist_ok=True)
        (conf / "log4j2.properties").write_text(_CLUSTER_LOG)
    settings.work_folder.mkdir(parents=True, exist_ok=True)
    configuration = settings.work_folder / "spark.conf"
    configuration.write_text("".join(f"{name} {value}\n" for name, value in values.items()))
    return configuration


def _conf_folder(settings: Settings) -> Path:
    """Where Spark looks for files of its own; there is none but for a cluster."""
    is_cluster = settings.spark.startswith("spark://")
    return settings.work_folder / ("spark-conf" if is_cluster else "no-spark-conf")


def _cluster_configuration(settings: Settings, jars: list[Path]) -> dict[str, str]:
    """Paths of this machine are none of the executors': they are sent the jars, and have their own Python."""
    file = settings.spark_credentials
    values = {
        "spark.jars": ",".join(str(jar) for jar in jars),
        "spark.driver.host": settings.spark_driver_host,
        "spark.pyspark.python": settings.spark_python,
        "spark.executor.extraJavaOptions": f"-Daws.sharedCredentialsFile={file}" if file else None,
    }
    return {name: value for name, value in values.items() if value}


def _jvm_options(cores: int) -> list[str]:
    """On few cores parallel collectors take the processor time that the work needs.

    The optimising compiler stays on: a first tick begins a little later, and later ones take half the time or less.
    Spark generates code for every plan, which in the end fills what the JVM keeps for compiled code, and then it dies.
    The JVM leaves methods of over 8,000 bytes to its interpreter unless told otherwise, and Spark generates such ones.
    Records from Kafka are short-lived and many, so half of the heap is for the young (docs/decisions/014).
    """
    few = ["-XX:+UseSerialGC", "-XX:ReservedCodeCacheSize=256m", "-XX:NewRatio=1"]
    return ["-XX:-DontCompileHugeMethods", *(few if cores <= _FEW_CORES else [])]


def _s3a_configuration(settings: Settings) -> dict[str, str]:
    prefix = "spark.hadoop.fs.s3a."
    values = {
        f"{prefix}impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        f"{prefix}endpoint.region": settings.aws_region,
        f"{prefix}aws.credentials.provider": _credentials_provider(settings),
        # commits of Delta need no renames, so the fast upload may hold its blocks in memory-mapped files
        f"{prefix}fast.upload.buffer": "disk",
    }
    if settings.spark.startswith("local"):
        # on a cluster each machine has its own
        values[f"{prefix}buffer.dir"] = str(settings.work_folder / "s3a")
    if settings.aws_endpoint_url:
        values[f"{prefix}endpoint"] = settings.aws_endpoint_url
        values[f"{prefix}path.style.access"] = "true"
        values[f"{prefix}connection.ssl.enabled"] = str(settings.aws_endpoint_url.startswith("https://")).lower()
    return values


def _credentials_provider(settings: Settings) -> str:
    """Where keys come from: here the environment, on another machine its environment, its file or its role."""
    package = "software.amazon.awssdk.auth.credentials"
    environment = f"{package}.EnvironmentVariableCredentialsProvider"
    if not settings.spark.startswith("local"):
        role = "org.apache.hadoop.fs.s3a.auth.IAMInstanceCredentialsProvider"
        # the SDK's own: Hadoop's asks for the file as it is made, also here, where there need be none
        return f"{environment},{package}.ProfileCredentialsProvider,{role}"
    return environment if settings.aws_access_key_id else f"{package}.DefaultCredentialsProvider"


def spark_environment(settings: Settings, spark_home: Path) -> dict[str, str]:
    """The variables that the server's process is given, credentials among them."""
    java = find_java(settings.java_home)
    values = {
        "JAVA_HOME": str(java.parent.parent),
        "SPARK_HOME": str(spark_home),
        "SPARK_LOCAL_IP": "127.0.0.1" if settings.spark.startswith("local") else None,
        # what tasks of Spark Connect run, instead of `spark.pyspark.python`; a cluster's have no path of this machine
        "PYSPARK_PYTHON": sys.executable if settings.spark.startswith("local") else settings.spark_python,
        "SPARK_CONF_DIR": str(_conf_folder(settings)),
        # glibc gives each thread a pool of its own, and what is free in one is lost to the others
        "MALLOC_ARENA_MAX": "2",
        "AWS_ACCESS_KEY_ID": settings.aws_access_key_id,
        "AWS_SECRET_ACCESS_KEY": settings.aws_secret_access_key,
        "AWS_SESSION_TOKEN": settings.aws_session_token,
        # what a client sends is run, by whoever may connect
        "SPARK_CONNECT_AUTHENTICATE_TOKEN": home_key(settings, NAME),
    }
    return {name: value for name, value in values.items() if value}
