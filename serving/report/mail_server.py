"""The mail server: handing messages over by SMTP.

Belongs here: connecting, and what its answers mean. What is sent, and to whom, is for `mailing`.
"""

import smtplib
import ssl
from email.message import EmailMessage
from email.policy import SMTP
from urllib.parse import unquote, urlsplit

from runtime.errors import LakehouseError, PlatformError, UsageError
from runtime.settings import Settings

_TIMEOUT_S = 30.0
_SEVEN_BITS = SMTP.clone(cte_type="7bit")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


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
    where = urlsplit(settings.smtp).hostname
    try:
        with _connected(settings.smtp) as server:
            server.ehlo_or_helo_if_needed()
            server.mail(settings.mail_from)
            _expect(server.rcpt(recipient))
            return _expect(server.data(message.as_bytes(policy=_SEVEN_BITS)))
    except smtplib.SMTPResponseException as error:
        text = error.smtp_error.decode("utf-8", "replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        raise PlatformError(f"The mail server {where} answers {error.smtp_code} {text}") from error
    except (OSError, smtplib.SMTPException) as error:
        raise PlatformError(f"The mail server {where} does not take mail: {error}.") from error


def _connected(address: str) -> smtplib.SMTP:
    parts = urlsplit(address)
    host = parts.hostname or ""
    if parts.scheme == "smtps":
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            host, parts.port or 465, timeout=_TIMEOUT_S, context=ssl.create_default_context()
        )
    else:
        server = smtplib.SMTP(host, parts.port or 587, timeout=_TIMEOUT_S)
        server.ehlo()
        if server.has_extn("starttls"):
            server.starttls(context=ssl.create_default_context())
            server.ehlo()
        elif parts.username and host not in _LOOPBACK:
            server.close()
            raise PlatformError(f"The mail server {host} offers no TLS, so it is not told the password: use smtps://.")
    if parts.username:
        server.login(unquote(parts.username), unquote(parts.password or ""))
    return server


def _expect(answer: tuple[int, bytes]) -> str:
    code, text = answer[0], answer[1].decode("utf-8", "replace")
    if 500 <= code < 600:
        raise RefusedError(f"{code} {text}")
    if code not in (250, 251):
        raise smtplib.SMTPResponseException(code, text)
    return text
