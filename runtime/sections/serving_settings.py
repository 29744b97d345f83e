"""Settings of serving: the API, sharing, the copy in PostgreSQL, mailed reports.

Belongs here: what who runs the API decides. Not what reading in general may use, which is `lake_settings`'.
"""

from dataclasses import dataclass
from typing import Annotated

from runtime.variables import Setting, mail_address, port, postgres_url, smtp_url


@dataclass(frozen=True, kw_only=True)
class ServingSettings:
    """Where apps read."""

    api_port: Annotated[
        int | None,
        Setting("LAKEHOUSE_API_PORT", port, "Serving", "port of the API and of sharing", "8080, or a free one"),
    ] = None
    postgres: Annotated[
        str | None,
        Setting(
            "LAKEHOUSE_POSTGRES", postgres_url, "Serving",
            "a PostgreSQL of yours that published gold is copied into: `postgresql://user:password@host/name`",
            "one of the home's own",
        ),
    ] = None  # fmt: skip
    postgres_port: Annotated[
        int | None,
        Setting("LAKEHOUSE_POSTGRES_PORT", port, "Serving", "port of the home's own PostgreSQL", "5432, or a free one"),
    ] = None
    smtp: Annotated[
        str | None,
        Setting(
            "LAKEHOUSE_SMTP", smtp_url, "Serving",
            "the mail server that takes reports: `smtp://user:password@host:587`, or `smtps://` for TLS from the start",
        ),
    ] = None  # fmt: skip
    mail_from: Annotated[
        str | None, Setting("LAKEHOUSE_MAIL_FROM", mail_address, "Serving", "the address that reports come from")
    ] = None
