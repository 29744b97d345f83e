"""The reference of all commands as Markdown, made from the commands themselves.

Belongs here: rendering help into docs/reference/commands.md. What help says stands with each command.

    python -m lakehouse.cli.commands_page > docs/reference/commands.md
"""

import inspect
from collections.abc import Iterator

import click

from lakehouse.cli.main import cli

_HEADER = """# Commands

Made from the commands by `python -m lakehouse.cli.commands_page`; change those, not this page.
`lakehouse COMMAND --help` says the same.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done but something is held.
"""


def commands_markdown() -> str:
    """docs/reference/commands.md: every command with its arguments, options and examples."""
    return "\n".join([_HEADER, *_sections(cli, "lakehouse")])


def _sections(group: click.Group, path: str) -> Iterator[str]:
    context = click.Context(group, info_name=path, max_content_width=100, terminal_width=100)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        yield _section(command, f"{path} {name}")
        if isinstance(command, click.Group):
            yield from _sections(command, f"{path} {name}")


def _section(command: click.Command, path: str) -> str:
    context = click.Context(command, info_name=path)
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    words, _, examples = inspect.cleandoc(command.help or "").partition("\b\n")
    parts = [f"## {path}", f"```text\n{usage}\n```", words.strip()]
    options = [_row(parameter, context) for parameter in command.get_params(context)]
    rows = [row for row in options if row]
    if rows:
        parts.append("\n".join(["| option | meaning |", "| --- | --- |", *rows]))
    if examples:
        _, _, lines = examples.partition("\n")
        parts.append(f"```sh\n{inspect.cleandoc(lines)}\n```")
    return "\n\n".join(parts) + "\n"


def _row(parameter: click.Parameter, context: click.Context) -> str | None:
    record = parameter.get_help_record(context)
    if record is None or not isinstance(parameter, click.Option) or "--help" in parameter.opts:
        return None
    names, says = record
    return f"| `{names.replace('|', '/')}` | {' '.join(says.split()).replace('|', '/')} |"


if __name__ == "__main__":
    print(commands_markdown(), end="")
