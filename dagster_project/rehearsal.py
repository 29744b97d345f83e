"""The rehearsal: set-up runs a small tick once, so that every later start finds its Java classes parsed.

Belongs here: which steps load the classes that matter. The archives themselves are in `lake.class_archives`.
"""

import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from device_sim.run import SimulationOptions, simulate
from ingestion.broker import running_broker
from ingestion.topics import ensure_topics
from lake.class_archives import make_base_archive
from lake.errors import LakehouseError
from lake.models import known_models
from lake.settings import load_settings
from lake.slices import slice_of
from lake.spark import connect, running_spark
from pipeline.tick import rebuild_silver, tick


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
    """`python -m dagster_project.rehearsal`: what the set-up runs. It makes later starts faster and nothing else."""
    print("Rehearsing, so that Kafka and Spark start faster (a minute or two, once) ...", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        try:
            rehearse(Path(folder))
        except LakehouseError as error:
            print(f"The rehearsal failed: {error}\nEverything works without it, only starts slower.", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
