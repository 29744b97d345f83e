"""The mail endpoint: POST /v3/mail/send, as SendGrid's clients call it.

Belongs here: who may, sending, and answers. What a request means is in `sendgrid_mails`.

A mail is acknowledged once the mail server has taken it for each recipient that it does not refuse.
"""

import asyncio
import json
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from runtime.errors import PlatformError
from runtime.settings import Settings
from serving.access.doors import Doors
from serving.mails.sendgrid_mails import AskedMail, is_sandboxed, mails_of
from serving.problems import Problem
from serving.report.mail_server import RefusedError, hand_over
from serving.request_bodies import read_body

_MOST_BYTES = 20 * 1024 * 1024
_AT_ONCE = 8
"""Of the forty threads in which requests are worked on: a mail server that is slow keeps no other request waiting."""


class MailServer:
    """The endpoint of a home."""

    def __init__(self, settings: Settings, doors: Doors) -> None:
        self._settings, self._doors = settings, doors
        self._turn = asyncio.Semaphore(_AT_ONCE)

    def routes(self) -> list[Route]:
        """Starlette's routes."""
        return [Route("/v3/mail/send", self._send, methods=["POST"])]

    async def _send(self, request: Request) -> Response:
        try:
            await run_in_threadpool(self._doors.admit, request, "mail")
            said = await _body(request)
            async with self._turn:
                message_id = await run_in_threadpool(self._hand_over, said)
        except Problem as problem:
            errors = [{"message": problem.detail, "field": problem.title, "help": None}]
            return JSONResponse({"errors": errors}, problem.status, problem.headers)
        return Response(status_code=202 if message_id else 200, headers={"X-Message-Id": message_id})

    def _hand_over(self, said: Any) -> str:
        """Send what is asked for; the id of its first message, none when it was only checked. Raises Problem."""
        if self._settings.smtp is None or self._settings.mail_from is None:
            raise Problem(503, "server", "There is no mail server: set LAKEHOUSE_SMTP and LAKEHOUSE_MAIL_FROM.")
        mails = mails_of(said, self._settings.mail_from)
        if is_sandboxed(said):
            return ""
        refused: list[str] = []
        for mail in mails:
            refused += self._refusals(mail)
        if len(refused) == sum(len(mail.recipients) for mail in mails):
            raise Problem(400, "personalizations.to", f"The mail server refuses {'; '.join(refused)}.")
        return str(mails[0].message["Message-ID"]).strip("<>")

    def _refusals(self, mail: AskedMail) -> list[str]:
        refused = []
        for recipient in mail.recipients:
            try:
                hand_over(self._settings, mail.message, recipient)
            except RefusedError as error:
                refused.append(f"{recipient} ({error})")
            except PlatformError as error:
                raise Problem(503, "server", str(error), {"Retry-After": "60"}) from error
        return refused


async def _body(request: Request) -> Any:
    data = await read_body(request, _MOST_BYTES, "request")
    try:
        said = json.loads(data.decode())
        # a text with half a character is none that a mail could have
        json.dumps(said, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise Problem(400, "request", f"The request is no JSON: {error}.") from error
    return said
