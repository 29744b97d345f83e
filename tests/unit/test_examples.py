"""Examples in the pages and the notebook work as they stand there."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lake.models.catalog import BUILT_IN_MODELS, load_models
from lake.reading.reader import open_reader
from lake.storage.duckdb_connection import connect
from tests.support.published_lake import publish_three_days

PROJECT = Path(__file__).resolve().parents[2]
GUIDE = PROJECT / "docs" / "guide"


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page in one language, without the indent of the list that they stand in."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", page.read_text(), re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a home of three published days, in which commands and scripts run."""
    publish_three_days(tmp_path / ".lakehouse")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_the_page_on_python_runs() -> None:
    """Its blocks run one after the other, and their results are as the page says; those for Spark run elsewhere."""
    names: dict[str, Any] = {}
    ours = [block for block in blocks(GUIDE / "python.md", "python") if "pyspark" not in block]
    assert len(ours) == 4
    for block in ours:
        exec(block, names)
    assert (len(names["frame"]), names["table"].num_rows) == (46, 46)
    assert names["missing"] == [("thermostat-0001", 120)]
    assert list(names["points"]["is_filled"]).count(True) == 2


def test_the_recipe_for_plain_duckdb_runs(folder: Path) -> None:
    """The publication's version is found and read by SQL alone; the extension comes from where it is installed here."""
    (sql,) = blocks(GUIDE / "python.md", "sql")
    settings = publish_three_days(folder / "other")
    with connect(settings) as connection:
        rows = connection.execute(sql.partition("LOAD delta;")[2]).fetchall()
    assert [device for device, _ in rows] == ["thermostat-0001"]


def test_the_page_on_sql_runs(folder: Path) -> None:
    """Each question of the page is one that a reader takes, and has an answer."""
    models = load_models([BUILT_IN_MODELS])
    settings = publish_three_days(folder / "other")
    questions = blocks(GUIDE / "sql.md", "sql")
    assert len(questions) == 7
    with open_reader(settings, models) as reader:
        for question in questions:
            (statement,) = reader.statements(question)
            assert reader.run(statement).fetchall(), question


@pytest.mark.usefixtures("folder")
def test_the_notebook_runs() -> None:
    """Its cells run from the first to the last."""
    notebook = json.loads((GUIDE / "reading.ipynb").read_text())
    names: dict[str, Any] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    assert int(names["filled"]["is_filled"].sum()) == 2
    assert names["missing"]["missing_count"].sum() == 120


def test_the_model_of_the_readme_can_be_added(tmp_path: Path) -> None:
    """README's Interface and quality file are a model, its table is the one that README names."""
    model, quality = blocks(PROJECT / "README.md", "json")
    (tmp_path / "office.json").write_text(model)
    (tmp_path / "office.quality.json").write_text(quality)
    (office,) = load_models([tmp_path]).values()
    assert office.table == "silver.offices"
    assert office.quality.reporting_interval_s == 3600
    assert [each.column for each in office.telemetry][:1] == ["temperature_degf"]
