"""The rehearsal: set-up runs a small tick once, so that every later start finds its Java classes parsed.

Belongs here: which steps load the classes that matter, and whether they have been loaded for what is installed. The
archives themselves are in `runtime.java.class_archives`.
"""

import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from runtime.errors import LakehouseError
from runtime.java.jars import fingerprint
from runtime.java.jvm import find_java, share_folder, share_lock
from runtime.settings import load_settings
from runtime.whole_files import write_whole


def rehearse(folder: Path) -> None:
    """Run a few messages through Kafka and Spark, in a home of their own. Raises LakehouseError."""
    from device_sim.simulation import SimulationOptions, simulate
    from ingestion.landing_topics import ensure_topics
    from lake.models.catalog import known_models
    from lake.slices import slice_of
    from pipeline.run import Run
    from pipeline.silver.tick import rebuild_silver, tick
    from runtime.java.class_archives import make_base_archive
    from runtime.kafka.broker import running_broker
    from runtime.spark.connect_server import connect, running_spark

    environment = load_settings()
    settings = replace(
        load_settings({}, folder), java_home=environment.java_home, is_rehearsal=True, ingest_engine="spark"
    )
    models = known_models(settings)
    start = datetime.now(UTC) - timedelta(hours=3)
    make_base_archive()
    with running_broker(settings) as bootstrap, running_spark(settings) as address:
        ensure_topics(bootstrap)
        simulate(settings, bootstrap, SimulationOptions(start=start, devices=6, hours=2.0))
        spark = connect(address)
        try:
            run = Run(settings, models, "rehearsal", datetime.now(UTC))
            tick(lambda: spark, run, bootstrap)
            rebuild_silver(lambda: spark, run, [slice_of(start)])
        finally:
            spark.stop()


def rehearse_once(tell: Callable[[str], None]) -> None:
    """Rehearse unless that was done for these jars and this JVM; whoever installs by `make` has done it in set-up.

    It makes later starts faster and nothing else, so that a rehearsal that fails is told and not tried again.
    """
    stamp, done = share_folder() / "rehearsed.json", _what_is_installed()
    if stamp.is_file() and stamp.read_text() == done:
        return
    with share_lock("rehearsal"), tempfile.TemporaryDirectory() as folder:
        if stamp.is_file() and stamp.read_text() == done:
            return
        tell("Rehearsing, so that Kafka and Spark start faster (a minute or two, once) ...")
        try:
            rehearse(Path(folder))
        except LakehouseError as error:
            tell(f"The rehearsal failed: {error}\nEverything works without it, only starts slower.")
        write_whole(stamp, done)


def _what_is_installed() -> str:
    java = str(find_java(load_settings().java_home))
    return json.dumps({"java": java, "jars": [fingerprint("kafka"), fingerprint("spark")]})


def main() -> int:
    """`python -m lakehouse.cli.rehearsal`: what the set-up runs."""
    try:
        rehearse_once(lambda words: print(words, file=sys.stderr, flush=True))
    except LakehouseError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
