"""Files that a user names: what is in them as text or JSON, or where a result is to go.

Belongs here: refusing, in a sentence, what is not what it is to be, and which file an error is about. What the content
means belongs to who asked for it.
"""

import io
import json
import traceback
from pathlib import Path
from typing import Any

import click


class OutputFile(click.Path):
    """A file that a command is to write, in a folder that is there: one whose name is misspelt is said beforehand."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path. Ends as wrong usage where there is no such folder."""
        path = Path(value)
        super().convert(path, param, ctx)
        if not path.absolute().parent.is_dir():
            self.fail(f"There is no folder {str(path.parent)!r}.", param, ctx)
        return path


def file_of(error: OSError) -> str:
    """The name of the file that the system refuses; '' where it cannot be told.

    What fails when an open file is read or written does not say its name: it is that of the file which the innermost
    function held that held any, unless it held another one too. A file may be closed by now.
    """
    if error.filename is not None:
        return str(error.filename)
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        held = [each for each in frame.f_locals.values() if isinstance(each, io.IOBase)]
        # what lies in memory has none, and a pipe or a socket a number
        names = {each.name for each in held if hasattr(each, "name")}
        if names:
            (name, *others) = names
            return name if isinstance(name, str) and not others else ""
    return ""


def text_of(path: Path) -> str:
    """What a file says. Raises click.UsageError where it is no text."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except ValueError as error:
        raise click.UsageError(f"{path} is no text in UTF-8: {error}.") from error


def json_of(text: str | bytes, origin: str) -> Any:
    """What JSON says that came from `origin`, a file's name or the text itself. Raises UsageError."""
    from runtime.errors import UsageError

    try:
        return json.loads(text)
    except ValueError as error:
        raise UsageError(f"{origin} is no JSON: {error}.") from error
