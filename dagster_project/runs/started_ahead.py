"""What a run needs, started before it asks: Kafka, Spark beside it if that is to read, and an import while they start.

Belongs here: that they start together. What a run asks for and when it gives it back is in `resources`, which finds
what runs or waits for it; starting belongs in `runtime`.

One after the other leaves a core idle while a JVM loads: the first refresh of a home waits for both, and for nobody.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from importlib import import_module
from threading import Event, Thread

from runtime import processes
from runtime.errors import LakehouseError
from runtime.kafka.broker import running_broker, stored_bytes
from runtime.settings import Settings
from runtime.signals import interruptible_children, sigterm_as_exit
from runtime.spark.spark_configuration import NAME as SPARK
from wire.envelope import TELEMETRY_TOPIC

# some 300,000 replayed readings of 53 bytes: what a run may read by itself, and too little for optimised code to pay
_LITTLE_BYTES = 16_000_000
_Running = Callable[[Settings], AbstractContextManager[str]]


@contextmanager
def started_ahead(settings: Settings, meanwhile: Sequence[str] = ()) -> Iterator[None]:
    """Start the home's Kafka unless it runs, and Spark if there is much to read; import the modules `meanwhile`; end
    both side by side.

    Nothing is started where Spark runs already: then there is nothing to wait for. What takes long to import is
    imported when it is needed, so that Kafka begins before anything else.
    """
    if settings.spark.startswith("sc://") or processes.find(settings, SPARK) is not None:
        yield
        return
    is_over, stored = Event(), stored_bytes(settings, TELEMETRY_TOPIC)
    ours = replace(settings, is_brief=stored is not None and stored <= _LITTLE_BYTES)
    starts: list[_Running] = [running_broker]
    if _is_for_spark(settings, stored):
        from runtime.spark.connect_server import running_spark

        starts.append(running_spark)

    def keep(running: _Running) -> None:
        with suppress(LakehouseError), running(ours):  # why one does not start is told when the run asks for it
            is_over.wait()

    threads = [Thread(target=keep, args=(running,)) for running in starts]
    with sigterm_as_exit():
        try:
            with interruptible_children():
                for thread in threads:
                    thread.start()
                # what lean imports hide from other threads is nothing that these two import
                for name in meanwhile:
                    import_module(name)
            yield
        finally:
            is_over.set()
            for thread in threads:
                if thread.ident is not None:
                    thread.join()


def _is_for_spark(settings: Settings, stored: int | None) -> bool:
    """Whether Spark will read for certain: otherwise it is started once the run has found that there is much."""
    if "spark" in (settings.ingest_engine, settings.engine):
        return True
    if stored is None or stored <= _LITTLE_BYTES or settings.ingest_engine == "here":
        return False
    from lake.storage.delta import version_of
    from lake.tables.bronze import BRONZE_TELEMETRY

    return version_of(settings, BRONZE_TELEMETRY.name) is None
