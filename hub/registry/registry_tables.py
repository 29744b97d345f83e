"""The registry's tables, and the version of their schema.

Belongs here: columns and keys. Reading and changing rows belongs in the modules beside this one.
A device and each of its modules are rows of the same tables; the device itself has the empty module id.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB

SCHEMA_VERSION = 1

METADATA = MetaData()
# moments are microseconds since 1970 in UTC: they sort, and both databases keep them exactly
_MOMENT = BigInteger
_DOCUMENT = JSON().with_variant(JSONB(), "postgresql")
# SQLite numbers rows itself for this type only
_NUMBER = BigInteger().with_variant(Integer, "sqlite")


def _who() -> list[Column[str]]:
    return [Column("device_id", String, primary_key=True), Column("module_id", String, primary_key=True)]


FACTS = Table("hub_facts", METADATA, Column("name", String, primary_key=True), Column("value", Text, nullable=False))

POLICIES = Table(
    "policies",
    METADATA,
    Column("tenant", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("primary_key", String, nullable=False),
    Column("secondary_key", String, nullable=False),
    Column("rights", String, nullable=False),
)
REFUSALS = Table(
    "refusals",
    METADATA,
    Column("n", _NUMBER, primary_key=True, autoincrement=True),
    Column("refused_at", _MOMENT, nullable=False),
    Column("tenant", String, nullable=False),
    Column("what", String, nullable=False),
    Column("owner", String, nullable=False),
)
IDENTITIES = Table(
    "identities",
    METADATA,
    *_who(),
    Column("tenant", String, nullable=False, index=True),
    Column("generation_id", String, nullable=False),
    Column("etag", String, nullable=False),
    Column("status", String, nullable=False),
    Column("status_reason", String),
    Column("status_updated_at", _MOMENT),
    Column("auth", String, nullable=False),
    Column("primary_key", String),
    Column("secondary_key", String),
    Column("primary_thumbprint", String),
    Column("secondary_thumbprint", String),
    Column("is_edge", Boolean, nullable=False),
    Column("device_scope", String),
    Column("parent_scopes", _DOCUMENT, nullable=False),
    Column("managed_by", String),
    Column("model_id", String),
    Column("site_id", String),
    Column("interval_s", Integer),
    Column("created_at", _MOMENT, nullable=False),
)
TWINS = Table(
    "twins",
    METADATA,
    *_who(),
    Column("etag", String, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("tags", _DOCUMENT, nullable=False),
    Column("desired", _DOCUMENT, nullable=False),
    Column("desired_meta", _DOCUMENT, nullable=False),
    Column("desired_version", BigInteger, nullable=False),
    Column("reported", _DOCUMENT, nullable=False),
    Column("reported_meta", _DOCUMENT, nullable=False),
    Column("reported_version", BigInteger, nullable=False),
)
CONNECTIONS = Table(
    "connections",
    METADATA,
    *_who(),
    Column("epoch", BigInteger, nullable=False),
    Column("instance", String, nullable=False),
    Column("is_connected", Boolean, nullable=False),
    Column("changed_at", _MOMENT, nullable=False),
    Column("active_at", _MOMENT, nullable=False),
    # where a message that this connection sends again may lie: in which earlier epochs, and from which moment on
    Column("earlier_epochs", _DOCUMENT, nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    # what the next connection must look through of this one; None while open, and when nothing landed in it
    Column("landed_since_ms", BigInteger),
)
INSTANCES = Table(
    "instances",
    METADATA,
    # hub processes: up to where each knows that Kafka has everything it acknowledged, and how often it has beaten
    Column("instance", String, primary_key=True),
    Column("low_water_ms", BigInteger, nullable=False),
    # registries that are there have it by the name of what it once was, a moment
    Column("beat_at_ms", BigInteger, key="beats", nullable=False),
)
CLOUD_MESSAGES = Table(
    "cloud_messages",
    METADATA,
    Column("n", _NUMBER, primary_key=True, autoincrement=True),
    Column("device_id", String, nullable=False, index=True),
    Column("body", LargeBinary, nullable=False),
    Column("properties", _DOCUMENT, nullable=False),
    Column("system", _DOCUMENT, nullable=False),
    Column("ack", String, nullable=False),
    Column("enqueued_at", _MOMENT, nullable=False),
    Column("expires_at", _MOMENT, nullable=False),
    Column("delivery_count", Integer, nullable=False),
    Column("lock_token", String),
    Column("locked_until", _MOMENT),
    sqlite_autoincrement=True,
)
FEEDBACK = Table(
    "feedback",
    METADATA,
    Column("n", _NUMBER, primary_key=True, autoincrement=True),
    Column("tenant", String, nullable=False, index=True),
    Column("record", _DOCUMENT, nullable=False),
    Column("enqueued_at", _MOMENT, nullable=False),
    Column("expires_at", _MOMENT, nullable=False),
    Column("lock_token", String),
    Column("locked_until", _MOMENT),
)
ENROLMENTS = Table(
    "enrolments",
    METADATA,
    Column("tenant", String, primary_key=True),
    Column("kind", String, primary_key=True),
    Column("enrolment_id", String, primary_key=True),
    Column("etag", String, nullable=False),
    Column("body", _DOCUMENT, nullable=False),
    Column("created_at", _MOMENT, nullable=False),
    Column("updated_at", _MOMENT, nullable=False),
)
REGISTRATIONS = Table(
    "registrations",
    METADATA,
    Column("tenant", String, primary_key=True),
    Column("registration_id", String, primary_key=True),
    Column("group_id", String),
    Column("device_id", String),
    Column("status", String, nullable=False),
    Column("etag", String, nullable=False),
    Column("body", _DOCUMENT, nullable=False),
    Column("created_at", _MOMENT, nullable=False),
    Column("updated_at", _MOMENT, nullable=False),
)
DOCUMENTS = Table(
    "documents",
    METADATA,
    # configurations, jobs, models, graph twins, relationships, routes: documents with an etag, by kind
    Column("tenant", String, primary_key=True),
    Column("kind", String, primary_key=True),
    Column("document_id", String, primary_key=True),
    Column("etag", String, nullable=False),
    Column("body", _DOCUMENT, nullable=False),
    Column("created_at", _MOMENT, nullable=False),
    Column("updated_at", _MOMENT, nullable=False),
)
RELATIONSHIPS = Table(
    "relationships",
    METADATA,
    Column("tenant", String, primary_key=True),
    Column("source_id", String, primary_key=True),
    Column("relationship_id", String, primary_key=True),
    Column("target_id", String, nullable=False, index=True),
    Column("name", String, nullable=False),
    Column("etag", String, nullable=False),
    Column("body", _DOCUMENT, nullable=False),
)
JOB_DEVICES = Table(
    "job_devices",
    METADATA,
    Column("tenant", String, primary_key=True),
    Column("job_id", String, primary_key=True),
    Column("device_id", String, primary_key=True),
    Column("status", String, nullable=False),
    Column("outcome", _DOCUMENT, nullable=False),
    Column("updated_at", _MOMENT, nullable=False),
)
UPLOADS = Table(
    "uploads",
    METADATA,
    Column("correlation_id", String, primary_key=True),
    Column("device_id", String, nullable=False, index=True),
    Column("blob_name", String, nullable=False),
    Column("secret", String, nullable=False),
    Column("expires_at", _MOMENT, nullable=False),
    Column("status", String, nullable=False),
)
OUTBOX = Table(
    "outbox",
    METADATA,
    Column("n", _NUMBER, primary_key=True, autoincrement=True),
    Column("topic", String, nullable=False),
    Column("device_id", String, nullable=False),
    Column("type", String, nullable=False),
    Column("time", String, nullable=False),
    Column("value", _DOCUMENT, nullable=False),
    sqlite_autoincrement=True,
)
CHANGES = Table(
    "changes",
    METADATA,
    Column("n", _NUMBER, primary_key=True, autoincrement=True),
    Column("changed_at", _MOMENT, nullable=False),
    Column("kind", String, nullable=False),
    Column("device_id", String, nullable=False),
    Column("module_id", String, nullable=False),
    Column("detail", _DOCUMENT, nullable=False),
    sqlite_autoincrement=True,
)
LEASES = Table(
    "leases",
    METADATA,
    Column("name", String, primary_key=True),
    Column("owner", String, nullable=False),
    # registries that are there have it by the name of what it once was, a moment
    Column("until", BigInteger, key="renewals", nullable=False),
    UniqueConstraint("name"),
)
