"""The mail server: handing messages over by SMTP.

Belongs here: what its answers mean. What is sent, and to whom, is for `mailing`.
"""

import smtplib
from email.message import EmailMessage
from email.policy import SMTP

from runtime import guarded_http
from runtime.errors import LakehouseError, PlatformError, UsageError
from runtime.settings import Settings
from runtime.smtp_sessions import place_of, smtp_session

_TIMEOUT_S = 30.0
_WHOLE_S = 300.0
_SEVEN_BITS = SMTP.clone(cte_type="7bit")


class RefusedError(LakehouseError):
    """The server refuses this recipient or this mail for good."""


def hand_over(settings: Settings, message: EmailMessage, recipient: str) -> str:
    """Give a message to the server; returns what it said of it.

    Raises RefusedError for a refusal that lasts, PlatformError for what another attempt may mend, UsageError without
    settings.
    """
    if settings.smtp is None or settings.mail_from is None:
        raise UsageError("Reports are mailed once LAKEHOUSE_SMTP (smtp://user:password@host) and LAKEHOUSE_MAIL_FROM "
                         "are set.")  # fmt: skip
    where, _ = place_of(settings.smtp)
    try:
        with smtp_session(settings.smtp, _TIMEOUT_S, _WHOLE_S) as server:
            server.mail(settings.mail_from)
            _expect(server.rcpt(recipient))
            return _expect(server.data(message.as_bytes(policy=_SEVEN_BITS)))
    except smtplib.SMTPResponseException as error:
        text = error.smtp_error.decode("utf-8", "replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        raise PlatformError(f"The mail server {where} answers {error.smtp_code} {text}") from error
    except (OSError, smtplib.SMTPException, guarded_http.RefusedError) as error:
        raise PlatformError(f"The mail server {where} does not take mail: {error}.") from error


def _expect(answer: tuple[int, bytes]) -> str:
    code, text = answer[0], answer[1].decode("utf-8", "replace")
    if 500 <= code < 600:
        raise RefusedError(f"{code} {text}")
    if code not in (250, 251):
        raise smtplib.SMTPResponseException(code, text)
    return text
