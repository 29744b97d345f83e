"""Private files: a home that other users of the machine cannot enter, its keys, and its sockets.

Belongs here: making them so that they are private from the start. Who asks for a key, and what it opens, belongs to the
programs.

Loopback is open to every user of the machine and to every page in a browser. What can be reached there and runs code
asks for a key of the home; what only our own programs use listens at a socket in a folder that is the user's alone.
"""

import hashlib
import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from runtime.errors import PlatformError
from runtime.settings import Settings
from runtime.whole_files import create_whole

# the system's limit is 107 bytes, or 103 on some
LONGEST_SOCKET = 100


def ensure_home(settings: Settings) -> None:
    """Make the home, for its user alone. One that exists keeps its mode, which `lakehouse doctor` looks at.

    Raises PlatformError where none can be made.
    """
    try:
        if not settings.home.is_dir():
            settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise PlatformError(
            f"The folder {settings.home} cannot be made ({error.strerror}): set LAKEHOUSE_HOME to one that can."
        ) from error


def is_private(folder: Path) -> bool:
    """True when no other user may enter a folder, or it is not there."""
    return not folder.is_dir() or not folder.stat().st_mode & 0o077


def known_key(home: Path, name: str) -> str:
    """A secret of some home; empty when it has none that this user may read."""
    try:
        return _read(home / "keys" / name)
    except OSError:
        return ""


def home_key(settings: Settings, name: str) -> str:
    """A secret of the home, made when it is first asked for. Delete its file for another one. Raises PlatformError."""
    path = settings.home / "keys" / name
    with suppress(FileNotFoundError):
        return _read(path)
    ensure_home(settings)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    create_whole(path, secrets.token_urlsafe(32), mode=0o600)  # of two at once one is first and both read it
    return _read(path)


def socket_path(settings: Settings, name: str) -> Path:
    """Where a program of the home listens: in `run/`, or in a short folder of the user's when that path is too long."""
    path = settings.run_folder / f"{name}.socket"
    if len(os.fsencode(path)) <= LONGEST_SOCKET:
        ensure_home(settings)
        settings.run_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if is_private(settings.home) or is_private(settings.run_folder):
            return path
    digest = hashlib.sha256(os.fsencode(settings.home)).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"lakehouse-{os.getuid()}-{digest}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077 or not folder.is_dir() or folder.is_symlink():
        raise PlatformError(f"{folder} is not this user's alone: remove it, or set TMPDIR to a folder of your own.")
    return folder / path.name


def _read(path: Path) -> str:
    key = path.read_text(encoding="ascii").strip()
    if not key:
        raise PlatformError(f"{path} is empty: delete it, and a new key is made.")
    return key
