"""Reason codes of `silver.rejected`, in the order in which they are judged.

Belongs here: the codes and what they mean to an operator. The judging is in `envelope_rules`, `payload` and `repeats`.
"""

from enum import StrEnum


class Reason(StrEnum):
    """Why a record is not a reading."""

    UNPACKED = "unpacked"
    MISSING_DEVICE = "missing_device"
    BAD_ENVELOPE = "bad_envelope"
    BAD_TIME = "bad_time"
    IMPLAUSIBLE_TIME = "implausible_time"
    UNKNOWN_DEVICE = "unknown_device"
    UNKNOWN_MODEL = "unknown_model"
    UNKNOWN_COMPONENT = "unknown_component"
    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    DUPLICATE_KEY = "duplicate_key"
    WRONG_TYPE = "wrong_type"
    NO_TELEMETRY = "no_telemetry"
    OTHER_UNIT = "other_unit"
    OUT_OF_RANGE = "out_of_range"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


MEANINGS: dict[Reason, str] = {
    Reason.UNPACKED: "A structured event or a pack: its messages are judged one by one",
    Reason.MISSING_DEVICE: "The Kafka key, which names the device, is missing or not UTF-8",
    Reason.BAD_ENVELOPE: "A CloudEvents attribute is missing or its type is not one the lakehouse knows",
    Reason.BAD_TIME: "ce_time is missing or not an RFC 3339 time",
    Reason.IMPLAUSIBLE_TIME: "ce_time lies before 2000 or after 2099: the device has no clock",
    Reason.UNKNOWN_DEVICE: "The registry has no such device; it is judged again when the device is registered",
    Reason.UNKNOWN_MODEL: "No declared model is named by message or registry; it is judged again when it is declared",
    Reason.UNKNOWN_COMPONENT: "The model has no component of that name",
    Reason.TOO_LARGE: "The payload is longer than the model's limit",
    Reason.NOT_JSON: "The payload is not one JSON object in UTF-8",
    Reason.DUPLICATE_KEY: "The JSON object has a name twice",
    Reason.WRONG_TYPE: "A value does not have the type that the model declares",
    Reason.NO_TELEMETRY: "No value of a telemetry that the model declares",
    Reason.OTHER_UNIT: "A value of SenML is in another unit than the model declares",
    Reason.OUT_OF_RANGE: "A value lies outside its declared range or enumeration",
    Reason.DUPLICATE: "The same message again",
    Reason.CONFLICT: "Same source, id and time as an earlier message, but another body; the first is kept",
}
