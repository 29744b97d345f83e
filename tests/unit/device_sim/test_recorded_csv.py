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
        # a delimiter ends the last cell of each row
        ("time,temperature\n2025-01-10,1,\n2025-01-11,2,\n", ["1", "2"], []),
        # of some rows only: it may as well be a decimal comma before a value that is lacking
        (
            "time,temperature,humidity\n2025-01-10,1,2\n2025-01-11,21,5,\n2025-01-12,2,\n",
            ["1", "2"],
            [(3, "4 cells under 3 names: only some rows end with a delimiter")],
        ),
        (
            "time,temperature,humidity\n2025-01-11,21,5,\n2025-01-12,2,\n",
            ["2"],
            [(2, "4 cells under 3 names: only some rows end with a delimiter")],
        ),
        # a cell that is lacking before the delimiter that ends each row
        (
            "time,temperature,humidity,\n2025-01-11,43,\n2025-01-12,2,44,\n",
            ["2"],
            [(2, "2 cells under 3 names, and the delimiter that ends a row")],
        ),
        # rows that no delimiter ends, below names that one ends
        ("time,temperature,humidity,\n2025-01-11,1,\n2025-01-12,2,44\n", ["1", "2"], []),
        ("time,temperature,\n2025-01-10,1,\n2025-01-11,2\n", ["1", "2"], []),
        ("time,temperature,\n2025-01-10,1,2\n2025-01-11,2\n", ["2"], [(2, "3 cells under 2 names")]),
        # lines of nothing but delimiters, as spreadsheets write them, are no rows
        ("time,temperature\n2025-01-10,1\n,\n,\n", ["1"], []),
        # one cell, one name
        ("time,temperature\n2025-01-10,1\n(1 row)\n", ["1"], [(3, "1 cell under 2 names")]),
        # spaces around names; Excel's own first line, which is none of names
        ("time, temperature ,x\n2025-01-10, 1,2\n", ["1"], []),
        ("sep=;\r\ntime;temperature\r\n2025-01-10;1\r\n2025-01-11;1;5\r\n", ["1"], [(4, "3 cells under 2 names")]),
        ('\ufeff"sep=,"\ntime,a;b;c,temperature\n2025-01-10,x,1\n', ["1"], []),
        # the names once more, where files with the same names were put together
        ("time,temperature\n2025-01-10,1\n\ufefftime, temperature\n2025-01-11,2\n", ["1", "2"], []),
        # a row that runs on into a text which holds no names
        (
            "time,temperature,note\n2025-01-10,1,a\n2025-01-11,2,last time,3,b\n",
            ["1"],
            [(3, "5 cells under 3 names")],
        ),
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
        (
            'time,note,temperature,\n2025-01-10,"x,1,\n2025-01-11,a,2,\n2025-01-12,y",3,\n2025-01-13,z,4,\n',
            ["4"],
            [(2, "a quoted cell holds whole rows, up to line 4")],
        ),
        # a line break in the first cell of a row, and in the first name, holds none
        ('temperature,time\n1,2025-01-10\n"2\n",2025-01-11\n', ["1", "2"], []),
        ('"note\n(free)",time,temperature\nx,2025-01-10,1\n', ["1"], []),
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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('time,temperature,"note\n2025-03-01,1,"x"\n2025-03-02,2,y\n', "quote in line 1 is never closed"),
        ('time,temperature,"note\n2025-03-01,1,x\n2025-03-02,2,y\n', "quote in line 1 is never closed"),
        ('time,"temperature\n2025-03-01,1\n2025-03-02,2\n', "quote in line 1 is never closed"),
        ('time,temperature,"note\n2025-03-01,1,x"\n2025-03-02,2,y\n', "whole rows, up to line 2. Close its quote"),
        ('"note\n(free)",time,"temperature\nx,2025-03-01,1"\ny,2025-03-02,2\n', "whole rows, up to line 3"),
        ('time,temperature,"n,o\n2025-03-01,1,a,x"\n2025-03-02,2,y,z\n', "line 3: 4 cells under 3 names"),
    ],
)
def test_an_open_quote_among_the_names_refuses_the_file(tmp_path: Path, text: str, said: str) -> None:
    """Rows that a name has swallowed are never lost in silence."""
    with pytest.raises(InputError, match=said):
        replayer_of(written(tmp_path, "a.csv", text))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("humidity,time,temperature\n2025-01-11,51,21\n", "Line 3 of a.csv names columns again, and not as the first"),
        ("time,humidity,temperature\n2025-01-11,51,21\n", "Line 3 of a.csv names columns again"),
        ("\ufefftime,humidity,temperature\n2025-01-11,51,21\n", "Line 3 of a.csv names columns again"),
        ("time,pressure,humidity\n2025-01-11,5,51\n", "Line 3 of a.csv names columns again"),
        ("ts,humidity,temperature\n2025-01-11,51,21\n", "Line 3 of a.csv names columns again"),
        ("2025-01-11,21,51time,humidity,temperature\n2025-01-12,52,22\n", "line 3 runs on into the names"),
        ("2025-01-11,21,\ufefftime,humidity,temperature\n2025-01-12,52,22\n", "line 3 runs on into the names"),
    ],
)
def test_names_within_a_file_that_are_not_those_of_its_first_line_refuse_it(
    tmp_path: Path, text: str, said: str
) -> None:
    """Of files put together the later ones are not read under the names of the first."""
    with pytest.raises(InputError, match=f"{said}.*Nothing was sent"):
        replayer_of(written(tmp_path, "a.csv", f"time,temperature,humidity\n2025-01-10,20,50\n{text}"))


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ('"21"5', '"\\"21\\"5"'),
        ('""5', '"\\"\\"5"'),
        ('"2""1"5', '"\\"2\\"\\"1\\"5"'),
        ('"21" ', "21"),
        ('"21"', "21"),
        ('2"1', '"2\\"1"'),
    ],
)
def test_text_behind_a_closing_quote_makes_no_other_number(tmp_path: Path, cell: str, value: str) -> None:
    """The cell is sent as it stands, to be refused for its type, and the cells around it as ever; blanks are none."""
    for end in ("\n", "\r\n", ""):
        text = f'time,note,temperature,humidity\n2025-01-10,"a, ""b""",{cell},"4{0}"{end}'
        (message,) = messages_of(written(tmp_path, "a.csv", text))
        assert message.value == f'{{"temperature":{value},"humidity":40}}'.encode()


def test_a_name_of_many_megabytes_is_an_open_quote(tmp_path: Path) -> None:
    """What cannot be read as names is a sentence, as it is in rows."""
    text = 'time,temperature,"note\n' + "2025-03-01,1,x\n" * 1_200_000
    with pytest.raises(InputError, match="a cell that begins in line 1 is never closed"):
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
