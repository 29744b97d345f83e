"""Jobs one after the other: what one of them meets keeps the others from nothing."""

import asyncio
import time
from pathlib import Path
from typing import Any

from hub.hub_errors import HubCode
from hub.methods import MethodCall, MethodResult
from hub.registry.documents_table import add_document, document_of
from hub.registry.hub_registry import Registry
from hub.registry.identities import Identity, create
from hub.twins.job_runner import JOB, METHOD, QUEUED, UPDATE_TWIN, JobRunner


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
