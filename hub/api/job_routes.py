"""Routes of jobs: twin changes and methods on many devices.

Belongs here: `/jobs/v2/…`. Running a job belongs in `hub.twins.job_runner`.
"""

import re
from datetime import UTC, datetime
from functools import partial

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hub.api.calls import Call, Endpoints, Json
from hub.hub_errors import HubCode, HubError
from hub.registry.database import Tx
from hub.registry.documents_table import Document, add_document, document_of, documents_of, replace_document
from hub.registry.moments import micros_of
from hub.registry.tenants import SERVICE
from hub.twins.job_runner import CANCELLED, ENDED, JOB, METHOD, QUEUED, SCHEDULED, UPDATE_TWIN, JobRunner, job_json

_ID = re.compile(r"[A-Za-z0-9\-_.]{1,128}")


def job_routes(endpoints: Endpoints) -> list[Route]:
    """The routes; jobs that wait are run from the first call on."""
    runner = JobRunner(endpoints.registry, endpoints.invoker)
    return [
        Route("/jobs/v2/query", endpoints(partial(_query, runner=runner), SERVICE, "jobs"), methods=["GET"]),
        Route("/jobs/v2/{id}", endpoints(partial(_create, runner=runner), SERVICE, "jobs"), methods=["PUT"]),
        Route("/jobs/v2/{id}", endpoints(partial(_get, runner=runner), SERVICE, "jobs"), methods=["GET"]),
        Route("/jobs/v2/{id}/cancel", endpoints(_cancel, SERVICE, "jobs"), methods=["POST"]),
    ]


async def _create(call: Call, runner: JobRunner) -> Response:
    wanted, job_id = call.document, call.path("id")
    kind = wanted.get("type")
    section = {UPDATE_TWIN: "updateTwin", METHOD: "cloudToDeviceMethod"}.get(str(kind))
    if not _ID.fullmatch(job_id) or section is None or not isinstance(wanted.get(section), dict):
        raise HubError(HubCode.ArgumentInvalid, f"A job is of type {UPDATE_TWIN} or {METHOD} and says what it does.")
    if not isinstance(wanted.get("queryCondition"), str):
        raise HubError(HubCode.ArgumentInvalid, "A job has a queryCondition, '*' for every device.")
    start = _moment(wanted.get("startTime"))
    now = micros_of(call.registry.clock())
    body: Json = {
        "type": kind, section: wanted[section], "queryCondition": wanted["queryCondition"], "start": start or now,
        "seconds": int(wanted.get("maxExecutionTimeInSeconds") or 3600),
        "status": SCHEDULED if start and start > now else QUEUED,
    }  # fmt: skip
    taken = HubCode.JobAlreadyExists
    made = call.registry.write(lambda tx: add_document(tx, call.tenant, JOB, job_id, body, taken))
    document = await runner.wait(made)
    runner.kick()
    return JSONResponse(call.read(lambda tx: job_json(tx, call.tenant, document)))


async def _get(call: Call, runner: JobRunner) -> Response:
    runner.kick()
    return JSONResponse(call.read(lambda tx: job_json(tx, call.tenant, _require(tx, call))))


async def _query(call: Call, runner: JobRunner) -> Response:
    runner.kick()
    kind, status = call.request.query_params.get("jobType"), call.request.query_params.get("jobStatus")

    def work(tx: Tx) -> list[Json]:
        found = [
            each
            for each in documents_of(tx, call.tenant, JOB)
            if (not kind or each.body["type"] == kind) and (not status or each.body["status"] == status)
        ]
        return [job_json(tx, call.tenant, each) for each in found]

    return JSONResponse(call.read(work), headers={"x-ms-item-type": "JobResponse"})


def _cancel(call: Call) -> Response:
    def work(tx: Tx) -> Json:
        old = _require(tx, call)
        if old.body["status"] not in ENDED:
            old = replace_document(tx, call.tenant, JOB, old, {**old.body, "status": CANCELLED, "end": tx.now}, None)
        return job_json(tx, call.tenant, old)

    return JSONResponse(call.write(work))


def _require(tx: Tx, call: Call) -> Document:
    found = document_of(tx, call.tenant, JOB, call.path("id"))
    if found is None:
        raise HubError(HubCode.JobNotFound, f"There is no job {call.path('id')!r}.")
    return found


def _moment(text: object) -> int | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise HubError(HubCode.ArgumentInvalid, f"The startTime is {text!r}, no time.") from error
    return micros_of(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
