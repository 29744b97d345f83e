"""`python -m hub`: the hub of this home until it is told to end.

Belongs here: the process and its arguments, and further processes on the same ports. What it does is in `hub_process`.
"""

import argparse
import logging
import sys

import uvloop

from hub.access.quotas import PROFILES
from hub.api.service_app import build_app
from hub.hub_process import HubOptions, for_worker, run_hub
from hub.listener import AsgiApp
from hub.messages.outbox_sender import OutboxSender
from hub.sessions.hub_parts import HubParts
from runtime.errors import LakehouseError, PlatformError
from runtime.kafka.broker import running_broker
from runtime.settings import Settings, load_settings
from runtime.siblings import siblings


def main(arguments: list[str]) -> int:
    """Run until a signal; 0 then, 1 when it cannot run."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    wanted = _arguments(arguments)
    try:
        settings = load_settings()
        with running_broker(settings) as bootstrap:
            options = HubOptions((wanted.port, *wanted.also_port), bootstrap, profile=wanted.profile)
            if wanted.host:
                options = HubOptions(
                    options.ports, bootstrap, (*wanted.host, *options.hosts), wanted.listen_on, wanted.profile
                )
            if wanted.workers > 1:
                options = for_worker(options, wanted.worker)
            _serve(settings, options, _others(wanted, arguments))
    except LakehouseError as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    return 0


def _serve(settings: Settings, options: HubOptions, others: list[list[str]]) -> None:
    senders: list[OutboxSender] = []
    settings.hub_folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def make_app(parts: HubParts) -> AsgiApp:
        if options.worker == 0:
            senders.append(OutboxSender(parts.registry, options.bootstrap, parts.instance))
            senders[0].start()
        return build_app(parts.registry, parts.sessions, settings.hub_folder / "files", parts.quotas)

    def end_senders() -> None:
        for sender in senders:
            sender.stop()

    with siblings([["-m", "hub", *each] for each in others]) as beside:
        uvloop.run(run_hub(settings, options, make_app, ending=end_senders))
    if beside.ended:
        raise PlatformError(f"Process {beside.ended[0] + 1} of the hub has ended, so it ends as a whole.")


def _others(wanted: argparse.Namespace, arguments: list[str]) -> list[list[str]]:
    """The arguments of the further processes that the first one starts."""
    if wanted.worker:
        return []
    return [[*arguments, "--worker", str(number)] for number in range(1, wanted.workers)]


def _arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m hub", description="The hub of this home.")
    parser.add_argument("--port", type=int, default=8883)
    parser.add_argument("--also-port", type=int, action="append", default=[])
    parser.add_argument("--host", action="append", default=[], help="a name by which clients reach it")
    parser.add_argument("--listen-on", default="127.0.0.1")
    parser.add_argument("--profile", default="none", choices=tuple(PROFILES))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--worker", type=int, default=0)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
