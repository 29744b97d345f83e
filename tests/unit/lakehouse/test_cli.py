"""The `lakehouse` command itself: every command is documented, help is quick, and errors end as they should."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from lakehouse.cli import main as main_function
from lakehouse.cli.main import cli, report_defect, run

ROOT = Path(__file__).resolve().parents[3]
COMMAND = [sys.executable, "-c", "from lakehouse.cli import main; main()"]
DOCS = "\n".join(page.read_text() for page in [ROOT / "README.md", *sorted((ROOT / "docs" / "guide").glob("*.md"))])


def commands(group: click.Group = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command of the group with its path, groups too."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, f"{name} is listed and cannot be found"
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home of its own."""
    for name in [name for name in os.environ if name.startswith("LAKEHOUSE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path / "home"


@pytest.mark.parametrize("path", [path for path, _ in commands()], ids=" ".join)
def test_every_command_is_documented(path: tuple[str, ...]) -> None:
    """Each has help with an example of itself, a summary in its group's help, and stands in the docs."""
    text = " ".join(path)
    result = CliRunner().invoke(cli, [*path, "--help"])
    assert result.exit_code == 0
    examples = result.output.partition("Example")[2]
    assert f"lakehouse {text}" in examples
    assert undocumented(text, DOCS) is None


def undocumented(text: str, docs: str) -> str | None:
    """The command, unless a line of the docs names it; a subcommand may follow its group on the line."""
    first, *rest = text.split()
    lines = [line for line in docs.splitlines() if f"lakehouse {first}" in line]
    return None if any(all(word in line for word in rest) for line in lines) else text


def test_an_undocumented_command_is_caught() -> None:
    """The check above fails on a command, or a subcommand, that no line names."""
    docs = "`lakehouse models add`, `list`\n`lakehouse up`"
    assert [undocumented(text, docs) for text in ("up", "models list", "models show", "down")] == [
        None, None, "models show", "down",
    ]  # fmt: skip


def test_help_lists_every_command_without_heavy_imports() -> None:
    """`lakehouse --help` has a line a command and imports nothing that takes long."""
    code = (
        "import sys; from lakehouse.cli.main import run; run(['--help'])\n"
        "heavy = {'pyspark', 'dagster', 'pandas', 'numpy', 'pyarrow', 'duckdb', 'deltalake', 'great_expectations',"
        " 'matplotlib', 'confluent_kafka', 's3fs', 'rich', 'psutil'}\n"
        "print('imported', sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "imported []"
    for (name, *rest), _ in commands():
        assert rest or f"\n  {name} " in result.stdout


def test_errors_are_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """An error of ours is its message on stderr and its exit code; wrong usage is 2."""
    assert run(["models", "show", "dtmi:x:nothing;1"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Error: dtmi:x:nothing;1 is not a device model")
    assert err.count("\n") == 1
    assert run(["nonsense"]) == 2
    assert run(["status", "--nonsense"]) == 2
    assert "No such option" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["sql", "select 1"], ["report", "preview", "weekly"]])
def test_a_result_for_a_folder_that_is_not_there(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    """The folder is named before anything is asked, and it is wrong usage, no defect."""
    assert run([*command, "--output", str(tmp_path / "none" / "result.csv")]) == 2
    assert f"There is no folder '{tmp_path / 'none'}'" in capsys.readouterr().err
    assert not home.exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["sql", "select 1", "--output", "/proc/result.csv"], "Error: /proc/result.csv: No such file or directory."),
        (["sql", "--file", "/proc/self/mem"], "Error: /proc/self/mem: Input/output error."),
        (["models", "add", "/proc/self/mem"], "Error: /proc/self/mem: Input/output error."),
    ],
)
def test_a_file_that_the_system_refuses_is_no_defect(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    """What the system says of it, in one sentence; for a file that nobody asked for it would be a defect."""
    assert run(arguments) == 1
    assert capsys.readouterr().err == f"{says}\n"


def test_a_setting_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Settings are read by the command, so what is wrong with them ends like any other error."""
    monkeypatch.setenv("LAKEHOUSE_SPARK", "yarn")
    assert run(["status"]) == 2
    assert capsys.readouterr().err.startswith("Error: LAKEHOUSE_SPARK is 'yarn'")


def test_a_defect_is_one_line_and_a_log(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An exception that is not ours is called a defect, and its trace is where the line says."""
    try:
        _ = 1 // 0
    except ZeroDivisionError as error:
        report_defect(type(error), error, error.__traceback__)
    err = capsys.readouterr().err
    assert "this is a defect of lakehouse (ZeroDivisionError" in err
    assert err.count("\n") == 1
    [log] = (home / "logs").glob("defect-*.log")
    assert str(log) in err
    assert "_ = 1 // 0" in log.read_text()


def test_a_defect_reaches_the_log_from_the_command(home: Path) -> None:
    """`main` installs that for the program."""
    code = (
        "import sys; from lakehouse.cli.main import COMMANDS, main\n"
        "COMMANDS['status'] = 'nowhere:nothing'; sys.argv = ['lakehouse', 'status']; main()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 1
    assert "this is a defect of lakehouse (ModuleNotFoundError" in result.stderr
    assert len(list((home / "logs").iterdir())) == 1


def test_ctrl_c_ends_with_130() -> None:
    """An interrupted command says so shortly."""
    with subprocess.Popen(
        [*COMMAND, "sql"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        # more than a pipe holds: when all of it is written the command is reading
        process.stdin.write("select 1;\n" * 20_000)
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.strip() == "Interrupted."


def test_a_reader_that_stops_is_no_failure() -> None:
    """`lakehouse … | head -1` ends well and quietly."""
    pipe = ["bash", "-c", 'set -o pipefail; "$@" | head -1', "bash"]
    sql = [*COMMAND, "sql", "select range from range(300000)", "--format", "csv"]
    result = subprocess.run([*pipe, *sql], capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "range\n", "")


def test_main_is_what_the_package_exports() -> None:
    """The entry point of pyproject.toml is there."""
    assert callable(main_function)
    assert 'lakehouse = "lakehouse.cli:main"' in (ROOT / "pyproject.toml").read_text()
