"""Several processes of the hot path share its devices, lose one another, and take over from one another."""

import os
import signal
from pathlib import Path
from typing import Any

import psutil

from runtime.process_family import family, kill_all
from streams.output_topics import ALERTS, WINDOWS
from tests.support.awaiting import awaited
from tests.support.streams_faults import DECLARED, DEVICES, Process, Trial, committed, end, trial

_SILENCE = DECLARED.replace("rules:", "rules:\n  silent:\n    silence_s: 8")


def readers(found: Trial) -> dict[str, set[tuple[str, ...]]]:
    """Who told a device's windows: the partitions of the processes."""
    told: dict[str, set[tuple[str, ...]]] = {}
    for _, row in committed(found.bootstrap, WINDOWS):
        told.setdefault(row["device_id"], set()).add(tuple(sorted(row["read_from"])))
    return told


def silences(found: Trial) -> list[dict[str, Any]]:
    return [row for _, row in committed(found.bootstrap, ALERTS) if row["rule"] == "silent"]


def test_processes_share_devices_end_together_and_hand_over(tmp_path: Path) -> None:
    """Three processes, each with a third of the partitions; one is killed, and all end; two go on with what was the
    three's, are cut off, and one goes on: nothing is lost or told twice, alarms and silence are each device's once."""
    with trial(tmp_path, 11, _SILENCE) as found:
        three = found.run("-m", "streams", "0", "3")
        found.send(40)
        found.await_all(three)
        told = readers(found)
        assert {len(by) for by in told.values()} == {1}
        assert len(set.union(*told.values())) > 1
        _, last = psutil.Process(three.pid).children()
        os.kill(last.pid, signal.SIGKILL)
        assert three.wait(60) == 1

        two = found.run("-m", "streams", "0", "2")
        found.send(40)
        found.await_all(two)
        kill_all(reversed(family(two.pid)))
        two.wait(60)

        found.send(40)
        one = found.run("-m", "streams", "0", "2")
        found.await_all(one)
        awaited(lambda: all_are_silent(found, one), lambda: silences(found), every_s=0.5)
        end(one)
        found.check()


def all_are_silent(found: Trial, process: Process) -> bool:
    """The newest that was told of each device, by a process that still runs."""
    assert process.poll() is None
    newest = {row["device_id"]: row["change"] for row in silences(found)}
    return newest == {f"k{n}": "fired" for n in range(DEVICES)}
