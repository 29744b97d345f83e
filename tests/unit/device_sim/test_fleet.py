"""The fleet: devices, names, phases and registrations."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from device_sim.fleet import build_fleet, model_named, registered_message
from lake.models.catalog import BUILT_IN_MODELS, load_models
from runtime.errors import UsageError
from wire.envelope import ID, header

START = datetime(2026, 11, 20, tzinfo=UTC)
MODELS = load_models([BUILT_IN_MODELS])


def test_devices_are_spread_over_models_and_sites() -> None:
    """Models and sites get even shares, ids tell the model and are unique."""
    fleet = build_fleet(list(MODELS.values()), 48, START)
    assert set(Counter(device.model.model_id for device in fleet).values()) == {16}
    assert set(Counter(device.site_id for device in fleet).values()) == {6}
    assert len({device.device_id for device in fleet}) == 48
    assert {"energy-meter-0001", "pump-0001", "thermostat-0016"} <= {device.device_id for device in fleet}


def test_a_larger_fleet_has_the_same_first_devices() -> None:
    """Adding devices changes none that were there."""
    models = list(MODELS.values())
    assert build_fleet(models, 50, START)[:10] == build_fleet(models, 10, START)


def test_phases_are_whole_seconds_below_the_interval() -> None:
    """A later run that starts whole intervals later meets the same reporting times."""
    models = list(MODELS.values())
    early, late = build_fleet(models, 30, START), build_fleet(models, 30, START + timedelta(hours=7))
    for first, second in zip(early, late, strict=True):
        phase_s = (first.in_service_at - START).total_seconds()
        assert phase_s == int(phase_s)
        assert 0 <= phase_s < first.reporting_interval_s
        assert (second.in_service_at - first.in_service_at).total_seconds() % first.reporting_interval_s == 0
    assert len({device.in_service_at for device in early}) > 10


def test_versions_of_a_model_have_names_of_their_own() -> None:
    """Two versions and two makers of a thermostat in one fleet do not share ids."""
    model = MODELS["dtmi:lakehouse:thermostat;1"]
    models = [
        model,
        replace(model, model_id="dtmi:lakehouse:thermostat;2"),
        replace(model, model_id="dtmi:acme:thermostat;2"),
    ]
    ids = {device.device_id for device in build_fleet(models, 3, START)}
    assert ids == {"thermostat-0001", "thermostat-v2-0001", "acme-thermostat-v2-0001"}
    twins = [replace(model, model_id=f"dtmi:a:{word};1") for word in ("box", "Box", "BOX", "bOX")]
    with pytest.raises(UsageError, match="too like"):
        build_fleet(twins, 4, START)


def test_an_empty_fleet_is_refused() -> None:
    """There is no simulation of nothing."""
    with pytest.raises(UsageError, match="--devices 1 or more"):
        build_fleet(list(MODELS.values()), 0, START)
    with pytest.raises(UsageError, match="models add"):
        build_fleet([], 1, START)


def test_models_go_by_short_names() -> None:
    """A DTMI, its last word in any case, and no other text name a model."""
    meter = MODELS["dtmi:lakehouse:energy_meter;1"]
    for name in ("dtmi:lakehouse:energy_meter;1", "energy-meter", "Energy_Meter", "dtmi:lakehouse:energy_meter"):
        assert model_named(MODELS, name) is meter
    with pytest.raises(UsageError, match="thermostat"):
        model_named(MODELS, "thermostt")


def test_the_newest_version_answers_to_the_short_name() -> None:
    """Version 10 is newer than version 2."""
    model = MODELS["dtmi:lakehouse:pump;1"]
    versions = {f"dtmi:lakehouse:pump;{n}": replace(model, model_id=f"dtmi:lakehouse:pump;{n}") for n in (1, 2, 10)}
    assert model_named(versions, "pump").model_id == "dtmi:lakehouse:pump;10"
    other = versions | {"dtmi:acme:pump;1": replace(model, model_id="dtmi:acme:pump;1")}
    with pytest.raises(UsageError, match="dtmi:acme:pump, dtmi:lakehouse:pump"):
        model_named(other, "pump")


def test_a_registration_repeats_itself() -> None:
    """The same registration is the same bytes; another content has another id."""
    first = registered_message("d", "dtmi:x:y;1", "bergen", 60, START)
    assert registered_message("d", "dtmi:x:y;1", "bergen", 60, START) == first
    assert first.value == b'{"model_id":"dtmi:x:y;1","site_id":"bergen","reporting_interval_s":60}'
    moved = registered_message("d", "dtmi:x:y;1", "dresden", 60, START)
    assert header(moved, ID) != header(first, ID)
