"""The tutorial: its files are ones that its commands take, its questions have the columns that the page shows.

That each of its commands is one is held by `test_doc_commands`.
"""

import re
from datetime import datetime
from pathlib import Path

import pytest

from lake.models.catalog import known_models
from lake.reading.reader import open_reader
from lake.tables.gold import DEVICE_HOURS
from lakehouse.cli.main import run
from runtime.settings import load_settings
from tests.support.published_lake import gold_row, publish_rows
from tests.unit.test_doc_commands import shown

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "tutorial.md"
NINE = "2025-10-06T09:00:00+00:00"


def blocks() -> list[tuple[str, str]]:
    """The code blocks, each with what stands behind its ```: a language, of a file also its name."""
    return re.findall(r"^```([^\n]*)\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)


def typed(*words: str) -> list[list[str]]:
    """The calls of a command on the page, in their order."""
    calls = [call for kind, text in blocks() if kind == "sh" for call in shown(f"```sh\n{text}```")]
    return [call for call in calls if call[: len(words)] == list(words)]


def is_said(line: str, output: str) -> bool:
    """True where a line of the page is one of the output; `…` stands for anything, spaces for any number of them."""
    pattern = r"\s+".join(re.escape(word).replace("…", ".*") for word in line.split())
    return re.search(rf"^\s*{pattern}\s*$", output, re.MULTILINE) is not None


def shown_beneath(call: list[str]) -> list[str]:
    """The lines that the page shows beneath a command."""
    found = blocks()
    number = next(n for n, (kind, text) in enumerate(found) if kind == "sh" and call in shown(f"```sh\n{text}```"))
    return [line for line in found[number + 1][1].splitlines() if line.strip(" …")]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The reader's folder, with the page's files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path / "home"))
    for kind, text in blocks():
        if "title=" in kind:
            Path(kind.split('"')[1]).write_text(text)
    return tmp_path


def test_the_model_is_added_as_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    """The command takes both files, and prints the lines of the page."""
    (call,) = typed("models", "add")
    assert run(call) == 0
    said = capsys.readouterr().out
    assert [line for line in shown_beneath(call) if not is_said(line, said)] == []
    assert not is_said("Table silver.freezers, one row per message", said)


def test_what_was_recorded_can_be_sent(capsys: pytest.CaptureFixture[str]) -> None:
    """Both recordings fit the model: every row would be sent, every cell is of a telemetry."""
    assert run(typed("models", "add")[0]) == 0
    sent = []
    for call in typed("replay"):
        assert run([*call, "--dry-run"]) == 0
        sent += re.findall(r"^(\d+) rows of 1 device", capsys.readouterr().out, re.MULTILINE)
    assert sent == ["7", "4"]


def test_the_figures_of_the_page_are_those_of_its_recordings() -> None:
    """Mean, maximum and number by hour, of what the model says is possible, from the CSV files alone."""
    (low, high), hours = (-60, 40), dict[str, list[float]]()
    for name in ("morning.csv", "noon.csv"):
        for line in Path(name).read_text().splitlines()[1:]:
            at, value, _ = line.split(",")
            if low <= float(value) <= high:
                hours.setdefault(f"{at[:13]}:00:00Z", []).append(float(value))
    figures = [[at, round(sum(each) / len(each), 6), max(each), len(each)] for at, each in sorted(hours.items())]
    pages = [text for kind, text in blocks() if kind == "text" and text.startswith("hour_at")]
    found = [[row.split() for row in text.splitlines() if row.startswith("2025")] for text in pages]
    rows = [[[at, round(float(mean), 6), float(most), int(count)] for at, mean, most, count in each] for each in found]
    assert rows == [figures[:2], figures]


def test_the_questions_are_ones_that_a_reader_takes() -> None:
    """Each names tables and columns that there are, also the row that is traced."""
    assert run(typed("models", "add")[0]) == 0
    settings = load_settings()
    at = datetime.fromisoformat(NINE)
    publish_rows(settings, {DEVICE_HOURS: [gold_row(DEVICE_HOURS, at, -17.0, device_id="freezer-1")]})
    (traced,) = typed("trace")
    assert traced[1] == DEVICE_HOURS.name
    assert {pair.partition("=")[0] for pair in traced[2:]} <= set(DEVICE_HOURS.column_names)
    with open_reader(settings, known_models(settings)) as reader:
        for call in typed("sql"):
            if DEVICE_HOURS.name in call[1]:
                (statement,) = reader.statements(call[1])
                assert reader.run(statement).fetchall(), call
