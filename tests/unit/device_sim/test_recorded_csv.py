"""CSV rows: a value stands below its name, or the row is refused with its line."""

from pathlib import Path

import pytest

from runtime.errors import InputError, UsageError
from tests.support.recordings import messages_of, replayer_of, written


@pytest.mark.parametrize(
    ("text", "values", "refused"),
    [
        # a decimal comma in a file with commas
        ("time,temperature\n2025-01-10,21,0\n2025-01-11,21.5\n", ["21.5"], [(2, "3 cells under 2 names")]),
        # a comma in a text without quotes
        (
            "time,note,temperature\n2025-01-10,ok,21.5\n2025-01-11,too high: 3,5,21.6\n2025-01-12,ok,21.7\n",
            ["21.5", "21.7"],
            [(3, "4 cells under 3 names")],
        ),
        # cells that are lacking in the middle
        (
            "time;temperature;humidity;x;y\n2025-04-01;22.6;42.9;934;36\n2025-04-02;934;36\n",
            ["22.6"],
            [(3, "3 cells under 5 names")],
        ),
        # lines are counted as an editor counts them
        (
            'time,note,temperature\n2025-01-10,"two\nlines",1\n\n2025-01-11,2\n2025-01-12,x,3\n',
            ["1", "3"],
            [(5, "2 cells under 3 names")],
        ),
        # a delimiter ends the last cell
        ("time,temperature\n2025-01-10,1,\n2025-01-11,2\n", ["1", "2"], []),
        ("time,temperature,\n2025-01-10,1,\n2025-01-11,2\n", ["1", "2"], []),
        ("time,temperature,\n2025-01-10,1,2\n2025-01-11,2\n", ["2"], [(2, "3 cells under 2 names")]),
        # lines of nothing but delimiters, as spreadsheets write them, are no rows
        ("time,temperature\n2025-01-10,1\n,\n,\n", ["1"], []),
        # a quote that is written as people write it shifts nothing
        ('time,note,temperature\n2025-01-10,"5" pipe,1\n2025-01-11,6" pipe,2\n', ["1", "2"], []),
        # the delimiter within a quoted name is none
        ('"time; local",temperature\n2025-01-10,1\n', ["1"], []),
        # a quote that another one far below closes has swallowed whole rows
        (
            'time,note,temperature\n2025-01-10,"x,1\n2025-01-11,a,2\n2025-01-12,y",3\n2025-01-13,z,4\n',
            ["4"],
            [(2, "a quoted cell holds whole rows, up to line 4")],
        ),
    ],
)
def test_cells_that_do_not_fit_refuse_their_row(
    tmp_path: Path, text: str, values: list[str], refused: list[tuple[int, str]]
) -> None:
    """The rows that fit are sent as they are; each other one is named with its line."""
    time_column = "time; local" if "local" in text else "time"
    path = written(tmp_path, "a.csv", text)
    sent = [each.value.decode() for each in messages_of(path, time_column=time_column)]
    assert [each.split('"temperature":')[1].split(",")[0].rstrip("}") for each in sent] == values
    check = replayer_of(path, time_column=time_column).check
    assert (check.rows, check.refused, check.refusals) == (len(values), len(refused), refused)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('time,temperature,note\n2025-04-01,20,"5" pipe\n2025-04-02,21,ok\n2025-04-03,22,"x\n2025-04-04,23,ok\n', 4),
        ('time,temperature,note\n2025-04-01,20,ok\n2025-04-02,21,"x', 3),
        ('time,temperature,note\n2025-04-01,20,"x\n2025-04-02,21,"y"\n2025-04-03,22,ok\n', 2),
        ('time,temperature,note\n2025-04-01,20,"a\nb"\n2025-04-02,"21,x\n2025-04-03,22,ok\n', 4),
    ],
)
def test_an_open_quote_refuses_the_file(tmp_path: Path, text: str, line: int) -> None:
    """Behind a quote that is never closed no cell can be told from another, so nothing is sent."""
    with pytest.raises(InputError, match=f"quote in line {line} is never closed"):
        replayer_of(written(tmp_path, "a.csv", text))


def test_a_file_of_which_no_row_fits_is_refused(tmp_path: Path) -> None:
    """Names that lack a column (as R writes them) leave nothing to send."""
    with pytest.raises(InputError, match=r"line 2: 3 cells under 2 names.*Nothing was sent"):
        replayer_of(written(tmp_path, "a.csv", "time,temperature\n1,2025-01-10,21\n2,2025-01-11,22\n"))


def test_utf_16_is_named(tmp_path: Path) -> None:
    """What a spreadsheet calls Unicode text is one sentence."""
    for encoding in ("utf-16", "utf-16-le"):
        path = tmp_path / "a.csv"
        path.write_bytes("time,temperature\n2025-01-10,1\n".encode(encoding))
        with pytest.raises(UsageError, match="UTF-16: save it as UTF-8"):
            replayer_of(path)
