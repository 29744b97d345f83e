"""Checks: whether what is served could be, and reaches nobody who should not.

Belongs here: what `lakehouse doctor` finds of the API, its users, mail, reports and PostgreSQL. Nothing is started or
sent.
"""

from datetime import UTC, datetime

from runtime import processes
from runtime.errors import LakehouseError, UsageError
from runtime.findings import Check, Finding
from runtime.ports import is_port_open
from runtime.settings import Settings
from runtime.smtp_sessions import place_of
from runtime.wording import counted

_WAIT_S = 3.0
_SOON_DAYS = 14


def check_api(settings: Settings) -> Finding:
    """Off this machine there is TLS and somebody who may ask; a certificate is one, with its key, and in its time."""
    from serving.access.listening import address_of, listening
    from serving.programs import DEFAULT_PORT, SERVING

    record = processes.find(settings, SERVING)
    try:
        listening(settings)
        ends_at = _certificate_ends(settings)
    except (LakehouseError, ValueError) as error:
        return Finding("api", False, str(error), "Correct it before `lakehouse up --serve`.")
    port = settings.api_port
    if record is None and port is not None and is_port_open("127.0.0.1", port, 1.0):
        return Finding("api", False, f"port {port} is taken by another program", "Set LAKEHOUSE_API_PORT.")
    where = record.address if record else f"not running; {address_of(settings, port or DEFAULT_PORT)} when it does"
    if ends_at is None:
        return Finding("api", True, where)
    days = (ends_at - datetime.now(UTC)).days
    said = f"{where}, certificate until {ends_at:%Y-%m-%d}"
    if days < 0:
        return Finding("api", False, said, "Its time is over: replace LAKEHOUSE_TLS_CERTIFICATE and start it again.")
    return Finding("api", True, f"{said}, {days} days from now" if days < _SOON_DAYS else said)


def check_users(settings: Settings) -> Finding:
    """Tenants can be read, and the identity provider answers with keys, where there are any."""
    from serving.access.provider_keys import ProviderKeys
    from serving.access.tenant_sites import load_tenants
    from serving.problems import Problem

    try:
        said = f"{len(load_tenants(settings))} tenants"
    except UsageError as error:
        return Finding("users", False, str(error), "Until then keys of tenants see nothing.")
    if settings.oidc_issuer is None:
        return Finding("users", True, f"{said}, no identity provider")
    try:
        ProviderKeys(settings).known()
    except Problem:
        return Finding("users", False, f"the identity provider {settings.oidc_issuer} gives no keys",
                       "Correct LAKEHOUSE_OIDC_ISSUER or LAKEHOUSE_OIDC_KEYS, or see to the provider.")  # fmt: skip
    return Finding("users", True, f"{said}, identity provider {settings.oidc_issuer}")


def check_mail(settings: Settings) -> Finding:
    """Reports can be read and sent, and the mail server takes connections, where there is one."""
    from serving.report.subscriptions import load_subscriptions

    try:
        reports = load_subscriptions(settings)
    except UsageError as error:
        return Finding("mail", False, str(error), "No report is sent until it is mended.")
    if settings.smtp is None or settings.mail_from is None:
        if reports:
            return Finding("mail", False, f"{counted(len(reports), 'report')}, and no mail server",
                           "Set LAKEHOUSE_SMTP and LAKEHOUSE_MAIL_FROM.")  # fmt: skip
        return Finding("mail", True, "no reports and no mail server")
    host, port = place_of(settings.smtp)
    if not is_port_open(host, port, _WAIT_S):
        return Finding("mail", False, f"the mail server {host}:{port} takes no connection", "Correct LAKEHOUSE_SMTP.")
    return Finding("mail", True, f"{counted(len(reports), 'report')}, mail server {host}:{port}")


def check_postgres(settings: Settings) -> Finding:
    """A PostgreSQL of yours takes its user."""
    if settings.postgres is None:
        return Finding("postgres", True, "the home's own, by `lakehouse up --postgres`")
    import psycopg

    from serving.bi.postgres_server import shown

    where = shown(settings.postgres)
    try:
        psycopg.connect(settings.postgres, connect_timeout=int(_WAIT_S)).close()
    except psycopg.Error as error:
        return Finding("postgres", False, f"{where}: {' '.join(str(error).split())}",
                       "Correct LAKEHOUSE_POSTGRES, or start that server.")  # fmt: skip
    return Finding("postgres", True, where)


def _certificate_ends(settings: Settings) -> datetime | None:
    if settings.tls_certificate is None:
        return None
    from cryptography.x509 import load_pem_x509_certificate

    return load_pem_x509_certificate(settings.tls_certificate.read_bytes()).not_valid_after_utc


CHECKS: tuple[Check, ...] = (check_api, check_users, check_mail, check_postgres)
