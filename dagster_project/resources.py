"""Resources: what a run needs from outside, started when it begins and given back when it ends.

Belongs here: the broker, Spark, the writer's lease and the memory that the steps of one run share. A test, or the
command line, puts another in the place of any of them by its key.

A run is one process (the in-process executor): resources live as long as it does, and all its steps share them.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from dagster import Failure, Field, InitResourceContext, ResourceDefinition, RetryRequested, resource

from dagster_project.runs.under_way import process_tag
from lake.models.catalog import Model, known_models
from lake.storage.lease import LEASE_WAIT_S, writer_lease
from pipeline.gold.gold_refresh import Outcome, Prepared
from pipeline.maintenance import Upkeep
from pipeline.run import Progress, silent
from pipeline.silver.append import SilverReport
from pipeline.silver.tick import TickReport
from runtime.errors import LakehouseError, PlatformError
from runtime.kafka.broker import running_broker
from runtime.settings import Settings
from runtime.spark.connect_server import SparkSource, spark_on_demand

_RETRY_AFTER_S = 15


@dataclass
class Work:
    """What the steps of one run hand on to each other, and what its caller reads when it has ended.

    `slices` are done besides what is stale; a partitioned run takes its partitions instead.
    `is_held` says that the run failed only because slices that it was asked for are held, `error` why else it did.
    `retries` is how often a step waits for a service that does not answer and tries again. `transactions_wait_s` is how
    long a tick waits for producers' transactions that are open: not at all where another tick follows by itself.
    """

    progress: Progress = silent
    slices: Sequence[str] | None = None
    accept_gap: bool = False
    retries: int = 2
    transactions_wait_s: float = 0.0
    tick: TickReport | None = None
    rebuilt: SilverReport | None = None
    is_prepared: bool = False
    portions: Iterator[Prepared] | None = None
    prepared: Prepared | None = None
    outcome: Outcome | None = None
    upkeep: Upkeep | None = None
    released: str | None = None
    is_held: bool = False
    error: LakehouseError | None = None

    @contextmanager
    def told(self, *, is_step: bool = True) -> Iterator[None]:
        """Keep an error of ours for the caller, and tell Dagster its message alone.

        Only a service that does not answer is worth another try; every step is safe to repeat.
        """
        try:
            yield
        except PlatformError as error:
            self.error = error
            if self.retries and is_step:
                raise RetryRequested(self.retries, _RETRY_AFTER_S) from error
            raise Failure(str(error), allow_retries=False) from None
        except LakehouseError as error:
            self.error = error
            raise Failure(str(error), allow_retries=False) from None


@dataclass
class Writer:
    """The lease of the lake, taken by the first step that writes and kept until the run ends."""

    settings: Settings
    progress: Progress = silent
    wait_s: float = LEASE_WAIT_S
    _held: ExitStack = field(default_factory=ExitStack)
    _is_held: bool = False

    def hold(self, purpose: str) -> None:
        """Take the lease unless this run has it. Raises LeaseError after `wait_s` seconds."""
        if self._is_held:
            return
        self._held.enter_context(writer_lease(self.settings, purpose, self.wait_s, tell=self.progress))
        self._is_held = True

    def give_back(self) -> None:
        """Give the lease back, if this run has it."""
        self._held.close()
        self._is_held = False


def run_resources(settings: Settings, work: Work | None = None) -> dict[str, Any]:
    """The resources by key: `settings`, `models`, `work`, `kafka` (an address), `spark` (gives a session), `writer`.

    `work` is given by a caller in this process; otherwise each run has one of its own.
    """
    given = ResourceDefinition.hardcoded_resource(work) if work is not None else _work
    return {
        "settings": ResourceDefinition.hardcoded_resource(settings),
        "models": _models,
        "work": given,
        "kafka": _kafka,
        "spark": _spark,
        "writer": _writer,
    }


@resource(
    config_schema={
        "slices": Field([str], default_value=[], description="Hours to do besides the stale ones, as 2026-11-20T05."),
        "accept_gap": Field(bool, default_value=False, description="Go on where the broker has lost messages."),
    }
)
def _work(context: InitResourceContext) -> Work:
    """The memory of a run that the daemon launched."""
    if context.run is not None and context.instance is not None:
        context.instance.add_run_tags(context.run.run_id, process_tag())
    return Work(slices=context.resource_config["slices"] or None, accept_gap=context.resource_config["accept_gap"])


@resource(required_resource_keys={"settings", "work"})
def _models(context: InitResourceContext) -> dict[str, Model]:
    """The device models as they are when the run begins."""
    with context.resources.work.told(is_step=False):
        return known_models(context.resources.settings)


@resource(required_resource_keys={"settings", "work"})
def _kafka(context: InitResourceContext) -> Iterator[str]:
    """The bootstrap address of the landing zone."""
    work: Work = context.resources.work
    with ExitStack() as running:
        with work.told(is_step=False):
            work.progress("Kafka")
            bootstrap = running.enter_context(running_broker(context.resources.settings))
        yield bootstrap


@resource(required_resource_keys={"settings", "work"})
def _spark(context: InitResourceContext) -> Iterator[SparkSource]:
    """A session, once a step asks, on the warm server when there is one, else on one that ends with the run."""
    work: Work = context.resources.work
    with spark_on_demand(context.resources.settings, work.progress) as spark:
        yield spark


@resource(required_resource_keys={"settings", "work"})
def _writer(context: InitResourceContext) -> Iterator[Writer]:
    def say(text: str) -> None:
        if context.log is not None:
            context.log.info(text)
        context.resources.work.progress(text)

    writer = Writer(context.resources.settings, say)
    try:
        yield writer
    finally:
        writer.give_back()
