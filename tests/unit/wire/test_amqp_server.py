"""An AMQP server keeps to what it told its peer, and spends little on one that has not said who it is."""

import pytest

from wire import amqp
from wire.amqp_ends import WINDOW, Delivery, Link
from wire.amqp_server import AmqpServer
from wire.amqp_types import Described, Symbol, Ubyte, Ulong, encode


class Service:
    """Takes every link, and keeps what comes."""

    def __init__(self) -> None:
        self.came: list[bytes] = []

    def signs_in(self, name: str, password: str) -> bool:
        return (name, password) == ("a", "b")

    def attaches(self, link: Link) -> None:
        link.accept()

    def sends(self, delivery: Delivery) -> None:
        self.came.append(delivery.data)

    def wants(self, link: Link) -> None:
        pass

    def detaches(self, link: Link) -> None:
        pass


class Peer:
    """A server, and what is sent to it."""

    def __init__(self, *, is_begun: bool = True) -> None:
        self.said: list[bytes] = []
        self.service = Service()
        self.server = AmqpServer("x", self.service, self.said.append, lambda: None)
        if is_begun:
            self.sends(amqp.PLAIN_HEADER + amqp.frame(amqp.Open("c")), amqp.Begin(None, 0, 100, 100))

    def sends(self, *each: amqp.Performative | bytes, channel: int = 0, payload: bytes = b"") -> bool:
        """Send; True while the connection stands."""
        for one in each:
            self.server.feed(one if isinstance(one, bytes) else amqp.frame(one, channel, payload))
        return self.server.is_open

    def attaches(self, handle: int, channel: int = 0) -> bool:
        target = Described(Ulong(0x29), ["$cbs"])
        name = f"{channel}-{handle}"
        attach = amqp.Attach(name, handle, amqp.SENDER, Ubyte(0), Ubyte(0), None, target, None, None, 0)
        return self.sends(attach, channel=channel)


def raw(code: int, *values: object, is_sasl: bool = False) -> bytes:
    """A frame of a performative whose fields are of any type."""
    body = encode(Described(Ulong(code), list(values)))
    return (len(body) + 8).to_bytes(4, "big") + bytes([2, is_sasl, 0, 0]) + body


@pytest.mark.parametrize("response", [Ulong(10**12), "text", True, [1]], ids=repr)
def test_a_first_answer_that_is_no_bytes_ends_the_connection(response: object) -> None:
    """Thirty bytes do not make the server allocate as many as they say."""
    peer = Peer(is_begun=False)
    assert not peer.sends(amqp.SASL_HEADER + raw(0x41, Symbol("PLAIN"), response, is_sasl=True))


def test_a_name_and_password_sign_in() -> None:
    """What is right is let in, what is not is not."""
    for answer, is_let_in in ((b"\0a\0b", True), (b"\0a\0c", False), (None, False)):
        peer = Peer(is_begun=False)
        assert peer.sends(amqp.SASL_HEADER + amqp.frame(amqp.SaslInit("PLAIN", answer))) is is_let_in


@pytest.mark.parametrize(
    "frame",
    [
        raw(0x10, 5), raw(0x10, "c", 7), raw(0x11, None, True), raw(0x12, 5), raw(0x12, "l", -1), raw(0x12, "l", 2**32),
        raw(0x12, "l", 0, 1), raw(0x14, 0, 0, 12), raw(0x14, 0, 0, b"t", 0, 5), raw(0x14, 0, 0, b"t", 0, True, "more"),
        raw(0x13, *[None] * 10, 5), raw(0x15, "x"),
    ],
    ids=lambda frame: frame.hex(),
)  # fmt: skip
def test_no_field_of_another_type_passes(frame: bytes) -> None:
    """A field of any performative is of its own type, or ends the connection."""
    peer = Peer(is_begun=False)
    peer.sends(amqp.PLAIN_HEADER)
    if frame[11:12] != b"\x53" or frame[12] != 0x10:
        peer.sends(amqp.Open("c"), amqp.Begin(None, 0, 100, 100))
        peer.attaches(0)
    assert peer.server.is_open
    assert not peer.sends(frame)


def test_nothing_comes_before_open_nor_a_second_open() -> None:
    """Sessions and links are those of a connection that is open."""
    assert not Peer(is_begun=False).sends(amqp.PLAIN_HEADER, amqp.Begin(None, 0, 100, 100))
    assert not Peer().sends(amqp.Open("c"))
    assert not Peer().sends(amqp.SaslInit("PLAIN", b"\0a\0b"))


def test_channels_and_handles_end_where_the_server_said() -> None:
    """255 of each are taken, more are not, and none twice."""
    peer = Peer()
    assert peer.attaches(255)
    assert not peer.attaches(256)
    assert Peer().sends(amqp.Begin(None, 0, 100, 100), channel=255)
    assert not Peer().sends(amqp.Begin(None, 0, 100, 100), channel=256)
    assert not Peer().sends(amqp.Begin(None, 0, 100, 100), channel=0)


def test_little_is_kept_for_a_peer_that_nobody_knows() -> None:
    """Eight links, and a few pieces of messages; who is known has room for more."""
    stranger, known = Peer(), Peer()
    known.server.is_known = True
    assert [stranger.attaches(handle) for handle in range(9)] == [True] * 8 + [False]
    assert all(known.attaches(handle) for handle in range(200))
    stranger = Peer()
    stranger.attaches(0)
    piece = amqp.Transfer(0, 0, b"t", 0, False, True)
    assert [stranger.sends(piece, payload=b"x" * 60_000) for _ in range(3)] == [True, True, False]
    for handle in range(6):
        for _ in range(15):
            known.sends(amqp.Transfer(handle, 0, b"t", 0, False, True), payload=b"x" * 60_000)
    assert not known.server.is_open


def test_a_known_peer_has_so_many_links_and_no_more() -> None:
    """Sessions do not multiply what handles limit."""
    peer = Peer()
    peer.server.is_known = True
    for channel in range(1, 6):
        peer.sends(amqp.Begin(None, 0, 100, 100), channel=channel)
    taken = sum(peer.attaches(handle, channel) for channel in range(1, 6) for handle in range(256))
    assert taken == 1024


def test_credit_binds_and_comes_again() -> None:
    """A message without credit ends the connection; those that were given up give their credit back."""
    peer = Peer()
    peer.attaches(0)
    for delivery in range(300):
        assert peer.sends(amqp.Transfer(0, delivery, b"t", 0, True, False, None, None, None, delivery % 2 == 0))
    assert len(peer.service.came) == 150
    (link,) = peer.server.links()
    link.credit = 0
    assert not peer.sends(amqp.Transfer(0, 300, b"t", 0, True, False))


def test_a_peer_that_sends_small_frames_is_told_to_go_on() -> None:
    """Messages of many frames use the session's window up long before their link's credit: it moves on in time."""
    peer = Peer()
    peer.attaches(0)
    reader, limit = amqp.Reader(), WINDOW
    list(reader.feed(b"".join(peer.said)))
    for number in range(4 * WINDOW):
        assert number < limit, "The peer would wait for ever."
        del peer.said[:]
        is_last = number % 200 == 199
        assert peer.sends(amqp.Transfer(0, number // 200, b"t", 0, True, not is_last), payload=b"x")
        for found in reader.feed(b"".join(peer.said)):
            if isinstance(found, amqp.Frame) and isinstance(found.performative, amqp.Flow):
                limit = (found.performative.next_incoming_id or 0) + found.performative.incoming_window
    assert len(peer.service.came) == 4 * WINDOW // 200
