"""MQTT 3.1.1's packets in a stream of bytes: where each begins and ends.

Belongs here: a packet's first byte and its length. What is in it belongs in `mqtt`.

Source: MQTT Version 3.1.1, OASIS Standard, sections 2.2.2 and 2.2.3.
"""

from runtime.errors import WireError
from wire.mqtt import LARGEST, PUBLISH, PUBREL, SUBSCRIBE, UNSUBSCRIBE

# the low four bits of the first byte that each kind must have [2.2.2-1]; PUBLISH says something by them
_FLAGS = dict.fromkeys(range(1, 15), 0) | {PUBREL: 2, SUBSCRIBE: 2, UNSUBSCRIBE: 2}


class TooLargeError(WireError):
    """A packet larger than the reader takes."""


class Reader:
    """Takes bytes as they come and gives whole packets: (first byte, body)."""

    __slots__ = ("_largest", "_most", "_rest", "_wanted")

    def __init__(self, largest: int = LARGEST, largest_first: int | None = None) -> None:
        """`largest_first` is for the first packet, which comes before anybody is known."""
        self._largest = largest
        self._most = largest if largest_first is None else largest_first
        self._rest = bytearray()
        self._wanted = 2

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The packets that are complete with `data`.

        Raises TooLargeError as soon as a packet says that its body is larger than is taken, WireError for a length
        or a first byte that cannot be. Packets before the bad one are lost with it: a connection ends there.
        """
        if self._rest:
            # joined once the packet is whole, not with each piece of it
            self._rest += data
            if len(self._rest) < self._wanted:
                return []
            data = bytes(self._rest)
        packets: list[tuple[int, bytes]] = []
        position, end, self._wanted = 0, len(data), 2
        while end - position >= 2:
            first, length, start = data[position], data[position + 1], position + 2
            if length > 127:
                read = _long_length(data, position + 1)
                if read is None:
                    self._check(first, 0)
                    self._wanted = end - position + 1
                    break
                length, start = read
            if first & 0xF0 != 0x30 or length > self._most:
                self._check(first, length)
            if end - start < length:
                self._wanted = start - position + length
                break
            packets.append((first, data[start : start + length]))
            position, self._most = start + length, self._largest
        if position < end or self._rest:
            self._rest = bytearray(data[position:])
        return packets

    def _check(self, first: int, length: int) -> None:
        if first >> 4 != PUBLISH and _FLAGS.get(first >> 4) != first & 15:
            raise WireError(f"No MQTT packet begins with {first:#04x}.")
        if length > self._most:
            raise TooLargeError(f"A packet of {length:,} bytes, where {self._most:,} are taken.")


def _long_length(data: bytes, position: int) -> tuple[int, int] | None:
    """The length and where the body starts; None while bytes of it are missing. At most four bytes [2.2.3]."""
    length = 0
    for place in range(4):
        if position + place >= len(data):
            return None
        byte = data[position + place]
        length |= (byte & 127) << 7 * place
        if byte < 128:
            return length, position + place + 1
    raise WireError("The length of a packet has more than four bytes.")
