"""Links between the pages, and from README, lead somewhere."""

import re
from pathlib import Path

import pytest

from tests.unit.test_rooms import MAY_IMPORT

PROJECT = Path(__file__).resolve().parents[2]
PAGES = [*sorted((PROJECT / "docs").rglob("*.md")), *sorted(PROJECT.glob("*.md"))]
_LINK = re.compile(r"\]\(([^()\s]+)\)")
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


def anchor(heading: str) -> str:
    """What a heading's link ends in, as the site makes it."""
    plain = re.sub(r"[^\w\s-]", "", heading.replace("`", "").strip().lower())
    return re.sub(r"[\s]+", "-", plain)


def broken_links(page: Path, text: str) -> list[str]:
    """Links of a page to files or headings that are not there; those to other sites are not looked at."""
    broken = []
    for target in _LINK.findall(_CODE.sub("", text)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, heading = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists():
            broken.append(target)
        elif heading and there.suffix == ".md":
            headings = re.findall(r"^#+ (.*)$", there.read_text(), re.MULTILINE)
            if heading not in map(anchor, headings):
                broken.append(target)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(PROJECT).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    """Files and headings that a page links to exist; pages of the site link to nothing outside of it."""
    text = page.read_text()
    assert broken_links(page, text) == []
    if "docs" in page.parts:
        outside = [target for target in _LINK.findall(_CODE.sub("", text)) if (PROJECT / "docs") not in
                   (page.parent / target.partition("#")[0]).resolve().parents and ":" not in target]  # fmt: skip
        assert [target for target in outside if not target.startswith("#")] == []


def test_a_broken_link_is_caught(tmp_path: Path) -> None:
    """The check sees a file and a heading that are not there, and leaves code and other sites alone."""
    page = tmp_path / "page.md"
    page.write_text("# What holds\n")
    text = "[a](b.md) [b](page.md#what-holds) [c](page.md#else) `[d](e.md)` [f](https://example.org) [g](#what-holds)"
    assert broken_links(page, text) == ["b.md", "page.md#else"]


def missing_paths(text: str) -> list[str]:
    """Files and folders of the project that a page names in code and that are not there."""
    named = re.findall(r"`([a-z_]+/[\w./-]*[\w/])`", text)
    rooms = {path.name for path in PROJECT.iterdir()}
    return [name for name in named if name.split("/")[0] in rooms and not (PROJECT / name).exists()]


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if "decisions" in page.parts or "dev" in page.parts or page.name == "CONTRIBUTING.md"],
    ids=lambda page: page.relative_to(PROJECT).as_posix(),
)
def test_every_file_that_is_named_is_there(page: Path) -> None:
    """A page for contributors names no file that was moved or deleted."""
    assert missing_paths(page.read_text()) == []


def test_a_missing_file_is_caught() -> None:
    """The check sees a module that is not there, and takes no other words in code for one."""
    assert missing_paths("`lake/slices.py` `lake/nothing.py` `docs/` `text/html` `lakehouse demo`") == [
        "lake/nothing.py"
    ]


def test_decisions_that_code_names_are_there() -> None:
    """A comment that gives a decision instead of a figure names one that exists, and the list has every one."""
    decisions = PROJECT / "docs" / "decisions"
    written = {path.name[:3] for path in decisions.glob("[0-9]*.md")}
    sources = [path for room in MAY_IMPORT for path in (PROJECT / room).rglob("*.py")]
    named = {number for path in sources for number in re.findall(r"docs/decisions/(\d+)", path.read_text())}
    assert named
    assert named <= written
    assert set(re.findall(r"\((\d+)-", (decisions / "index.md").read_text())) == written
