"""Validation: what is asked of all tables at once is what each check by itself says."""

import pandas as pd
import pytest

from pipeline.gate import validation
from pipeline.gate.suites import Check, Suite
from pipeline.gate.validation import all_failures, failures_of

SUITE = Suite(
    "silver.thermostats",
    (
        Check("keys", "repeated", "{observed} repeated"),
        Check("share", "ratio", "{observed} of {limit}", at_most=0.1, only_from=("rejected", 5), is_share=True),
        Check("sums", "received", "{observed} where {limit}", equals="source_rows"),
    ),
)
GOOD = {"slice": "2026-11-20T05", "repeated": 0, "ratio": 0.1, "rejected": 5, "received": 7, "source_rows": 7}
FEW = GOOD | {"slice": "2026-11-20T06", "ratio": 0.9, "rejected": 4}


def test_what_passes_is_asked_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of profiles that pass no check is asked by itself, a limit that is met and a share of a few records included."""
    monkeypatch.setattr(validation, "failures_of", lambda *_: pytest.fail("asked by itself"))
    profile = pd.DataFrame([GOOD, FEW])
    assert all_failures([(SUITE, profile), (SUITE, profile)]) == [{}, {}]
    assert all_failures([]) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"repeated": 1},
        {"ratio": 0.11},
        {"received": 6},
        {"received": 8},
        {"received": float("nan")},
        {"repeated": "no"},
    ],
)
def test_whatever_is_wrong_is_found_with_its_table(wrong: dict[str, object]) -> None:
    """A value above its limit, one that is not the other's equal in either direction, and one that is no number fail
    the slice of that profile alone, as that profile by itself does."""
    bad = pd.DataFrame([GOOD, FEW, GOOD | {"slice": "2026-11-20T07"} | wrong])
    found = all_failures([(SUITE, pd.DataFrame([GOOD, FEW])), (SUITE, bad)])
    assert repr(found) == repr([{}, failures_of(SUITE, bad)])  # as texts, in which one NaN is like another
    assert "2026-11-20T07" in found[1]


def test_a_profile_without_a_column_fails_in_every_slice() -> None:
    """What cannot be judged does not pass."""
    (found,) = all_failures([(SUITE, pd.DataFrame([GOOD, FEW]).drop(columns="source_rows"))])
    assert {slice_: [f.expectation for f in failures] for slice_, failures in found.items()} == {
        GOOD["slice"]: ["sums"],
        FEW["slice"]: ["sums"],
    }


def test_one_is_told_as_one() -> None:
    """A count in a message is shown with its noun, one and many."""
    check = Check("keys", "repeated", "{observed:row} repeated, {source_rows:reading} in all (limit {limit})")
    profile = pd.DataFrame([GOOD | {"repeated": 1}, FEW | {"repeated": 2000, "source_rows": 1}])
    messages = [
        failures[0].message for failures in failures_of(Suite("silver.thermostats", (check,)), profile).values()
    ]
    assert messages == [
        "1 row repeated, 7 readings in all (limit 0)",
        "2,000 rows repeated, 1 reading in all (limit 0)",
    ]
