"""The stream: who reports when, in which order, with which faults."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from device_sim.corruptions import CORRUPTIONS
from device_sim.dispatches import Batch, Dispatch
from device_sim.faults import (
    DEMO_FAULTS,
    Delayed,
    Disordered,
    Extra,
    Faults,
    Impossible,
    Period,
    Share,
    WrongClock,
)
from device_sim.schedule import DevicePeriod
from device_sim.simulation import Simulation, SimulationOptions, plan
from device_sim.stream import batches, reading_count
from runtime.errors import UsageError
from runtime.settings import Settings
from wire.envelope import MAINTENANCE_ENDED, MAINTENANCE_STARTED, SUBJECT, TYPE, Message, header, wires

START = datetime(2026, 11, 20, tzinfo=UTC)
NOW = datetime(2026, 11, 23, tzinfo=UTC)
HOUR_MS = 3_600_000
SETTINGS = Settings(home=Path("/nonexistent"), lake_uri="/nonexistent/lake")


def _plan(
    faults: Faults | None = None, devices: int = 9, hours: float = 6, seed: int = 1, **more: object
) -> Simulation:
    options = SimulationOptions(START, devices, hours, seed, faults=faults or Faults(), **more)  # type: ignore[arg-type]
    return plan(SETTINGS, options, NOW)


def _sent(faults: Faults | None = None, **more: object) -> list[Dispatch]:
    return _one_by_one(_plan(faults, **more).stream())  # type: ignore[arg-type]


def _one_by_one(stream: Iterable[Batch]) -> list[Dispatch]:
    """The messages, each with its row of the manifest."""
    return [
        Dispatch(
            arrival_ms=arrival_ms,
            message=Message(*wire),
            device_id=row["source"].removeprefix("/devices/"),
            message_id=row["message_id"],
            measured_ms=None if row["measured_at"] is None else round(row["measured_at"].timestamp() * 1000),
            model_id=row["model_id"],
            component=row["component"],
            fault=row["fault"],
            fate=row["expected_fate"],
            clock_status=row["expected_clock_status"],
        )
        for batch in stream
        for arrival_ms, wire, row in zip(
            batch.arrivals.tolist(), wires(batch.messages), batch.rows.to_pylist(), strict=True
        )
    ]


def _with_fault(faults: Faults, fault: str) -> list[Dispatch]:
    found = [each for each in _sent(faults) if each.fault == fault]
    assert found
    return found


def test_the_same_arguments_give_the_same_bytes() -> None:
    """Seed, start, hours, devices and faults say everything: messages, order and what is expected of them."""
    faults = replace(DEMO_FAULTS, late=Delayed(0.1), repeated=Delayed(0.1))
    first = _sent(faults)
    assert first == _sent(faults)
    assert first != _sent(faults, seed=2)


def test_devices_report_exactly_when_due() -> None:
    """Without faults there is one message a reporting time, device and message kind, from in_service_at to the end."""
    simulation = _plan()
    sent = _one_by_one(simulation.stream())
    end_ms = simulation.options.span_ms[1]
    for device in simulation.fleet:
        due = list(range(device.in_service_ms, end_ms, device.reporting_interval_s * 1000))
        components = {None, "motor"} if "pump" in device.device_id else {None}
        for component in components:
            mine = [each for each in sent if each.device_id == device.device_id and each.component == component]
            assert [each.measured_ms for each in mine] == due
            assert {header(each.message, SUBJECT) for each in mine} == {component.encode() if component else None}
    assert len(sent) == reading_count(simulation.fleet, simulation.options.span_ms)
    assert [each.arrival_ms for each in sent] == sorted(each.arrival_ms for each in sent)
    assert len({(each.device_id, each.message_id) for each in sent}) == len(sent)


def test_runs_that_overlap_agree() -> None:
    """A run that starts later sends the same messages for the hours that both cover."""
    whole = {each.message_id: each.message for each in _sent() if "thermostat-0001" in each.device_id}
    options = SimulationOptions(START + timedelta(hours=3), 9, 3.0)
    later = [each for each in _one_by_one(plan(SETTINGS, options, NOW).stream()) if "thermostat-0001" in each.device_id]
    assert len(later) == 180
    assert all(whole[each.message_id] == each.message for each in later)


def test_registers_go_on_under_another_seed() -> None:
    """What a meter has counted is its own: a later run of any seed goes on where an earlier one ended, and rises by
    what an hour takes."""
    registers: dict[str, list[float]] = {}
    for seed, start in ((7, START), (1, START + timedelta(hours=6)), (23, START + timedelta(hours=12))):
        options = SimulationOptions(start, 9, 6.0, seed, models=("energy-meter",))
        for each in _one_by_one(plan(SETTINGS, options, NOW).stream()):
            registers.setdefault(each.device_id, []).append(json.loads(each.message.value)["energy"])
    assert len(registers) == 9
    for counted in registers.values():
        assert counted == sorted(counted)
        assert 0 < counted[-1] - counted[0] < 18 * 3


def test_late_messages_come_later_with_their_own_time() -> None:
    """A late reading keeps ce_time and arrives within the declared delay."""
    for each in _with_fault(Faults(late=Delayed(0.05, (10, 120))), "late"):
        assert each.measured_ms is not None
        assert 10 <= (each.arrival_ms - each.measured_ms) / 60_000 <= 120
        assert each.fate == "reading"


def test_out_of_order_messages_are_overtaken() -> None:
    """Behind an out-of-order reading stands none that it overtook: a younger one of the device came before it."""
    sent = _sent(Faults(out_of_order=Disordered(0.02)))
    place = {(each.device_id, each.component, each.measured_ms): n for n, each in enumerate(sent)}
    overtaken = 0
    for each in sent:
        if each.fault == "out_of_order":
            interval_ms = 300_000 if "meter" in each.device_id else 60_000
            after = place.get((each.device_id, each.component, (each.measured_ms or 0) + interval_ms))
            overtaken += after is not None and after < place[each.device_id, each.component, each.measured_ms]
    assert overtaken > 20


def test_repeats_are_the_same_bytes_after_the_first() -> None:
    """A repeat is the same record again; the first of the two is the reading."""
    sent = _sent(Faults(repeated=Delayed(0.05, (0, 90))))
    repeats = [(n, each) for n, each in enumerate(sent) if each.fault == "repeated"]
    assert len(repeats) > 50
    for n, each in repeats:
        firsts = [other for other in sent[:n] if other.message == each.message]
        assert [first.fate for first in firsts] == ["reading"]
        assert each.fate == "duplicate"


def test_conflicts_share_identity_and_time_only() -> None:
    """A conflict has source, id and time of an earlier reading and another good body."""
    sent = _sent(Faults(conflict=Delayed(0.05, (0, 0))))
    conflicts = [(n, each) for n, each in enumerate(sent) if each.fault == "conflict"]
    assert len(conflicts) > 50
    for n, each in conflicts:
        first = next(other for other in sent[:n] if other.message.headers == each.message.headers)
        assert first.fate == "reading"
        assert first.message.value != each.message.value
        assert each.fate == "conflict"


def test_an_unknown_name_is_added() -> None:
    """The extra telemetry stands beside the declared ones."""
    for each in _with_fault(Faults(unknown_telemetry=Extra(0.05, 'a "b"')), "unknown_telemetry"):
        assert each.message.value.endswith(b',"a \\"b\\"":"not declared"}')
        assert each.fate == "reading"


def test_shares_are_met() -> None:
    """Each fault takes about its share of the readings; no reading has two."""
    faults = Faults(late=Delayed(0.2), out_of_range=Share(0.1), corrupt={"truncated": 0.05, "no_key": 0.05})
    counts = Counter(each.fault for each in _sent(faults, devices=30))
    total = counts.total()
    for fault, share in {"late": 0.2, "out_of_range": 0.1, "corrupt.truncated": 0.05, "corrupt.no_key": 0.05}.items():
        assert abs(counts[fault] / total - share) < 0.01


def test_every_corruption_names_its_fate() -> None:
    """A corrupt message is expected under its own reason, and described by what its envelope says."""
    sent = _sent(Faults(corrupt=dict.fromkeys(CORRUPTIONS, 0.01)), devices=30)
    corrupt = [each for each in sent if each.fault.startswith("corrupt.")]
    assert {each.fault.removeprefix("corrupt.") for each in corrupt} == set(CORRUPTIONS)
    assert all(each.fate == CORRUPTIONS[each.fault.removeprefix("corrupt.")].reason for each in corrupt)
    by_fault = {each.fault.removeprefix("corrupt."): each for each in corrupt}
    assert by_fault["no_id"].message_id is None
    assert by_fault["no_time"].measured_ms is by_fault["unreadable_time"].measured_ms is None
    assert by_fault["year_1970"].measured_ms == 0
    assert by_fault["unknown_device"].device_id.startswith("stray-")


def test_a_device_in_an_outage_is_silent() -> None:
    """No message of the device is due in its outage; all others are sent."""
    simulation = _plan(Faults(outage=Period(0.3, (2, 3))))
    assert len(simulation.schedule) == 3
    sent = _one_by_one(simulation.stream())
    assert len(sent) < reading_count(simulation.fleet, simulation.options.span_ms)
    for period in simulation.schedule:
        times = [each.measured_ms for each in sent if each.device_id == period.device_id]
        assert 2 * HOUR_MS <= period.end_ms - period.start_ms <= 3 * HOUR_MS
        assert not [ms for ms in times if ms is not None and period.start_ms <= ms < period.end_ms]
        assert times


def test_a_period_ends_before_its_end() -> None:
    """A reading due at the start of a silence is left out, one due at its end is sent: as the registry counts."""
    simulation = _plan(devices=1, models=("thermostat",))
    (device,) = simulation.fleet
    start_ms, end_ms = device.in_service_ms + 10 * 60_000, device.in_service_ms + 12 * 60_000
    silence = DevicePeriod("outage", device.device_id, start_ms, end_ms)
    sent = _one_by_one(batches([device], [silence], Faults(), simulation.options.span_ms, 1))
    minutes = [((each.measured_ms or 0) - device.in_service_ms) // 60_000 for each in sent]
    assert minutes == [*range(10), *range(12, 360)]


def test_maintenance_is_announced_and_silent() -> None:
    """Maintenance sends its start and its end to the registry at the moments that bound the silence."""
    simulation = _plan(Faults(maintenance=Period(0.3, (1, 2))))
    sent = _one_by_one(simulation.stream())
    for period in simulation.schedule:
        mine = [each for each in sent if each.device_id == period.device_id]
        events = [(header(each.message, TYPE), each.measured_ms) for each in mine if each.fate == "lifecycle"]
        assert events == [
            (MAINTENANCE_STARTED.encode(), period.start_ms),
            (MAINTENANCE_ENDED.encode(), period.end_ms),
        ]
        assert not [
            each
            for each in mine
            if each.fate == "reading" and period.start_ms <= (each.measured_ms or 0) < period.end_ms
        ]


@pytest.mark.parametrize(("fault", "status"), [("clock_ahead", "ahead"), ("clock_behind", "behind")])
def test_a_wrong_clock_is_judged_by_the_brokers(fault: str, status: str) -> None:
    """A clock ahead shows times after now, one behind times before the device came into service."""
    simulation = _plan(Faults(**{fault: WrongClock(0.3, (2, 3))}))  # type: ignore[arg-type]
    in_service = {device.device_id: device.in_service_ms for device in simulation.fleet}
    wrong = [each for each in _one_by_one(simulation.stream()) if each.fault == fault]
    assert len({each.device_id for each in wrong}) == 3
    for each in wrong:
        assert each.clock_status == status
        assert each.fate == "reading"
        assert each.measured_ms is not None
        if status == "ahead":
            assert each.measured_ms > NOW.timestamp() * 1000 + 300_000
        else:
            assert each.measured_ms < in_service[each.device_id]


def test_no_device_is_ahead_and_behind() -> None:
    """A device has one clock."""
    schedule = _plan(Faults(clock_ahead=WrongClock(0.5), clock_behind=WrongClock(0.5)), devices=20).schedule
    ahead, behind = ({p.device_id for p in schedule if p.kind == kind} for kind in ("clock_ahead", "clock_behind"))
    assert len(ahead) == len(behind) == 10
    assert not ahead & behind


@pytest.mark.parametrize("slice_", [3, "2026-11-20T03"])
def test_an_impossible_hour_has_its_exact_share(slice_: str | int) -> None:
    """Of the model's readings of the hour exactly the share is out of range, and none of another hour or model."""
    faults = Faults(impossible=Impossible(slice_, 0.25, "thermostat"), late=Delayed(0.1))
    sent = _sent(faults, devices=12)
    hour = [
        each for each in sent
        if "thermostat" in each.device_id and START.timestamp() * 1000 + 3 * HOUR_MS <= (each.measured_ms or 0)
        < START.timestamp() * 1000 + 4 * HOUR_MS
    ]  # fmt: skip
    impossible = [each for each in sent if each.fault == "impossible"]
    assert len(hour) == 240
    assert len(impossible) == 60
    assert {each.fate for each in impossible} == {"out_of_range"}
    assert all(each in hour for each in impossible)


