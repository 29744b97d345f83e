"""Files that a device uploads by IoT Hub's two calls and Azure Blob Storage's puts."""

import http.client
import json
import ssl
import time
from collections.abc import Iterator
from typing import Any

import pytest

from hub.registry.identities import Identity, create
from hub.registry.outbox import pending
from tests.support.hub_service import Service, serving
from wire.sas import sign


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("hub")) as running:
        for name in ("u-1", "u-2"):
            running.registry.write(lambda tx, name=name: create(tx, Identity(name, "default"))).result()
        yield running


def ask(service: Service, method: str, path: str, body: bytes | None, token: str = "") -> tuple[int, bytes]:
    context = ssl.create_default_context(cafile=str(service.root))
    connection = http.client.HTTPSConnection(service.host, context=context, timeout=120)
    connection.request(method, path, body, {"Authorization": token} if token else {})
    answer = connection.getresponse()
    read = answer.read()
    connection.close()
    return answer.status, read


def token_of(service: Service, device_id: str) -> str:
    device = service.registry.device(device_id)
    assert device is not None
    return sign(device.primary_key or "", f"{service.host}/devices/{device_id}", int(time.time()) + 600)


def begin(service: Service, device_id: str, name: str, token: str = "") -> tuple[int, dict[str, Any]]:
    body = json.dumps({"blobName": name}).encode()
    status, read = ask(service, "POST", f"/devices/{device_id}/files", body, token or token_of(service, device_id))
    return status, json.loads(read)


def path_of(info: dict[str, Any], more: str = "") -> str:
    return f"/{info['containerName']}/{info['blobName']}{info['sasToken']}{more}"


def test_a_file_comes_whole_and_is_told_of(service: Service) -> None:
    """Blocks are put in the order of their list, and the topic of events hears of the file once it is there."""
    status, info = begin(service, "u-1", "logs/day.txt")
    assert status == 200
    for block, text in (("Mg==", b"world"), ("MQ==", b"hello ")):
        assert ask(service, "PUT", path_of(info, f"&comp=block&blockid={block}"), text)[0] == 201
    listed = b"<?xml version='1.0'?><BlockList><Latest>MQ==</Latest><Latest>Mg==</Latest></BlockList>"
    assert ask(service, "PUT", path_of(info, "&comp=blocklist"), listed)[0] == 201
    assert (service.root.parent / "files" / "u-1" / "logs" / "day.txt").read_bytes() == b"hello world"
    ended = json.dumps({"correlationId": info["correlationId"], "isSuccess": True, "statusCode": 200}).encode()
    assert ask(service, "POST", "/devices/u-1/files/notifications", ended, token_of(service, "u-1"))[0] == 204
    assert ask(service, "POST", "/devices/u-1/files/notifications", ended, token_of(service, "u-1"))[0] == 400
    messages = [message for _, message in service.registry.read(lambda tx: pending(tx, 100)) if message.key == b"u-1"]
    assert json.loads(messages[-1].value) == {"blobName": "logs/day.txt", "bytes": 11}


def test_nobody_writes_elsewhere(service: Service) -> None:
    """Another's token, another's name, a path that leaves the folder, an upload that was not begun: refused."""
    assert begin(service, "u-1", "x", token_of(service, "u-2"))[0] == 401
    for name in ("../u-2/x", "/etc/passwd", "a/../../x", "..", ""):
        assert begin(service, "u-1", name)[0] == 400
    _, info = begin(service, "u-1", "mine.txt")
    forged = {**info, "blobName": "u-2/mine.txt"}
    assert ask(service, "PUT", path_of(forged), b"x")[0] == 401
    wrong = {**info, "sasToken": info["sasToken"][:-1] + "!"}
    assert ask(service, "PUT", path_of(wrong), b"x")[0] == 401
    assert not (service.root.parent / "files" / "u-2").exists()


def test_ten_uploads_at_once_are_the_most(service: Service) -> None:
    """The eleventh that is begun before one ends is 403."""
    statuses = [begin(service, "u-2", f"{n}.txt")[0] for n in range(11)]
    assert statuses == [200] * 10 + [403]
