"""The program's own streams: UTF-8 whatever the locale, and output that cannot be written.

Belongs here: what standard input, output and error are made into before a command runs. What is printed on them belongs
to the commands.

A reader of the output that has seen enough (`head`) ends no command, which may be amid work: what is printed after that
is dropped, and the command comes to its own end and exit code. Output that cannot be written for another reason is a
failure that is told in one sentence. What cannot be told, since nobody reads standard error, is dropped.
"""

import codecs
import errno
import io
import os
import sys
from collections.abc import Sequence
from typing import TextIO

from runtime.errors import PlatformError, UsageError
from runtime.settings import inherited_environment

_STDIN, _STDOUT, _STDERR = range(3)


class OutputError(PlatformError):
    """What was to be printed could not be written."""


class _Output(io.FileIO):
    """Standard output; `is_left` when its reader has gone."""

    is_left = False

    def write(self, data: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]
        if self.is_left:
            return len(data)
        try:
            return super().write(data) or 0
        except OSError as error:
            self.is_left = True  # what is still in the buffers would fail again as the program ends
            if error.errno == errno.EPIPE:
                return len(data)
            raise OutputError(f"The output could not be written: {_reason(error)}.") from error


class _Errors(io.FileIO):
    """Standard error."""

    def write(self, data: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]
        try:
            return super().write(data) or 0
        except OSError:
            return len(data)


def run_in_utf8() -> None:
    """Begin this program anew in Python's UTF-8 mode, where the locale has another encoding.

    Files, arguments and the environment are in UTF-8 here, also for libraries that open files without saying so.
    Standard output keeps the locale's encoding. Does not return when it begins anew.
    """
    if sys.flags.utf8_mode or codecs.lookup(_locale_encoding()).name == "utf-8":
        return
    printed = getattr(sys.stdout, "encoding", None) or "utf-8"
    values = {"PYTHONUTF8": "1", "PYTHONIOENCODING": f"{printed}:backslashreplace"}
    os.execve(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]], inherited_environment(values))


def prepare_streams() -> None:
    """Make the streams into what the module says. A stream that is closed counts as one that takes nothing."""
    for number in (_STDIN, _STDOUT, _STDERR):
        _occupy(number)
    sys.stdin = sys.stdin or open(_STDIN, encoding="utf-8", closefd=False)  # noqa: SIM115  # as long as the program
    sys.stdout = _text(_Output(_STDOUT, "w", closefd=False), sys.stdout, is_line_wise=os.isatty(_STDOUT))
    sys.stderr = _text(_Errors(_STDERR, "w", closefd=False), sys.stderr, is_line_wise=True)


def is_read(stream: TextIO) -> bool:
    """False when the reader of what is printed is known to have gone: then there is no more to look up for it."""
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return not (isinstance(raw, _Output) and raw.is_left)


def checked_arguments(arguments: Sequence[str], what: str = "An argument") -> list[str]:
    """The same texts from outside. Raises UsageError for one that is not in UTF-8."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            shown = argument.encode("utf-8", "surrogateescape")
            raise UsageError(f"{what} is not in UTF-8, which everything here is: {shown[:200]!r}.") from error
    return list(arguments)


def _locale_encoding() -> str:
    import locale

    return locale.getencoding()


def _occupy(number: int) -> None:
    """Open what is closed: else the next file to be opened, a table's, would get what is printed."""
    try:
        os.fstat(number)
    except OSError:
        # a descriptor for reading: what is written to it fails, as it would to the closed one
        opened = os.open(os.devnull, os.O_RDONLY if number != _STDERR else os.O_WRONLY)
        if opened != number:
            os.dup2(opened, number)
            os.close(opened)


def _text(raw: io.FileIO, before: TextIO | None, *, is_line_wise: bool) -> TextIO:
    if before is not None:
        before.flush()
    encoding = (before.encoding if before is not None else None) or "utf-8"
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding, errors="backslashreplace", line_buffering=is_line_wise, write_through=False
    )


def _reason(error: OSError) -> str:
    return "it is closed" if error.errno == errno.EBADF else (error.strerror or str(error))
