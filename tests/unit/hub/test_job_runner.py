"""Jobs one after the other: what one of them meets keeps the others from nothing."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from hub.hub_errors import HubCode
from hub.methods import MethodCall, MethodResult
from hub.registry.database import Tx
from hub.registry.documents_table import Document, add_document, document_of, replace_document
from hub.registry.hub_registry import Registry
from hub.registry.identities import Identity, create
from hub.twins import job_runner
from hub.twins.job_runner import JOB, METHOD, QUEUED, UPDATE_TWIN, JobRunner
from tests.support.small_hub import until


class NoJson:
    """A device that answers what is no JSON."""

    async def invoke(self, _call: MethodCall) -> MethodResult:
        return MethodResult(200, b"fine, thanks")


def body(kind: str, **more: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "status": QUEUED,
        "start": time.time_ns() // 1000 - 1000,
        "seconds": 300,
        "queryCondition": "*",
        **more,
    }


def test_a_job_that_fails_is_failed_and_the_next_is_run(tmp_path: Path) -> None:
    """An answer that is no JSON fails its device, a twin that is none its job; another's job is run."""

    async def scenario() -> None:
        registry = Registry(f"sqlite:///{tmp_path / 'registry.db'}")
        registry.write(lambda tx: create(tx, Identity("d", "default"))).result()
        jobs = {
            "a": body(METHOD, cloudToDeviceMethod={"methodName": "ask"}),
            "b": body(UPDATE_TWIN, updateTwin={"tags": 5}),
            "c": body(UPDATE_TWIN, updateTwin={"tags": {"room": "1"}}),
        }
        for name, each in jobs.items():
            registry.write(lambda tx, n=name, b=each: add_document(tx, "default", JOB, n, b, HubCode.GenericBadRequest))
        runner = JobRunner(registry, NoJson())
        runner.kick()
        assert runner._task is not None
        await asyncio.wait_for(runner._task, 60)
        ended = [registry.read(lambda tx, n=name: document_of(tx, "default", JOB, n)) for name in jobs]
        assert [each.body["status"] for each in ended if each is not None] == ["completed", "failed", "completed"]
        assert registry.twin("d").tags == {"room": "1"}
        registry.close()

    asyncio.run(scenario())


class Slow:
    """A device that answers when it is told to; `cancelled` counts the calls that were given up."""

    def __init__(self) -> None:
        self.called, self.answers, self.cancelled = asyncio.Event(), asyncio.Event(), 0

    async def invoke(self, _call: MethodCall) -> MethodResult:
        self.called.set()
        try:
            await self.answers.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return MethodResult(200, b"1")


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_claim_holds_while_its_methods_take_their_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_lost: bool
) -> None:
    """It is renewed meanwhile; a runner that lost it all the same gives its calls up."""
    monkeypatch.setattr(job_runner, "_RENEW_S", 0.01)

    async def scenario() -> None:
        registry = Registry(f"sqlite:///{tmp_path / 'registry.db'}")
        registry.write(lambda tx: create(tx, Identity("d", "default"))).result()
        wanted = body(METHOD, cloudToDeviceMethod={"methodName": "ask"})
        registry.write(lambda tx: add_document(tx, "default", JOB, "a", wanted, HubCode.GenericBadRequest)).result()

        def found() -> Document:
            document = registry.read(lambda tx: document_of(tx, "default", JOB, "a"))
            assert document is not None
            return document

        device = Slow()
        runner = JobRunner(registry, device)
        runner.kick()
        assert runner._task is not None
        await asyncio.wait_for(device.called.wait(), 60)
        first = found().body["until"]
        await until(lambda: found().body["until"] > first)
        if is_lost:

            def take(tx: Tx) -> None:
                document = document_of(tx, "default", JOB, "a")
                assert document is not None
                replace_document(tx, "default", JOB, document, {**document.body, "owner": "another"}, None)

            registry.write(take).result()
            await until(lambda: device.cancelled == 1)
            runner._task.cancel()
        else:
            device.answers.set()
            await asyncio.wait_for(runner._task, 60)
            assert found().body["status"] == "completed"
        registry.close()

    asyncio.run(scenario())
