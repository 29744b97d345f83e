"""The docs say what the declarations say."""

from pathlib import Path

from lake.reference import tables_markdown
from lakehouse.cli.commands_page import commands_markdown
from runtime.settings import settings_markdown
from tests.faults.catalogue import cases, faults_markdown
from transforms.reasons import MEANINGS, Reason

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_page_of_tables_is_made_from_the_declarations() -> None:
    """docs/reference/tables.md is what `python -m lake.reference` prints now."""
    assert (DOCS / "reference" / "tables.md").read_text() == tables_markdown(), (
        "run: python -m lake.reference > docs/reference/tables.md"
    )


def test_the_page_of_settings_is_made_from_their_declarations() -> None:
    """docs/reference/settings.md is what `python -m runtime.settings` prints now."""
    assert (DOCS / "reference" / "settings.md").read_text() == settings_markdown(), (
        "run: python -m runtime.settings > docs/reference/settings.md"
    )


def test_the_page_of_commands_is_made_from_the_commands() -> None:
    """docs/reference/commands.md is what `python -m lakehouse.cli.commands_page` prints now."""
    assert (DOCS / "reference" / "commands.md").read_text() == commands_markdown(), (
        "run: python -m lakehouse.cli.commands_page > docs/reference/commands.md"
    )


def test_every_reason_is_explained() -> None:
    """docs/guide/messages.md lists each reason of silver.rejected with its meaning, in the order of judging."""
    lines = (DOCS / "guide" / "messages.md").read_text().splitlines()
    rows = [f"| `{reason.value}` | {MEANINGS[reason]} |" for reason in Reason]
    assert [line for line in lines if line in rows] == rows


def test_the_page_of_faults_is_made_from_the_cases() -> None:
    """docs/dev/faults.md is what `python -m tests.faults.catalogue` prints now."""
    made = faults_markdown()
    assert (DOCS / "dev" / "faults.md").read_text() == made, (
        "run: python -m tests.faults.catalogue > docs/dev/faults.md"
    )


def test_every_fault_has_a_name_of_its_own() -> None:
    """A case is found by its name."""
    names = [case.name for _, ours in cases() for case in ours]
    assert len(set(names)) == len(names) > 0
