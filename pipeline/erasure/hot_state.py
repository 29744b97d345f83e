"""Hot state: what the hot path on Spark keeps in the lake, which has readings and registrations of devices.

Belongs here: that it goes when a device is erased. What it is made of is Spark's.
"""

from lake.storage.lake_files import LakeFiles
from lake.storage.locations import HOT_STATE, folder_of
from runtime import processes
from runtime.errors import StepError
from runtime.settings import Settings

_STREAMS = "streams"


def check_hot_state(settings: Settings) -> None:
    """Nobody writes it now, as far as this home knows. Raises StepError."""
    if LakeFiles(settings).under(folder_of(HOT_STATE)) and processes.find(settings, _STREAMS) is not None:
        raise StepError(
            "The lake has the checkpoint of the hot path on Spark, which has readings of devices and goes with an "
            "erasure, and the hot path runs: end it (`lakehouse down`), then run this again."
        )


def delete_hot_state(settings: Settings) -> None:
    """Delete it; the hot path begins anew from what the last minutes brought."""
    LakeFiles(settings).delete_folder(folder_of(HOT_STATE))
