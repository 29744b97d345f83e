"""Whole files: written so that nobody ever reads half of one.

Belongs here: replacing and creating a small file as a whole. What stands in it belongs to its reader and writer; a file
that is too large for memory is written by who makes it.
"""

import os
import secrets
from pathlib import Path


def write_whole(path: Path, data: str | bytes, *, mode: int = 0o666, is_synced: bool = False) -> None:
    """Put a file there, or in the place of the one that is there, with its whole content or not at all.

    It is readable by whom `mode` says, less the process's mask, from its first byte on. `is_synced` waits for the disk.
    Raises OSError; then the file is as it was.
    """
    draft = _draft(path, data, mode, is_synced)
    try:
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def create_whole(path: Path, data: str | bytes, *, mode: int = 0o666) -> bool:
    """Put a file there with its whole content; False when there is one. Of several that try one succeeds."""
    draft = _draft(path, data, mode, is_synced=False)
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


def _draft(path: Path, data: str | bytes, mode: int, is_synced: bool) -> Path:
    # not the file's name with an ending, which may be too long for a file system
    draft = path.with_name(f"{secrets.token_hex(8)}.draft")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            if is_synced:
                file.flush()
                os.fsync(file.fileno())
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    return draft
