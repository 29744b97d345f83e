"""The listener cuts who connects and never becomes somebody."""

import asyncio
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hub.links.key_material import Contexts, KeyMaterial
from hub.listener import Limits, Listener
from tests.support.small_hub import WITHIN_S, SmallHub


async def _answered(folder: Path, said: bytes, then: bytes = b"", dripped: bytes = b"") -> bytes:
    """What a hub with 3 s of patience answers, until it closes: to `then`, 4.5 s after `said`, or to `dripped`,
    each byte 0.2 s after the one before, over and over.
    """
    folder.mkdir()
    hub = SmallHub(folder)
    material = KeyMaterial(folder / "pki")
    material.ensure(["localhost"], datetime.now(UTC))

    async def app(scope: object, receive: object, send: Any) -> None:
        await asyncio.sleep(4.5)
        headers = [] if dripped else [(b"connection", b"close")]
        await send({"type": "http.response.start", "status": 200, "headers": [*headers, (b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"said"})

    listener = Listener(hub.parts, Contexts(material), app, Limits(handshake_s=3))
    await listener.listen("127.0.0.1", [0])
    port = listener._servers[0].sockets[0].getsockname()[1]
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    dripping: asyncio.Task[None] | None = None
    try:
        writer.write(said)
        if then:
            await asyncio.sleep(4.5)
            writer.write(then)
        if dripped:
            dripping = asyncio.create_task(_drip(writer, dripped))
        return await asyncio.wait_for(reader.read(), WITHIN_S)
    except (ConnectionError, ssl.SSLError):
        return b""
    finally:
        if dripping is not None:
            dripping.cancel()
        writer.transport.abort()
        await listener.close()
        hub.close()


async def _drip(writer: asyncio.StreamWriter, piece: bytes) -> None:
    while not writer.is_closing():
        for byte in piece:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.2)


def test_who_says_nothing_whole_is_cut_and_who_is_known_is_not(tmp_path: Path) -> None:
    """After TLS too: no first bytes, a part of them, or a part of a request; an answer may take longer."""
    header = b"AMQP\x00\x01\x00\x00"
    parts = (b"", b"AM", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n")

    async def run() -> list[bytes]:
        return await asyncio.gather(
            *(_answered(tmp_path / str(number), said) for number, said in enumerate(parts)),
            _answered(tmp_path / "http", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
            _answered(tmp_path / "amqp", header, b"AMQP\x09\x09\x09\x09"),
        )

    *cut, request, session = asyncio.run(run())
    assert cut == [b""] * len(parts)
    assert b"said" in request
    assert session == header * 2


def test_a_later_request_too_has_to_come_in_time(tmp_path: Path) -> None:
    """Its head byte by byte, or empty lines before it, hold a connection no longer than the first one's would."""
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"

    async def run() -> list[bytes]:
        return await asyncio.gather(
            *(
                _answered(tmp_path / str(number), request, dripped=piece)
                for number, piece in enumerate((b"\r\n", b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 1000))
            )
        )

    for answer in asyncio.run(run()):
        assert answer.count(b"HTTP/1.1 200") == 1
