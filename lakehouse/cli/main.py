"""The `lakehouse` command group: finding a command's module when it is asked for, and how errors end.

Belongs here: the list of commands, what becomes of errors and interruptions, exit codes. What a command does stands in
its own module, which is imported when the command runs, so that a short answer comes in a short time.
"""

import errno
import importlib
import sys
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

import click

from lakehouse.cli.given_files import file_of
from lakehouse.cli.standard_streams import checked_arguments, prepare_streams, run_in_utf8
from runtime.collector import collect_seldom, leave_to_the_system
from runtime.errors import LakehouseError

INTERRUPTED = 130
# what a disk, a path or a right lacks is nothing that the program could have done better
_OF_THE_MACHINE = frozenset(
    (
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EROFS,
        errno.EACCES,
        errno.EPERM,
        errno.ENAMETOOLONG,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EIO,
        errno.EFBIG,
        errno.ELOOP,
        errno.ENXIO,
        errno.ESTALE,
    )
)

# name -> module and function, in the order in which help lists them; what a function returns is the exit code
COMMANDS = {
    "demo": "demo:demo",
    "up": "up:up",
    "down": "up:down",
    "simulate": "simulate:simulate",
    "replay": "replay:replay",
    "models": "models:models",
    "sites": "sites:sites",
    "ingest": "ingest:ingest",
    "refresh": "refresh:refresh",
    "backfill": "backfill:backfill",
    "release": "release:release",
    "rules": "rules:rules",
    "actions": "actions:actions",
    "queues": "queues:queues",
    "functions": "functions:functions",
    "ml": "ml:ml",
    "hub": "hub:hub",
    "keys": "keys:keys",
    "sharing": "sharing:sharing",
    "report": "report:report",
    "status": "status:status",
    "missing": "missing:missing",
    "trace": "trace:trace",
    "verify": "verify:verify",
    "sql": "sql:sql",
    "cluster": "cluster:cluster",
    "upkeep": "upkeep:upkeep",
    "upgrade": "upgrade:upgrade",
    "erase": "erase:erase",
    "doctor": "doctor:doctor",
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are looked at."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in their order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; None when there is none."""
        if cmd_name not in COMMANDS:
            return None
        module, function = COMMANDS[cmd_name].split(":")
        command: click.Command = getattr(importlib.import_module(f"lakehouse.cli.commands.{module}"), function)
        return command


def _print_version(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        from lake.code_version import code_version

        click.echo(code_version())
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Print the version."
)
def cli() -> None:
    """A lakehouse of devices' readings: what did a device measure, and can that figure be trusted?

    All of its state is in the folder .lakehouse here, or in LAKEHOUSE_HOME.

    \b
    Examples:
      lakehouse demo
      lakehouse status
      lakehouse sql "select * from gold.device_latest limit 5"
    """


def main() -> None:
    """The entry point of the program."""
    run_in_utf8()
    prepare_streams()
    sys.excepthook = report_defect
    collect_seldom()
    code = run(sys.argv[1:])
    leave_to_the_system()
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run the command line; returns its exit code: 0 done, 1 failed, 2 wrong usage, 3 something is held.

    An error of the project's own ends as one sentence on stderr, and so does what a file or the machine refuses, a file
    that was asked for above all; any other exception is a defect and passes through.
    """
    try:
        code = cli.main(checked_arguments(arguments), prog_name="lakehouse", standalone_mode=False)
        sys.stdout.flush()
    except LakehouseError as error:
        click.echo(f"Error: {error}", err=True)
        return error.exit_code
    except OSError as error:
        if error.errno not in _OF_THE_MACHINE and (error.filename is None or str(error.filename) not in arguments):
            raise
        name = file_of(error)[:200]
        where = f"{name}: " if name else ""
        click.echo(f"Error: {where}{error.strerror}.", err=True)
        return LakehouseError.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return INTERRUPTED
    return code if isinstance(code, int) else 0


def report_defect(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """For `sys.excepthook`: one line, and the whole trace in the log folder (on stderr if that cannot be written)."""
    text = "".join(traceback.format_exception(kind, error, trace))
    summary = (str(error).splitlines() or [""])[0][:200]
    try:
        place = f"the trace is in {_write_trace(text)}"
    except (OSError, LakehouseError):
        place = f"the trace is:\n{text}"
    click.echo(f"Error: this is a defect of lakehouse ({kind.__name__}: {summary}); {place}", err=True)


def _write_trace(text: str) -> Path:
    from runtime.private_files import ensure_home
    from runtime.settings import load_settings

    settings = load_settings()
    ensure_home(settings)
    folder = settings.log_folder
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"defect-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.log"
    path.write_text(f"{' '.join(sys.argv)}\n{text}", encoding="utf-8", errors="backslashreplace")
    return path
