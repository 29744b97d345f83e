"""`python -m serving.queues PORT`: the home's queues over AMQP, on this machine.

Belongs here: the process. What it serves is in `broker_session`.
"""

import asyncio
import logging
import signal
import sys
from contextlib import closing

from runtime.private_files import home_key
from runtime.settings import Settings, load_settings
from serving.queues.broker_session import BrokerSession
from serving.queues.queue_administration import QUEUES, declared_queues
from serving.queues.queue_broker import Broker
from serving.queues.queue_store import QueueStore, queues_path

_HOST = "127.0.0.1"


def main() -> None:
    """Serve until a signal."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    settings = load_settings()
    with closing(QueueStore(queues_path(settings))) as store:
        asyncio.run(_serve(settings, store, int(sys.argv[1])))


async def _serve(settings: Settings, store: QueueStore, port: int) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    broker = Broker(store, home_key(settings, QUEUES), declared_queues(settings))
    server = await loop.create_server(lambda: BrokerSession(broker), _HOST, port)
    ticking = asyncio.create_task(broker.keep_time())
    stopping = asyncio.create_task(stop.wait())
    # a broker that no longer ticks frees no lock: better it ends and is started anew
    await asyncio.wait({ticking, stopping}, return_when=asyncio.FIRST_COMPLETED)
    server.close()
    if ticking.done():
        ticking.result()
    ticking.cancel()
    broker.end()


if __name__ == "__main__":
    main()
