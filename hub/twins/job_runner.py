"""Jobs: one change or one method call on every device that a condition finds.

Belongs here: claiming jobs that wait, running them, and what is known of each device. A job that its process did not
end is claimed anew and goes on with the devices that are left.
"""

import asyncio
import json
import logging
import secrets
from concurrent.futures import Future
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import func, insert, select, update

from hub.hub_errors import HubError
from hub.methods import MethodCall, MethodInvoker
from hub.registry.database import Tx
from hub.registry.documents_table import Document, document_of, documents_of, replace_document
from hub.registry.hub_registry import Registry
from hub.registry.moments import micros_of, text_of
from hub.registry.registry_tables import JOB_DEVICES
from hub.registry.tenants import tenant_names
from hub.registry.twins import change_twin
from hub.twins.twin_query import LARGEST_PAGE, run_query
from runtime.errors import PlatformError

T = TypeVar("T")
Json = dict[str, Any]
JOB = "job"
UPDATE_TWIN, METHOD = "scheduleUpdateTwin", "scheduleDeviceMethod"
SCHEDULED, QUEUED, RUNNING, CANCELLED = "scheduled", "queued", "running", "cancelled"
ENDED = frozenset({"completed", "failed", CANCELLED})
_AT_ONCE = 50
_CLAIM_S = 30
_RENEW_S = 10.0
_POLL_S = 0.5
_log = logging.getLogger(__name__)


class JobRunner:
    """Runs the jobs of a registry, one after the other, in the loop that first kicks it."""

    def __init__(self, registry: Registry, invoker: MethodInvoker) -> None:
        self._registry = registry
        self._invoker = invoker
        self._owner = secrets.token_hex(8)
        self._task: asyncio.Task[None] | None = None

    def kick(self) -> None:
        """There may be jobs to run."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def wait(self, done: "Future[T]") -> T:
        """What a registry's future ends with."""
        return await asyncio.wrap_future(done)

    async def _run(self) -> None:
        while True:
            claimed = await self.wait(self._registry.write(self._claim))
            if claimed is None:
                if not self._registry.read(_are_waiting):
                    return
                await asyncio.sleep(_POLL_S)
                continue
            tenant, job = claimed
            try:
                await self._run_job(tenant, job)
            except HubError as error:
                await self._end(tenant, job, "failed", str(error))
            except PlatformError:
                raise
            except Exception as error:  # noqa: BLE001  this job's own matter: those of the others wait behind it
                _log.error("Job %s of tenant %s failed", job.document_id, tenant, exc_info=error)
                await self._end(tenant, job, "failed", f"{type(error).__name__}: {error}")

    def _claim(self, tx: Tx) -> tuple[str, Document] | None:
        until = tx.now + timedelta(seconds=_CLAIM_S) // timedelta(microseconds=1)
        for tenant in tenant_names(tx):
            for job in documents_of(tx, tenant, JOB):
                body = job.body
                if body["status"] in ENDED or body["start"] > tx.now:
                    continue
                if body["status"] == RUNNING and body["until"] > tx.now and body["owner"] != self._owner:
                    continue
                claim = {**body, "status": RUNNING, "owner": self._owner, "until": until}
                return tenant, replace_document(tx, tenant, JOB, job, claim, None)
        return None

    async def _run_job(self, tenant: str, job: Document) -> None:
        await self.wait(self._registry.write(partial(_find_devices, tenant=tenant, job=job)))
        deadline = job.body["start"] + job.body["seconds"] * 1_000_000
        while True:
            left = self._registry.read(partial(_pending, tenant=tenant, job_id=job.document_id))
            if not left:
                await self._end(tenant, job, "completed")
                return
            if micros_of(self._registry.clock()) > deadline:
                await self._end(tenant, job, "failed", "It did not end within its time.")
                return
            if not await self._run_batch(tenant, job, left):
                return

    async def _run_batch(self, tenant: str, job: Document, device_ids: list[str]) -> bool:
        """True when it is done. False when the job became another's, or was cancelled: then what is left of it ends."""
        batch = asyncio.gather(*(self._run_device(tenant, job, device_id) for device_id in device_ids))
        try:
            while True:
                # a method may take longer than a claim holds: another process must not call it again
                done, _ = await asyncio.wait([batch], timeout=_RENEW_S)
                if not await self.wait(self._registry.write(partial(self._renew, tenant=tenant, job=job))):
                    return False
                if done:
                    batch.result()
                    return True
        finally:
            batch.cancel()

    def _renew(self, tx: Tx, tenant: str, job: Document) -> bool:
        now = document_of(tx, tenant, JOB, job.document_id)
        if now is None or now.body["status"] != RUNNING or now.body["owner"] != self._owner:
            return False
        replace_document(tx, tenant, JOB, now, {**now.body, "until": tx.now + _CLAIM_S * 1_000_000}, None)
        return True

    async def _run_device(self, tenant: str, job: Document, device_id: str) -> None:
        outcome: Json = {}
        status = "completed"
        try:
            if job.body["type"] == UPDATE_TWIN:
                await self.wait(self._registry.write(partial(_update_twin, job=job, device_id=device_id)))
            else:
                outcome = {"outcome": {"deviceMethodResponse": await self._call(job, device_id)}}
        except HubError as error:
            status = "failed"
            outcome = {"error": {"code": f"JobRunPreconditionFailed:{error.code.name}", "description": str(error)}}
        save = partial(_save, tenant=tenant, job=job, device_id=device_id, status=status, outcome=outcome)
        await self.wait(self._registry.write(save))

    async def _call(self, job: Document, device_id: str) -> Json:
        wanted = job.body["cloudToDeviceMethod"]
        payload = json.dumps(wanted.get("payload")).encode()
        connect_s, response_s = wanted.get("connectTimeoutInSeconds") or 0, wanted.get("responseTimeoutInSeconds") or 30
        call = MethodCall(device_id, "", str(wanted.get("methodName")), payload, connect_s, response_s)
        result = await self._invoker.invoke(call)
        return {"status": result.status, "payload": result.value()}

    async def _end(self, tenant: str, job: Document, status: str, reason: str | None = None) -> None:
        def work(tx: Tx) -> None:
            now = document_of(tx, tenant, JOB, job.document_id)
            if now is not None and now.body["status"] == RUNNING:
                body = {**now.body, "status": status, "end": tx.now, "reason": reason}
                replace_document(tx, tenant, JOB, now, body, None)

        await self.wait(self._registry.write(work))


