"""Headers of a Kafka record, whoever sent it.

Belongs here: taking them from confluent-kafka without harm. What a header means is for who reads it.

A name may be any bytes (record batch, version 2); Python's client wants UTF-8.
"""

from operator import methodcaller

from confluent_kafka import Message

Headers = list[tuple[str, bytes | None]]
# called so, a wrong return is seen: of a name that is not UTF-8 confluent-kafka 2.16 gives a list with a hole, and who
# reads that, or asks once more, ends the process
_ask = methodcaller("headers")


def headers_of(message: Message) -> Headers | None:
    """All headers in their order; None where one has a name that is not UTF-8. To be asked once a message."""
    try:
        found: Headers = _ask(message) or []
    except (SystemError, UnicodeDecodeError):
        return None
    return found
