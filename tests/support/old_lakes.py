"""Lakes as earlier versions of the program wrote them, kept in tests/data.

Belongs here: unpacking them. What becomes of them is the tests'.
"""

import tarfile
from pathlib import Path

from runtime.settings import Settings

DATA = Path(__file__).resolve().parents[1] / "data"


def unpacked(folder: Path, number: int) -> Settings:
    """A home with the kept lake of that format."""
    with tarfile.open(DATA / f"lake-format-{number}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return Settings(home=folder, lake_uri=str(folder / "lake"))
