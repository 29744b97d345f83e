"""Keys, headers and times of many records at once are what the rules say of each."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from ingestion.kafka_records import moments_of, texts_of
from wire.times import micros_of_rfc3339

_MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30))
_PLAIN = _MOMENTS.map(lambda moment: moment.isoformat() + "Z")
_ODD = st.sampled_from(
    ["2026-02-30T00:00:00Z", "2026-02-28T23:59:59.1Z", "2026-02-28T23:59:59.123Z\n", "2016-12-31T23:59:60Z", "x",
     "2026-02-28t00:00:00z", "2026-02-28T00:00:00.1234567Z", "2026-02-28T00:00:00+01:30", "0000-01-01T00:00:00Z",
     "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"]
)  # fmt: skip


@given(st.lists(st.none() | _PLAIN | _ODD, max_size=5) | st.lists(st.none() | _PLAIN, max_size=5))
def test_times_are_those_of_the_rule(texts: list[str | None]) -> None:
    """Whether Arrow reads them together or the rule each by itself, the moments are the rule's."""
    expected = [micros_of_rfc3339(text or "") for text in texts]
    assert moments_of(pa.array(texts, pa.string())).cast(pa.int64()).to_pylist() == expected


def test_times_that_arrow_reads_are_to_the_microsecond() -> None:
    """Milliseconds and microseconds, at the ends of what there is."""
    first, last = datetime(1000, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    texts = ["1000-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "1000-01-01T00:00:00.001Z"]
    assert moments_of(pa.array(texts)).to_pylist() == [first, last, first + timedelta(milliseconds=1)]


def test_what_is_no_utf_8_is_null() -> None:
    """One such value costs the others nothing."""
    assert texts_of([b"a", b"\xff", None, "\u00e9".encode()]).to_pylist() == ["a", None, None, "\u00e9"]
    assert texts_of([b"a", None]).to_pylist() == ["a", None]
