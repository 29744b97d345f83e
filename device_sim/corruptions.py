"""Corruptions: each way in which a message can be broken, with the reason for which it is to be refused.

Belongs here: turning a good message into a broken one. How often that happens is in `faults`; the reasons are those of
`silver.rejected`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from device_sim.payloads import PayloadTemplate
from lake.models.catalog import Telemetry
from wire.envelope import DATASCHEMA, ID, SOURCE, SUBJECT, TIME, TYPE, Message, source_of, with_header

_NUMERIC = ("double", "float", "int", "bigint", "smallint", "tinyint", "decimal")


class Breaker:
    """Breaks payloads of one model's root, or of one of its components."""

    def __init__(self, telemetry: Sequence[Telemetry], template: PayloadTemplate, max_payload_bytes: int) -> None:
        self.max_payload_bytes = max_payload_bytes
        self._template = template
        self._impossible = next(((i, t) for i, each in enumerate(telemetry) if (t := _impossible_text(each))), None)
        self._wrong_type = next(((i, t) for i, each in enumerate(telemetry) if (t := _wrong_type_text(each))), None)

    def can(self, corruption: str) -> bool:
        """False for a corruption that no telemetry here lends itself to: there is nothing to be out of, say."""
        if corruption == "out_of_range":
            return self._impossible is not None
        return corruption != "wrong_type" or self._wrong_type is not None

    def out_of_range(self, row: Sequence[str]) -> bytes:
        """The payload of these JSON texts with one value outside its declared range or enumeration."""
        return self._with(row, self._impossible)

    def wrong_type(self, row: Sequence[str]) -> bytes:
        """The payload with one value that is not of its declared type."""
        return self._with(row, self._wrong_type)

    def not_a_number(self, row: Sequence[str]) -> bytes:
        """The payload with a NaN, which JSON does not have."""
        return self._with(row, (0, "NaN"))

    def _with(self, row: Sequence[str], change: tuple[int, str] | None) -> bytes:
        if change is None:
            raise ValueError("Ask `can` first.")
        position, text = change
        return self._template.fill([[*row[:position], text, *row[position + 1 :]]])[0]


@dataclass(frozen=True)
class Corruption:
    """One way to break a message: takes it, a breaker of its payload and the JSON texts of its values."""

    reason: str
    apply: Callable[[Message, Breaker, Sequence[str]], Message]


def _value(change: Callable[[bytes], bytes]) -> Callable[[Message, Breaker, Sequence[str]], Message]:
    return lambda message, breaker, row: replace(message, value=change(message.value))


def _header(name: str, value: bytes | None) -> Callable[[Message, Breaker, Sequence[str]], Message]:
    return lambda message, breaker, row: with_header(message, name, value)


def _from_stranger(message: Message, breaker: Breaker, row: Sequence[str]) -> Message:
    stranger = f"stray-{(message.key or b'').decode()}"
    return replace(with_header(message, SOURCE, source_of(stranger).encode()), key=stranger.encode())


def _too_large(message: Message, breaker: Breaker, row: Sequence[str]) -> Message:
    padding = b"x" * breaker.max_payload_bytes
    return replace(message, value=message.value[:-1] + b',"padding":"' + padding + b'"}')


CORRUPTIONS: dict[str, Corruption] = {
    "no_key": Corruption("missing_device", lambda message, breaker, row: replace(message, key=None)),
    "no_id": Corruption("bad_envelope", _header(ID, None)),
    "unknown_type": Corruption("bad_envelope", _header(TYPE, b"lakehouse.nonesuch")),
    "no_time": Corruption("bad_time", _header(TIME, None)),
    "unreadable_time": Corruption("bad_time", _header(TIME, b"yesterday")),
    "year_1970": Corruption("implausible_time", _header(TIME, b"1970-01-01T00:00:00.000Z")),
    "year_9999": Corruption("implausible_time", _header(TIME, b"9999-01-01T00:00:00.000Z")),
    "unknown_device": Corruption("unknown_device", _from_stranger),
    "unknown_model": Corruption("unknown_model", _header(DATASCHEMA, b"dtmi:lakehouse:nonesuch;1")),
    "unknown_component": Corruption("unknown_component", _header(SUBJECT, b"nonesuch")),
    "too_large": Corruption("too_large", _too_large),
    "no_json": Corruption("not_json", _value(lambda value: b"temperature is fine")),
    "empty": Corruption("not_json", _value(lambda value: b"")),
    "truncated": Corruption("not_json", _value(lambda value: value[: len(value) // 2])),
    "trailing": Corruption("not_json", _value(lambda value: value + b" and more")),
    "not_an_object": Corruption("not_json", _value(lambda value: b"%d" % len(value))),
    "not_utf8": Corruption("not_json", _value(lambda value: value[:-1] + b',"note":"\xff\xfe"}')),
    "nul": Corruption("not_json", _value(lambda value: value[:1] + b"\x00" + value[1:])),
    "nan": Corruption("not_json", lambda message, breaker, row: replace(message, value=breaker.not_a_number(row))),
    "doubled_key": Corruption("duplicate_key", _value(lambda value: value[:-1] + b"," + value[1:])),
    "wrong_type": Corruption(
        "wrong_type", lambda message, breaker, row: replace(message, value=breaker.wrong_type(row))
    ),
    "no_telemetry": Corruption("no_telemetry", _value(lambda value: b"{}")),
}
"""By name: the corruptions of a faults file, in the order in which silver judges their reasons."""


def _impossible_text(telemetry: Telemetry) -> str | None:
    """A value of the right type that the model rules out; None when it rules out none."""
    if telemetry.enum_values is not None:
        numbers = [value for value in telemetry.enum_values if isinstance(value, int)]
        return str(max(numbers) + 1000) if numbers else '"undeclared"'
    if telemetry.type.split("(")[0] not in _NUMERIC:
        return None
    if telemetry.maximum is not None:
        return str(round(telemetry.maximum) + 1000)
    return None if telemetry.minimum is None else str(round(telemetry.minimum) - 1000)


def _wrong_type_text(telemetry: Telemetry) -> str | None:
    """A value that cannot be read as the telemetry's type; None where any text can."""
    if telemetry.enum_values is None and telemetry.type.split("(")[0] in (*_NUMERIC, "boolean"):
        return '"broken"'
    return None
