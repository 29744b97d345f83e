"""A record whose header has a name that is not UTF-8, as a client in C may send it.

Belongs here: this record. The Python and Java clients cannot send one, so librdkafka is asked directly.
"""

import ctypes
from pathlib import Path

import confluent_kafka

from wire.envelope import Message

# rdkafka.h, rd_kafka_vtype_t: what each argument of rd_kafka_producev is
_END, _TOPIC, _VALUE, _KEY, _FLAGS, _HEADER = 0, 1, 4, 5, 7, 9
_COPY = 2


def send_with_header_name(bootstrap: str, message: Message, name: bytes) -> None:
    """Send a message with one header more, of this name, and wait until the broker has it."""
    (path,) = (Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs").glob("librdkafka-*.so*")
    rdkafka = ctypes.CDLL(str(path))
    rdkafka.rd_kafka_new.restype = rdkafka.rd_kafka_conf_new.restype = ctypes.c_void_p
    problem, size = ctypes.create_string_buffer(512), ctypes.c_size_t
    settings = ctypes.c_void_p(rdkafka.rd_kafka_conf_new())
    rdkafka.rd_kafka_conf_set(settings, b"bootstrap.servers", bootstrap.encode(), problem, size(512))
    producer = ctypes.c_void_p(rdkafka.rd_kafka_new(0, settings, problem, size(512)))
    key, value = message.key or b"", message.value
    named = [(each.encode(), of or b"") for each, of in message.headers] + [(name, b"v")]
    headers = [part for each, of in named for part in (_HEADER, each, of, size(len(of)))]
    error = rdkafka.rd_kafka_producev(
        producer, _TOPIC, message.topic.encode(), _VALUE, value, size(len(value)), _KEY, key, size(len(key)), *headers,
        _FLAGS, _COPY, _END,
    )  # fmt: skip
    assert error == 0, error
    assert rdkafka.rd_kafka_flush(producer, 20_000) == 0
    rdkafka.rd_kafka_destroy(producer)
