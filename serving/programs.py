"""Programs: what `lakehouse up --serve`, `--postgres` and `--reports` keep running.

Belongs here: that they are programs, their ports and addresses. What the API answers is in `serving_app`, what
PostgreSQL has in `serving.bi`, what queues do in `serving.queues`.
"""

import http.client
import ssl
from urllib.parse import urlsplit

from runtime.errors import PlatformError, UsageError
from runtime.ports import accepts, free_port, is_port_open
from runtime.processes import ProcessRecord
from runtime.programs import Chosen, Option, Program, spawn_python
from runtime.settings import Settings
from serving.access.listening import address_of, listening
from serving.bi.postgres_server import DATABASE, shown
from serving.queues.queue_administration import QUEUES

SERVING, POSTGRES, REPORTS = "serving", "postgres", "reports"
DEFAULT_PORT, _DEFAULT_POSTGRES_PORT, _DEFAULT_QUEUES_PORT = 8080, 5432, 5672


def _port(wished: int | None, usual: int, variable: str) -> int:
    """The port that was asked for, or the usual one, or a free one. Raises PlatformError when it is taken."""
    if wished is None:
        return free_port() if is_port_open("127.0.0.1", usual) else usual
    if is_port_open("127.0.0.1", wished):
        raise PlatformError(f"Port {wished} is taken by another program: set {variable} to another one.")
    return wished


def _start(settings: Settings, chosen: Chosen) -> ProcessRecord:
    port = _port(settings.api_port, DEFAULT_PORT, "LAKEHOUSE_API_PORT")
    return spawn_python(settings, SERVING, ["-m", "serving", str(port)], address_of(settings, port))


def _check(settings: Settings, chosen: Chosen) -> None:
    """Nobody can reach it who should not, before anything is started."""
    listening(settings)


def _is_ready(settings: Settings, record: ProcessRecord) -> bool:
    place = urlsplit(record.address)
    if place.scheme == "https":
        # whether its certificate is one that clients trust is for them to say
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            place.netloc, timeout=2, context=ssl._create_unverified_context()
        )
    else:
        connection = http.client.HTTPConnection(place.netloc, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _start_postgres(settings: Settings, chosen: Chosen) -> ProcessRecord:
    if settings.postgres is not None:
        return spawn_python(settings, POSTGRES, ["-m", "serving.bi"], shown(settings.postgres))
    port = _port(settings.postgres_port, _DEFAULT_POSTGRES_PORT, "LAKEHOUSE_POSTGRES_PORT")
    address = f"postgresql://127.0.0.1:{port}/{DATABASE}"
    return spawn_python(settings, POSTGRES, ["-m", "serving.bi", str(port)], address)


def _accepts(settings: Settings, record: ProcessRecord) -> bool:
    return accepts(urlsplit(record.address).netloc)


def _check_reports(settings: Settings, chosen: Chosen) -> None:
    """Reports are right, and can be sent, before anything is started."""
    from serving.report.subscriptions import load_subscriptions

    load_subscriptions(settings)
    if settings.smtp is None or settings.mail_from is None:
        raise UsageError("Reports are mailed once LAKEHOUSE_SMTP and LAKEHOUSE_MAIL_FROM are set.")


def _start_queues(settings: Settings, chosen: Chosen) -> ProcessRecord:
    port = _port(settings.queues_port, _DEFAULT_QUEUES_PORT, "LAKEHOUSE_QUEUES_PORT")
    return spawn_python(settings, QUEUES, ["-m", "serving.queues", str(port)], f"sb://127.0.0.1:{port}")


PROGRAMS = (
    Program(
        SERVING,
        "Dashboard, API, sharing",
        _start,
        _is_ready,
        options=(Option("serve", "Also serve published gold, a dashboard, the API and Delta Sharing, and queues."),),
        chosen_by="serve",
        addresses=lambda settings, address: {
            "dashboard": f"{address}/",
            "api": address,
            "sharing": f"{address}/sharing",
        },
        check=_check,
    ),
    Program(QUEUES, "Queues", _start_queues, _accepts, chosen_by="serve"),
    Program(
        POSTGRES,
        "PostgreSQL copy",
        _start_postgres,
        _accepts,
        options=(Option(POSTGRES, "Also copy published gold into PostgreSQL, for BI tools."),),
        chosen_by=POSTGRES,
    ),
    Program(
        REPORTS,
        "Mailed reports",
        lambda settings, chosen: spawn_python(settings, REPORTS, ["-m", "serving.report"]),
        options=(Option(REPORTS, "Also mail the reports of this home as they become due."),),
        chosen_by=REPORTS,
        check=_check_reports,
    ),
)
