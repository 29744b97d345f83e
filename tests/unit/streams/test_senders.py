"""Actions are done once, signed, to public addresses only, and say whether another attempt is worth it."""

import hashlib
import hmac
import json
import socket
from collections.abc import Sequence
from contextlib import suppress
from email import message_from_bytes
from email.message import Message
from ipaddress import ip_network
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from runtime.errors import UsageError
from runtime.guarded_http import RefusedError, is_private, post
from runtime.settings import Settings, load_settings
from streams.action_declarations import Action, action_of
from streams.senders import TryAgainError, send
from tests.support.receiver import receiving

ALERT = {"rule": "too_hot", "change": "fired", "severity": "critical", "device_id": "d1", "revision": 3}
HERE = [ip_network("127.0.0.1/32")]


def settings(tmp_path: Path, **variables: str) -> Settings:
    return load_settings({"LAKEHOUSE_HOME": str(tmp_path), **variables})


@pytest.mark.parametrize(("address", "expected"), [
    ("127.0.0.1", True), ("10.1.2.3", True), ("192.168.0.1", True), ("169.254.169.254", True), ("100.64.0.1", True),
    ("0.0.0.0", True), ("224.0.0.1", True), ("::1", True), ("fe80::1%eth0", True), ("fd00::1", True),
    ("::ffff:10.0.0.1", True), ("2002:7f00:1::", True), ("64:ff9b::7f00:1", True), ("::", True),
    ("8.8.8.8", False), ("2606:4700::1111", False), ("::ffff:8.8.8.8", False), ("64:ff9b::808:808", False),
])  # fmt: skip
def test_private_addresses_are_told_from_public_ones(address: str, expected: bool) -> None:
    """Also those of IPv4 that are written as IPv6."""
    assert is_private(address) is expected


def test_a_name_is_resolved_once_and_its_address_is_the_one_that_is_reached() -> None:
    """What would be another address the second time is not asked for a second time; a private one is refused."""
    asked: list[str] = []

    def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    with receiving() as receiver:
        port = receiver.url.split(":")[2].split("/")[0]
        url = f"http://hooks.example.com:{port}/x"
        assert post(url, b"{}", {}, HERE, resolve=resolve).status == 200
        assert asked == ["hooks.example.com"]
        assert receiver.requests.get(timeout=60)[0]["Host"] == f"hooks.example.com:{port}"
        with pytest.raises(RefusedError, match="private address"):
            post(url, b"{}", {}, HERE, resolve=resolve)
        with pytest.raises(RefusedError, match="private address"):
            post(url, b"{}", {}, resolve=lambda host, port: ["8.8.8.8", "127.0.0.1"])
        assert receiver.requests.empty()


