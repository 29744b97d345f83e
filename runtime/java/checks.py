"""Checks: Java, and the jars of what this home starts itself.

Belongs here: whether they are there. Finding and fetching them is `jvm`'s and `jars`'.
"""

from runtime.errors import PlatformError
from runtime.findings import Check, Finding
from runtime.java.jars import Kind, is_complete
from runtime.java.jvm import find_java, java_version
from runtime.settings import Settings


def check_java(settings: Settings) -> Finding:
    """A JVM that Spark and Kafka run on."""
    try:
        java = find_java(settings.java_home)
        return Finding("java", True, f"Java {java_version(java)} at {java}")
    except PlatformError as error:
        return Finding("java", False, str(error), "Install Java 17 or newer, or install the package again.")


def check_jars(settings: Settings) -> Finding:
    """The jars of the parts that this home starts itself are there."""
    needed: list[Kind] = []
    if settings.kafka_address is None:
        needed.append("kafka")
    if not settings.spark.startswith("sc://"):
        needed += ["spark", "s3"] if settings.is_s3 else ["spark"]
    missing = [kind for kind in needed if not is_complete(kind)]
    if missing:
        command = f"python -m runtime.java.jars {' '.join(missing)}"
        advice = f"Run `{command}`, or let the first command that needs them fetch them."
        return Finding("jars", False, f"missing: {', '.join(missing)}", advice)
    return Finding("jars", True, ", ".join(needed) or "none needed")


CHECKS: tuple[Check, ...] = (
    check_java,
    check_jars,
)
