"""Settings of serving: the API, sharing, the copy in PostgreSQL, mailed reports.

Belongs here: what who runs the API decides. Not what reading in general may use, which is `lake_settings`'.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from runtime.variables import Setting, host, mail_address, port, postgres_url, secure_address, smtp_url


@dataclass(frozen=True, kw_only=True)
class ServingSettings:
    """Where apps read."""

    api_port: Annotated[
        int | None,
        Setting("LAKEHOUSE_API_PORT", port, "Serving", "port of the API and of sharing", "8080, or a free one"),
    ] = None
    api_host: Annotated[
        str,
        Setting(
            "LAKEHOUSE_API_HOST", host, "Serving",
            "the address that the API listens at; one that others reach takes TLS and keys", "127.0.0.1",
        ),
    ] = "127.0.0.1"  # fmt: skip
    tls_certificate: Annotated[
        Path | None,
        Setting("LAKEHOUSE_TLS_CERTIFICATE", Path, "Serving", "the API's certificate and its chain, PEM", "no TLS"),
    ] = None
    tls_key: Annotated[Path | None, Setting("LAKEHOUSE_TLS_KEY", Path, "Serving", "its private key, PEM")] = None
    oidc_issuer: Annotated[
        str | None,
        Setting(
            "LAKEHOUSE_OIDC_ISSUER", secure_address, "Serving",
            "the identity provider whose tokens are taken, as `iss` has it; takes `LAKEHOUSE_OIDC_AUDIENCE`", "none",
        ),
    ] = None  # fmt: skip
    oidc_audience: Annotated[
        str | None,
        Setting("LAKEHOUSE_OIDC_AUDIENCE", str, "Serving", "who its tokens are for: this API, as `aud` has it"),
    ] = None
    oidc_keys: Annotated[
        str | None,
        Setting(
            "LAKEHOUSE_OIDC_KEYS", secure_address, "Serving", "where its public keys are (JWKS)",
            "what `<issuer>/.well-known/openid-configuration` says",
        ),
    ] = None  # fmt: skip
    oidc_claim: Annotated[
        str, Setting("LAKEHOUSE_OIDC_CLAIM", str, "Serving", "the claim of a token that has its scopes", "`scope`")
    ] = "scope"
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
    queues_port: Annotated[
        int | None, Setting("LAKEHOUSE_QUEUES_PORT", port, "Serving", "port of the queues", "5672, or a free one")
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