def test_a_webhook_is_signed_and_carries_its_key(tmp_path: Path) -> None:
    """The receiver can check the signature over time and body, and tell a repeat by the key."""
    allowed = settings(tmp_path, LAKEHOUSE_ACTIONS_SECRET="s3", LAKEHOUSE_ACTIONS_ALLOW="127.0.0.1/32")
    with receiving() as receiver:
        send(allowed, Action("call", "webhook", url=receiver.url), "call/k", ALERT)
        headers, body = receiver.requests.get(timeout=60)
    moment, digest = (part.split("=")[1] for part in headers["X-Lakehouse-Signature"].split(","))
    assert digest == hmac.new(b"s3", f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    assert (headers["Idempotency-Key"], json.loads(body)) == ("call/k", ALERT)


@pytest.mark.parametrize(("status", "error"), [
    (302, RefusedError), (307, RefusedError), (404, RefusedError), (429, TryAgainError), (503, TryAgainError),
])  # fmt: skip
def test_what_a_receiver_answers_says_whether_to_try_again(tmp_path: Path, status: int, error: type[Exception]) -> None:
    """Redirects are not followed; a receiver that is busy or down is asked again, one that refuses is not."""
    allowed = settings(tmp_path, LAKEHOUSE_ACTIONS_SECRET="s3", LAKEHOUSE_ACTIONS_ALLOW="127.0.0.1/32")
    with receiving([status]) as receiver:
        with pytest.raises(error, match=str(status)):
            send(allowed, Action("call", "webhook", url=receiver.url), "k", ALERT)
        assert receiver.requests.qsize() == 1


def test_what_is_not_set_up_is_refused(tmp_path: Path) -> None:
    """Without a secret no webhook, without a server no mail, without a hub no device, and no private address."""
    bare, signed = settings(tmp_path), settings(tmp_path, LAKEHOUSE_ACTIONS_SECRET="s3")
    hook = Action("call", "webhook", url="http://127.0.0.1:9/x")
    for given, action, words in (
        (bare, hook, "SECRET"), (signed, hook, "ACTIONS_ALLOW"), (bare, Action("tell", "device"), "no hub"),
        (bare, Action("write", "mail", to=("a@b.c",)), "SMTP"),
    ):  # fmt: skip
        with pytest.raises(RefusedError, match=words):
            send(given, action, "k", ALERT)


class Box:
    """What a mail server received; it refuses one recipient for good and answers `busy` once."""

    def __init__(self) -> None:
        self.mails: list[Message] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if address.startswith("nobody"):
            return "550 no such user"
        if address.startswith("busy"):
            return "450 try later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.mails.append(message_from_bytes(envelope.content))
        return "250 OK"


def test_a_mail_reaches_a_real_server(tmp_path: Path) -> None:
    """With an identity that follows from the key, so that a repeat can be told; a refused address is not tried
    again, a busy one is."""
    box = Box()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        given = settings(tmp_path, LAKEHOUSE_SMTP=f"smtp://127.0.0.1:{port}",
                         LAKEHOUSE_MAIL_FROM="lake@example.com")  # fmt: skip
        mail = Action("write", "mail", to=("ops@example.com", "b@example.com"))
        send(given, mail, "k", ALERT)
        send(given, mail, "k", ALERT)
        with pytest.raises(RefusedError, match="nobody"):
            send(given, Action("write", "mail", to=("nobody@example.com",)), "k", ALERT)
        with pytest.raises(TryAgainError, match="450"):
            send(given, Action("write", "mail", to=("busy@example.com",)), "k", ALERT)
    finally:
        controller.stop()
    first, again = box.mails
    assert (first["To"], first["Subject"]) == ("ops@example.com, b@example.com", "critical: too_hot fired")
    assert first["Message-ID"] == again["Message-ID"]
    with pytest.raises(TryAgainError, match="refused"):
        send(given, mail, "k", ALERT)


def test_a_device_is_told_through_the_hubs_registry(tmp_path: Path) -> None:
    """The message waits there with the key as its id; an unknown device is refused."""
    from hub.administration import create_device, opened_registry

    given = settings(tmp_path)
    with opened_registry(given) as registry:
        create_device(registry, "default", "d1")
        send(given, Action("tell", "device"), "tell/k", ALERT)
        message = registry.take_cloud_message("d1").result(120)
    assert message is not None
    assert (message.system["mid"], json.loads(message.body)) == ("tell/k", ALERT)
    with pytest.raises(RefusedError, match="d2"):
        send(given, Action("tell", "device"), "k", ALERT | {"device_id": "d2"})


def test_a_registry_that_cannot_take_it_now_is_asked_again(tmp_path: Path) -> None:
    """A device's queue that is full, and a database that cannot be opened, are no end of an action."""
    from hub.administration import create_device, opened_registry

    given = settings(tmp_path)
    with opened_registry(given) as registry:
        create_device(registry, "default", "d1")
    for number in range(50):
        send(given, Action("tell", "device"), f"tell/{number}", ALERT)
    with pytest.raises(TryAgainError, match="50"):
        send(given, Action("tell", "device"), "tell/50", ALERT)
    away = settings(tmp_path, LAKEHOUSE_HUB_DATABASE=f"sqlite:///{tmp_path}/none/hub.sqlite")
    with pytest.raises(TryAgainError, match="registry"):
        send(away, Action("tell", "device"), "k", ALERT)


def test_a_host_that_is_no_name_is_refused() -> None:
    """A name with an empty part is none that another attempt will find, and no error of the process."""
    with pytest.raises(RefusedError, match="no name of a host"):
        post("http://a..b/", b"{}", {})


def test_a_receiver_that_drips_has_an_end() -> None:
    """Each byte comes in time, and the answer never: the attempt ends, and is one to be made again."""
    enough = Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                for _ in range(400):
                    connection.sendall(b"x")
                    if enough.wait(0.05):
                        return
                connection.sendall(b"\r\nContent-Length: 0\r\n\r\n")

        dripping = Thread(target=drip)
        dripping.start()
        try:
            with pytest.raises(TimeoutError, match="3 s"):
                post(f"http://127.0.0.1:{server.getsockname()[1]}/", b"{}", {}, HERE, timeout_s=1)
        finally:
            enough.set()
            dripping.join(60)


@pytest.mark.parametrize("said", [
    {"kind": "webhook", "url": "https://a..b/"}, {"kind": "webhook", "url": "https://x:99999/"},
    {"kind": "webhook", "url": "https://[x/"},
    {"kind": "pager"}, {"kind": "webhook"}, {"kind": "webhook", "url": "ftp://x/"}, {"kind": "device", "url": "x"},
    {"kind": "webhook", "url": "https://me:secret@x/"}, {"kind": "mail", "to": "a@b.c\nBcc: d@e.f"},
])  # fmt: skip
def test_declarations_that_cannot_be_used_are_refused(said: dict[str, Any]) -> None:
    """With a sentence that names the action."""
    with pytest.raises(UsageError, match="the action x"):
        action_of("x", said, Path("own.yml"))
