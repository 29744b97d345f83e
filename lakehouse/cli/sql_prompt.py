"""The prompt of `lakehouse sql`.

Belongs here: reading lines, their history, and the commands that start with a dot. What SQL answers is the caller's.
"""

import readline
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runtime.errors import LakehouseError

if TYPE_CHECKING:
    from lake.reading.reader import Reader

_HISTORY_LINES = 2_000
_HELP = "End a question with ; and leave with \\q or Ctrl-D.  .tables lists the tables, .help says this."


def prompt(reader: "Reader", history: Path, answer: Callable[[str], None]) -> None:
    """Ask for SQL until the end of input, and `answer` it. An error ends the question, not the prompt."""
    if history.is_file():
        readline.read_history_file(history)
    readline.set_history_length(_HISTORY_LINES)
    click.echo(_HELP)
    try:
        _ask(reader, answer)
    finally:
        history.parent.mkdir(parents=True, exist_ok=True)
        readline.write_history_file(history)


def _ask(reader: "Reader", answer: Callable[[str], None]) -> None:
    lines: list[str] = []
    while True:
        try:
            line = input("lakehouse> " if not lines else "      ...> ")
        except EOFError:
            click.echo()
            return
        except KeyboardInterrupt:
            click.echo()
            lines = []
            continue
        word = line.strip().lower()
        if not lines and word in ("\\q", ".quit", ".exit", "quit", "exit"):
            return
        if not lines and word in (".tables", ".help"):
            _tell(reader, word)
            continue
        if word:
            lines.append(line)
        if word.endswith(";"):
            _answer(answer, "\n".join(lines))
            lines = []


def _answer(answer: Callable[[str], None], sql: str) -> None:
    try:
        answer(sql)
    except LakehouseError as error:
        click.echo(f"Error: {error}", err=True)
    except KeyboardInterrupt:
        click.echo("Interrupted.", err=True)


def _tell(reader: "Reader", word: str) -> None:
    click.echo(_HELP if word == ".help" else "\n".join(reader.offered()) or "There are no tables yet.")
