"""Commands that the pages show are ones that the program takes: their names, options and number of arguments."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from lakehouse.cli.main import cli

PROJECT = Path(__file__).resolve().parents[2]
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]
# a line of a shell that calls it: behind settings, or by what Python is asked for
_COMMAND = re.compile(r"(\S+=\S+ |eval )*\S*\blakehouse ")
_BLOCK = re.compile(r"^ *```(\w*)[^\n]*\n(.*?)^ *```", re.DOTALL | re.MULTILINE)


def shown(text: str) -> list[list[str]]:
    """The arguments of each `lakehouse` in code blocks of a page, up to what a shell takes for itself."""
    found: list[list[str]] = []
    for language, block in _BLOCK.findall(text):
        if language not in ("sh", "bash", "text", ""):
            continue
        open_line = ""
        for line in block.replace("\\\n", " ").splitlines():
            open_line += line if open_line else line.strip()
            if _COMMAND.match(open_line):
                words = _words(open_line)
                if words is None:  # a quote is open
                    open_line += "\n"
                    continue
                found += _calls(words)
            open_line = ""
    return found


def _words(line: str) -> list[str] | None:
    words = shlex.shlex(line, posix=True, punctuation_chars="|;&<>()")
    words.whitespace_split = True
    try:
        return list(words)
    except ValueError:
        return None


def _calls(words: list[str]) -> Iterator[list[str]]:
    arguments: list[str] | None = None
    for word in [*words, ";"]:
        if word and not word.strip("|;&<>()"):
            # what help says of the usage is no call
            if arguments is not None and not any(each.startswith("[") and each[1:2].isupper() for each in arguments):
                yield arguments
            arguments = None
        elif arguments is not None:
            arguments.append(word)
        elif word.rpartition("/")[2] == "lakehouse":
            arguments = []


def refused(arguments: list[str]) -> str | None:
    """Why the program would not take them; None when it would. Values are not looked at, since files are not there."""
    command: click.Command = cli
    context = click.Context(cli, info_name="lakehouse")
    rest = list(arguments)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(context, rest[0])
        if found is None:
            return f"{rest[0]} is no command"
        command, context, rest = found, click.Context(found, context, info_name=rest[0]), rest[1:]
    try:
        given, over, _ = command.make_parser(context).parse_args(rest)
    except click.UsageError as error:
        return error.message
    if over:
        return f"{over[0]} is one argument too many"
    lacking = [each.name for each in command.get_params(context) if each.required and not given.get(each.name or "")]
    return f"{lacking[0]} is missing" if lacking and not given.get("help") else None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_commands_of_the_pages_are_commands(page: Path) -> None:
    """No page shows a command, an option or an argument that there is not, or leaves out one that must be there."""
    wrong = {" ".join(arguments): why for arguments in shown(page.read_text()) if (why := refused(arguments))}
    assert wrong == {}


def test_a_stale_command_is_caught() -> None:
    """Each kind of mistake is noticed, behind a path, a variable, a pipe and over lines."""
    page = """
```sh
lakehouse reconcile
A=1 .venv/bin/lakehouse up --simulated --devices 20   # a comment that isn't one
lakehouse status --json | lakehouse release 2026-11-20T05
lakehouse replay office.csv \\
    --device office-1
lakehouse verify 3 4
lakehouse sql "select 1 | 2; select 3" > one.txt
lakehouse hub devices make p-1
```
"""
    assert [refused(each) for each in shown(page)] == [
        "reconcile is no command", "No such option '--simulated'.", None, "why is missing", "model is missing",
        "4 is one argument too many", None, "make is no command",
    ]  # fmt: skip