def test_windows_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """How many messages are made at once changes none of them, nor the share of an impossible hour."""
    faults = replace(DEMO_FAULTS, impossible=Impossible(2, 0.5), repeated=Delayed(0.05, (1, 90)))
    whole = _sent(faults)
    monkeypatch.setattr("device_sim.stream._MESSAGES_A_WINDOW", 50)
    small = _sent(faults)
    assert sorted(map(str, small)) == sorted(map(str, whole))
    assert [each.arrival_ms for each in small] == [each.arrival_ms for each in whole]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"hours": 0.0}, "--hours above 0"),
        ({"hours": 100.0}, "still to come"),
        ({"speed": 0.0}, "--speed max"),
        ({"models": ("thermostt",)}, "thermostat"),
        ({"faults": Faults(clock_ahead=WrongClock(0.1, by_hours=10))}, "by_hours of clock_ahead"),
        ({"faults": Faults(clock_behind=WrongClock(0.1, by_hours=1))}, "by_hours of clock_behind"),
        ({"faults": Faults(impossible=Impossible(99, 0.1))}, "outside of the simulated hours"),
        ({"faults": Faults(impossible=Impossible("noon", 0.1))}, "not a slice"),
        ({"faults": Faults(impossible=Impossible(1, 0.1, "boiler"))}, "boiler"),
        ({"faults": Faults(unknown_telemetry=Extra(0.1, "humidity"))}, "declares"),
    ],
)
def test_what_cannot_be_simulated_is_refused(change: dict[str, object], says: str) -> None:
    """Options under which the manifest could not be true are refused before anything is sent."""
    options = replace(SimulationOptions(START, 9, 6.0), **change)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=says):
        plan(SETTINGS, options, NOW)


def test_a_live_run_may_last_into_the_future() -> None:
    """At its own pace a run from now on is never ahead of the clock."""
    live = SimulationOptions(NOW, 9, 24.0, speed=1.0)
    assert plan(SETTINGS, live, NOW).fleet
    with pytest.raises(UsageError, match="still to come"):
        plan(SETTINGS, replace(live, speed=2.0), NOW)
