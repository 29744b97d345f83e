"""Home files: what the home keeps outside of the lake that may name a device.

Belongs here: which files those are, and what becomes of them when a device is erased. Those of the
lake are in `removal`.
"""

from pathlib import Path

from lake.storage.locations import candidate_path
from pipeline.erasure.mentions import Mentions
from runtime.settings import Settings
from runtime.spark.connect_server import SCRATCH  # what a running Spark keeps there goes when it ends


def home_files(settings: Settings) -> list[Path]:
    """Every file of the home's work, logs and scoring models."""
    folders = (settings.work_folder, settings.log_folder, settings.ml_folder)
    found = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    return [path for path in found if not any(part.startswith(SCRATCH) for part in path.parts)]


def clean_home(settings: Settings, mentions: Mentions) -> None:
    """The candidate goes, and so does what is usual of devices, of which this is one, in a scoring model: that version
    keeps its number and scores no more. In texts that name the device asterisks take the id's place."""
    for suffix in ("", ".wal"):
        candidate_path(settings).with_name(candidate_path(settings).name + suffix).unlink(missing_ok=True)
    for path in sorted(settings.ml_folder.glob("*/*.parquet")):
        if mentions.in_file(path.name, path.read_bytes()):
            path.unlink()
    for path in home_files(settings):
        data = path.read_bytes()
        if mentions.in_bytes(data):
            with path.open("r+b") as file:  # a program may be appending to it
                file.write(mentions.masked(data))
