"""Records of the hot path's topics, which anybody may have written who may write to Kafka."""

import json

import pytest

from serving.hot.hot_records import hot_record, is_alarm

ALARM = {"rule": "too_hot", "change": "fired", "at": "2026-11-20T05:03:00Z", "seen": {"value": 41.5, "site_id": "n"}}
LATEST = {
    "device_id": "d1",
    "site_id": None,
    "metric_name": "t\u00e9",
    "unit": "degc",
    "value": 1,
    "more": [1, {"a": 2.5}],
}


@pytest.mark.parametrize("body", [ALARM, LATEST, {"window": "w", "revision": 0, "value_mean": None}, {"value": "on"}])
def test_a_record_of_ours_is_what_it_says(body: dict[str, object]) -> None:
    """With fields that are not known here, whether spelt in ASCII or not."""
    assert hot_record(json.dumps(body).encode()) == body
    assert hot_record(json.dumps(body, ensure_ascii=False).encode()) == body


@pytest.mark.parametrize("text", [
    b"", b"null", b"[1]", b"\xff{", b"{", b'{"a": ' + b"[" * 100_000, b'{"a": NaN}', b'{"a": -Infinity}',
    b'{"a": 1e999}', b'{"a": 1' + b"0" * 400 + b"}", b'{"a": "\\ud800"}', b'{"a": "\xed\xa0\x80"}',
    b'{"site_id": 7}', b'{"device_id": ["d1"]}', b'{"unit": {}}', b'{"event_at": "soon"}', b'{"at": 5}',
    b'{"value": {}}', b'{"value_mean": "x"}', b'{"value_max": true}', b'{"revision": -1}', b'{"revision": 1.5}',
    b'{"revision": 9223372036854775808}', b'{"seen": "x"}', b'{"seen": {"site_id": 7}}',
])  # fmt: skip
def test_what_no_answer_could_be_made_of_is_none_of_ours(text: bytes) -> None:
    """What is no object, no JSON again or no UTF-8 when it is written, and known fields of other types."""
    assert hot_record(text) is None


def test_an_alarm_names_its_rule_and_what_changed() -> None:
    """A page of alarms shows both."""
    assert is_alarm(ALARM)
    assert not is_alarm({"rule": "too_hot"})
    assert not is_alarm({"change": "fired"})
