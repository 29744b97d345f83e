"""Names of long files: what of them is which telemetry, and what two of them may say of one."""

from pathlib import Path

import pytest

from runtime.errors import UsageError
from tests.support.recordings import messages_of, replayer_of, written

PIVOT = ("name", "value")
BOTH = {"a": "temperature", "b": "temperature"}


@pytest.mark.parametrize(
    ("rows", "values", "refused"),
    [
        # rows of a time may stand together, or the rows of a name
        (["01 a 1", "01 b 2", "02 b 3"], ["1", "3"], [(3, "temperature is 2 by the name 'b', and 1 by 'a' in line 2")]),
        (
            ["01 a 1", "02 a 2", "01 b 1", "02 b 3", "03 b 4"],
            ["1", "2", "1", "4"],
            [(5, "temperature is 3 by the name 'b', and 2 by 'a' in line 3")],
        ),
        # a name that another one took the place of
        (["01 a 1", "02 a 2", "03 b 3"], ["1", "2", "3"], []),
        (["01 a 20", "01 b 20.0"], ["20", "20"], []),
        # one name with two values is a conflict, as it is in every file
        (["01 a 1", "01 a 2"], ["1", "2"], []),
    ],
)
def test_two_names_of_one_telemetry_do_not_contradict(
    tmp_path: Path, rows: list[str], values: list[str], refused: list[tuple[int, str]]
) -> None:
    """Where both have a value at one time and nothing says which is right, the row of the second is refused."""
    lines = "".join(f"2025-01-{','.join(row.split())}\n" for row in rows)
    path = written(tmp_path, "a.csv", f"time,name,value\n{lines}")
    sent = [each.value for each in messages_of(path, pivot=PIVOT, columns=BOTH)]
    assert sent == [f'{{"temperature":{value}}}'.encode() for value in values]
    assert replayer_of(path, pivot=PIVOT, columns=BOTH).check.refusals == refused


def test_names_of_other_devices_contradict_nothing(tmp_path: Path) -> None:
    """The same time of two devices is two readings."""
    path = written(tmp_path, "a.csv", "time,unit,name,value\n2025-01-01,x,a,1\n2025-01-01,y,b,2\n")
    replayer = replayer_of(path, device_column="unit", pivot=PIVOT, columns=BOTH)
    assert (replayer.check.rows, replayer.check.refused) == (2, 0)


def test_a_name_that_is_mapped_takes_the_place_of_the_telemetrys_own(tmp_path: Path) -> None:
    """As a mapped column does; rows of the telemetry's own name are counted as others, unless it is mapped, too."""
    path = written(tmp_path, "a.csv", "time,name,value\n2025-01-01,a,1\n2025-01-02,temperature,2\n")
    replayer = replayer_of(path, pivot=PIVOT, columns={"a": "temperature"})
    assert [each.value for row in replayer.rows() for each in row] == [b'{"temperature":1}']
    assert replayer.unused_names == {"temperature": 1}
    both = {"a": "temperature", "temperature": "temperature"}
    assert replayer_of(path, pivot=PIVOT, columns=both).check.rows == 2


def test_only_is_all_that_is_sent(tmp_path: Path) -> None:
    """Of columns, and of the names of a long file; what is not there is wrong usage."""
    wide = written(tmp_path, "a.csv", "timestamp,t,humidity\n2025-03-01T00:00:00Z,20,40\n2025-03-01T00:01:00Z,21,\n")
    sent = replayer_of(wide, columns={"t": "temperature"}, only=("humidity",))
    assert [each.value for row in sent.rows() for each in row] == [b'{"humidity":40}']
    assert sent.unused_columns == ("t",)
    assert sent.check.valueless == 1
    text = "timestamp,n,v\n2025-03-01T00:00:00Z,temperature,20\n2025-03-01T00:00:00Z,humidity,40\n"
    long = replayer_of(written(tmp_path, "b.csv", text), pivot=("n", "v"), only=("humidity",))
    assert [each.value for row in long.rows() for each in row] == [b'{"humidity":40}']
    assert long.unused_names == {"temperature": 1}
    with pytest.raises(UsageError, match="no telemetry 'humid': did you mean 'humidity'"):
        replayer_of(wide, only=("humid",))
    with pytest.raises(UsageError, match=r"No column of a\.csv is temperature: see --map, --only"):
        replayer_of(wide, only=("temperature",))


def test_spaces_around_a_name_are_not_of_it(tmp_path: Path) -> None:
    """Nor in an option, nor in the cell that names a row's telemetry, as they are not in a first line; a column that
    has them where names are kept as they are is found by its very name."""
    wide = written(tmp_path, "a.csv", "at, unit , t\n2025-01-01,x,20\n")
    given = {
        "columns": {" t ": " temperature "},
        "time_column": "at ",
        "device_column": " unit",
        "only": ("temperature ",),
    }
    assert [(each.key, each.value) for each in messages_of(wide, **given)] == [(b"x", b'{"temperature":20}')]
    long = written(tmp_path, "b.csv", "time, name, value\n2025-01-01, a ,20\n2025-01-02, humidity,40\n")
    replayer = replayer_of(long, pivot=(" name", "value "), columns={"a ": "temperature"})
    assert [each.value for row in replayer.rows() for each in row] == [b'{"temperature":20}', b'{"humidity":40}']
    assert replayer.unused_names == {}
    typed = written(tmp_path, "c.jsonl", '{"time":"2025-01-01","t ":20,"t":21}\n')
    assert [each.value for each in messages_of(typed, columns={"t ": "temperature"})] == [b'{"temperature":20}']
    with pytest.raises(UsageError, match="'t' is mapped twice"):
        messages_of(wide, columns={"t": "temperature", "t ": "humidity"}, time_column="at")
