"""The rehearsal: set-up runs a small tick once, so that every later start finds its Java classes parsed.

Belongs here: which steps load the classes that matter. The archives themselves are in `runtime.java.class_archives`.
"""

import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from device_sim.simulation import SimulationOptions, simulate
from ingestion.landing_topics import ensure_topics
from lake.models.catalog import known_models
from lake.slices import slice_of
from pipeline.silver.tick import rebuild_silver, tick
from runtime.errors import LakehouseError
from runtime.java.class_archives import make_base_archive
from runtime.kafka.broker import running_broker
from runtime.settings import load_settings
from runtime.spark.connect_server import connect, running_spark


def rehearse(folder: Path) -> None:
    """Run a few messages through Kafka and Spark, in a home of their own. Raises LakehouseError."""
    environment = load_settings()
    settings = replace(load_settings({}, folder), java_home=environment.java_home, is_rehearsal=True)
    models = known_models(settings)
    start = datetime.now(UTC) - timedelta(hours=3)
    make_base_archive()
    with running_broker(settings) as bootstrap, running_spark(settings) as address:
        ensure_topics(bootstrap)
        simulate(settings, bootstrap, SimulationOptions(start=start, devices=6, hours=2.0))
        spark = connect(address)
        try:
            tick(spark, settings, bootstrap, models, run_id="rehearsal")
            rebuild_silver(spark, settings, models, [slice_of(start)], run_id="rehearsal")
        finally:
            spark.stop()


def main() -> int:
    """`python -m lakehouse.cli.rehearsal`: what the set-up runs. It makes later starts faster and nothing else."""
    print("Rehearsing, so that Kafka and Spark start faster (a minute or two, once) ...", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        try:
            rehearse(Path(folder))
        except LakehouseError as error:
            print(f"The rehearsal failed: {error}\nEverything works without it, only starts slower.", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
