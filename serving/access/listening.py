"""Listening: where the API listens, and by which certificate.

Belongs here: that nobody off this machine reaches it without TLS and without somebody who may ask. What it answers is
in `serving_app`.
"""

import ipaddress
import ssl
from datetime import UTC, datetime
from typing import Any

from runtime.errors import PlatformError, UsageError
from runtime.settings import Settings
from serving.access.api_keys import ApiKeys, keys_path


def is_loopback(host: str) -> bool:
    """True for an address that only this machine reaches."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def address_of(settings: Settings, port: int) -> str:
    """The address of the API, as it is shown: by the host's own name where it listens everywhere."""
    scheme = "https" if settings.tls_certificate else "http"
    host = "127.0.0.1" if settings.api_host in ("0.0.0.0", "::") else settings.api_host
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def listening(settings: Settings, now: datetime | None = None) -> dict[str, Any]:
    """Uvicorn's arguments for host and TLS. Raises UsageError for what must not be reached from elsewhere."""
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        raise UsageError("TLS takes both files: set LAKEHOUSE_TLS_CERTIFICATE and LAKEHOUSE_TLS_KEY.")
    if settings.oidc_issuer is not None and not settings.oidc_audience:
        raise UsageError("LAKEHOUSE_OIDC_ISSUER takes LAKEHOUSE_OIDC_AUDIENCE: whom its tokens are for.")
    if not is_loopback(settings.api_host):
        _ensure_guarded(settings, now or datetime.now(UTC))
    said: dict[str, Any] = {"host": settings.api_host}
    if settings.tls_certificate is not None and settings.tls_key is not None:
        _ensure_usable(settings)
        said |= {"ssl_certfile": str(settings.tls_certificate), "ssl_keyfile": str(settings.tls_key)}
    return said


def _ensure_guarded(settings: Settings, now: datetime) -> None:
    where = f"LAKEHOUSE_API_HOST is {settings.api_host}, which others reach"
    if settings.tls_certificate is None:
        raise UsageError(f"{where}: set LAKEHOUSE_TLS_CERTIFICATE and LAKEHOUSE_TLS_KEY, since keys travel there.")
    if settings.oidc_issuer is None and not _has_key(settings, now):
        raise UsageError(f"{where}, and nobody may ask: make a key with `lakehouse keys create`, or set "
                         "LAKEHOUSE_OIDC_ISSUER.")  # fmt: skip


def _has_key(settings: Settings, now: datetime) -> bool:
    # a look makes no file of keys
    return keys_path(settings).exists() and any(key.is_valid(now) for key in ApiKeys(settings).list_all())


def _ensure_usable(settings: Settings) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(str(settings.tls_certificate), str(settings.tls_key))
    except (OSError, ssl.SSLError) as error:
        raise PlatformError(
            f"{settings.tls_certificate} and {settings.tls_key} are no certificate with its key: {error}."
        ) from error
