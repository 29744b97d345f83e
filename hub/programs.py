"""Programs: the hub as a process that `lakehouse up --hub` keeps running.

Belongs here: its options, and when it is ready. What it does is in `hub_process`.
"""

from hub.access.quotas import Quotas
from hub.administration import HUB
from runtime import processes
from runtime.errors import PlatformError
from runtime.ports import accepts, can_bind
from runtime.processes import ProcessRecord
from runtime.programs import Chosen, Option, Program, spawn_python
from runtime.settings import Settings


def _port(settings: Settings, chosen: Chosen) -> int:
    return int(chosen.get("hub_port") or settings.hub_port)


def _profile(chosen: Chosen) -> str:
    return str(chosen.get("hub_profile") or "none")


def _start(settings: Settings, chosen: Chosen) -> ProcessRecord:
    port = _port(settings, chosen)
    arguments = ["-m", "hub", "--port", str(port), "--workers", str(chosen.get("hub_processes") or 1)]
    arguments += ["--profile", _profile(chosen)]
    if chosen.get("hub_amqp_port"):
        arguments += ["--also-port", str(chosen["hub_amqp_port"])]
    return spawn_python(settings, HUB, arguments, f"localhost:{port}")


def _check(settings: Settings, chosen: Chosen) -> None:
    """Its profile is there and its ports are free, before anything is started."""
    Quotas(_profile(chosen))
    if not chosen.get(HUB) or processes.find(settings, HUB) is not None:
        return
    port, other = _port(settings, chosen), chosen.get("hub_amqp_port")
    if not can_bind(port):
        raise PlatformError(f"The hub's port {port} is taken: give another by --hub-port or LAKEHOUSE_HUB_PORT.")
    if other and not can_bind(int(other)):
        raise PlatformError(f"The hub's second port {other} is taken: give another by --hub-amqp-port, or none.")


PROGRAMS = (
    Program(
        HUB,
        "Hub",
        _start,
        is_ready=lambda _settings, record: accepts(record.address),
        uses=("broker",),
        options=(
            Option(HUB, "Also take devices' connections: MQTT, AMQP and HTTPS on one TLS port."),
            Option("hub-port", "The hub's port [default: LAKEHOUSE_HUB_PORT or 8883].", int, least=1, most=65535),
            Option(
                "hub-amqp-port",
                "A second port of the hub: 5671 for clients of Event Hubs and cloud messages, which take no other.",
                int,
                least=1,
                most=65535,
            ),
            Option("hub-profile", "Limits: none, or those of the anchor's size s1 or s3.", str, "none"),
            Option("hub-processes", "Processes that share the hub's port.", int, 1, 1, 64),
        ),
        chosen_by=HUB,
        check=_check,
    ),
)