def job_json(tx: Tx, tenant: str, job: Document) -> Json:
    """A job as the service side sees it."""
    of_job = (JOB_DEVICES.c.tenant == tenant) & (JOB_DEVICES.c.job_id == job.document_id)
    counted = select(JOB_DEVICES.c.status, func.count()).where(of_job).group_by(JOB_DEVICES.c.status)
    counts: dict[str, int] = {row.status: row[1] for row in tx.connection.execute(counted)}
    body = job.body
    shown = {
        name: body[name] for name in ("type", "queryCondition", "updateTwin", "cloudToDeviceMethod") if name in body
    }
    if body.get("reason"):
        shown["failureReason"] = body["reason"]
    return {
        "jobId": job.document_id, "createdTime": text_of(job.created_at), "startTime": text_of(body["start"]),
        "endTime": text_of(body.get("end")), "maxExecutionTimeInSeconds": body["seconds"], "status": body["status"],
        **shown,
        "deviceJobStatistics": {
            "deviceCount": sum(counts.values()), "failedCount": counts.get("failed", 0),
            "succeededCount": counts.get("completed", 0), "runningCount": 0, "pendingCount": counts.get("pending", 0),
        },
    }  # fmt: skip


def _are_waiting(tx: Tx) -> bool:
    return any(job.body["status"] not in ENDED for tenant in tenant_names(tx) for job in documents_of(tx, tenant, JOB))


def _find_devices(tx: Tx, tenant: str, job: Document) -> None:
    """Note the devices of the condition, once: who comes later is none of this job's."""
    if job.body.get("found"):
        return
    condition = job.body["queryCondition"].strip()
    text = "SELECT deviceId FROM devices" + ("" if condition in ("", "*") else f" WHERE {condition}")
    more: str | None = None
    while True:
        page = run_query(tx, tenant, text, LARGEST_PAGE, more)
        rows = [
            {"tenant": tenant, "job_id": job.document_id, "device_id": each["deviceId"], "status": "pending",
             "outcome": _outcome(tx, job, each["deviceId"], "pending", {}), "updated_at": tx.now}
            for each in page.items
        ]  # fmt: skip
        if rows:
            tx.connection.execute(insert(JOB_DEVICES), rows)
        more = page.more
        if more is None:
            break
    now = document_of(tx, tenant, JOB, job.document_id)
    if now is not None:
        replace_document(tx, tenant, JOB, now, {**now.body, "found": True}, None)


def _pending(tx: Tx, tenant: str, job_id: str) -> list[str]:
    wanted = (JOB_DEVICES.c.tenant == tenant) & (JOB_DEVICES.c.job_id == job_id) & (JOB_DEVICES.c.status == "pending")
    ordered = select(JOB_DEVICES.c.device_id).where(wanted).order_by(JOB_DEVICES.c.device_id)
    return list(tx.connection.execute(ordered.limit(_AT_ONCE)).scalars())


def _update_twin(tx: Tx, job: Document, device_id: str) -> None:
    wanted = job.body["updateTwin"]
    sections = {"tags": wanted.get("tags"), "desired": (wanted.get("properties") or {}).get("desired")}
    change_twin(tx, device_id, "", {name: given for name, given in sections.items() if given is not None}, None)


def _save(tx: Tx, tenant: str, job: Document, device_id: str, status: str, outcome: Json) -> None:
    is_it = (JOB_DEVICES.c.tenant == tenant) & (JOB_DEVICES.c.job_id == job.document_id)
    values = {"status": status, "outcome": _outcome(tx, job, device_id, status, outcome), "updated_at": tx.now}
    tx.connection.execute(update(JOB_DEVICES).where(is_it & (JOB_DEVICES.c.device_id == device_id)).values(values))


def _outcome(tx: Tx, job: Document, device_id: str, status: str, outcome: Json) -> Json:
    return {
        "deviceId": device_id, "jobId": job.document_id, "jobType": job.body["type"], "status": status,
        "startTimeUtc": text_of(job.body["start"]), "createdDateTimeUtc": text_of(job.created_at),
        "lastUpdatedDateTimeUtc": text_of(tx.now), **outcome,
    }  # fmt: skip
