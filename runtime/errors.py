"""Every error the lakehouse raises on purpose, as one tree.

Belongs here: exception classes and nothing else. A message says what happened, where, and what to do; the command
line prints it as one sentence and leaves with `exit_code`.

    LakehouseError
    ├── UsageError            the caller asked for something that cannot be (exit 2)
    │   ├── ModelError        a DTDL model or quality file that cannot be used
    │   └── QueryError        SQL that failed or that tried to write
    ├── InputError            a recorded file that cannot be taken as it is
    ├── PlatformError         the machine or a service is not as needed: port, disk, network, Java, broker, S3
    ├── FormatError           a lake is of a format that this program does not know
    ├── LandingZoneError      Kafka offsets or topics that do not fit what bronze has committed
    ├── LeaseError            another process is writing to this lake
    ├── GateError             publishing was asked for without a passing verdict
    ├── WireError             bytes from a connection that break its protocol, or credentials that do not hold
    └── StepError             a step of the pipeline failed (dbt, Spark, a commit)
"""


class LakehouseError(Exception):
    """The root of the tree; catch this to catch everything that the lakehouse raises on purpose."""

    exit_code = 1


class UsageError(LakehouseError):
    """The caller asked for something that cannot be."""

    exit_code = 2


class ModelError(UsageError):
    """A DTDL model or its quality file cannot be used."""


class QueryError(UsageError):
    """SQL that failed, or that tried to write."""


class InputError(LakehouseError):
    """A recorded file cannot be taken as it is; nothing of it was sent."""


class PlatformError(LakehouseError):
    """The machine or a service is not as needed."""


class FormatError(LakehouseError):
    """A lake is of a format that this program does not know."""


class LandingZoneError(LakehouseError):
    """Kafka's offsets or topics do not fit what bronze has committed."""


class LeaseError(LakehouseError):
    """Another process is writing to this lake."""


class GateError(LakehouseError):
    """Publishing was asked for without a stored, passing verdict."""


class StepError(LakehouseError):
    """A step of the pipeline failed."""


class WireError(LakehouseError):
    """Bytes that break their protocol, or credentials that do not hold."""
