"""The hot path is killed inside transactions and its broker stands still, and nobody who reads committed results can
tell."""

from pathlib import Path

from tests.support.streams_faults import INSIDE, PLACES, trial

_PAUSE_S = 10.0


def test_kills_and_a_broker_that_stands_still_leave_no_trace(tmp_path: Path) -> None:
    """After kills inside transactions, shown to be open, while one is committed and after one, and a broker that does
    not answer for a while: windows and latest values are those of what was sent, and nothing was told twice."""
    with trial(tmp_path, seed=7) as found:
        for place in (*PLACES, INSIDE[0]):
            found.kill(place)
        found.pause(_PAUSE_S)
        found.check()
        assert [found.open_when_killed[place] for place in INSIDE] == [2, 1]
        assert found.open_when_killed["committed"] == 0
