"""The fleet: which devices there are, of which model, at which site, reporting when.

Belongs here: devices, their names, and finding a model by what a person calls it. What they measure is in `signals`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from device_sim.noise import uniform_of
from lake.models.catalog import Model, find_model
from lake.models.dtdl import dtmi_family
from runtime.errors import UsageError
from wire.envelope import REGISTERED, Message, lifecycle_message, rfc3339

SITES = ("aarhus", "bergen", "coimbra", "dresden", "eindhoven", "ferrara", "girona", "helsinki")


@dataclass(frozen=True)
class Device:
    """One simulated device; it reports at in_service_at + k * reporting_interval_s, k = 0, 1, 2 …"""

    device_id: str
    model: Model
    site_id: str
    in_service_at: datetime
    reporting_interval_s: int

    @property
    def in_service_ms(self) -> int:
        """`in_service_at` in milliseconds since 1970."""
        return int(self.in_service_at.timestamp()) * 1000


def build_fleet(
    models: Sequence[Model], count: int, start: datetime, reporting_interval_s: int | None = None
) -> list[Device]:
    """`count` devices, spread evenly over the models and the sites.

    A device comes into service at `start` plus a phase of whole seconds below its interval, which depends on its id
    alone: a later run whose start differs by whole intervals meets the same reporting times.
    Raises UsageError for no devices or no models.
    """
    if count < 1:
        raise UsageError(f"A fleet of {count} devices cannot be simulated: give --devices 1 or more.")
    if not models:
        raise UsageError("There is no device model to simulate: declare one with `lakehouse models add`.")
    names = _unique_names(models)
    fleet = []
    for i in range(count):
        model = models[i % len(models)]
        device_id = f"{names[model.model_id]}-{i // len(models) + 1:04d}"
        interval_s = reporting_interval_s or model.quality.reporting_interval_s
        phase_s = int(uniform_of("phase", device_id) * min(interval_s, 3600))
        in_service_at = datetime.fromtimestamp(int(start.timestamp()) + phase_s, tz=start.tzinfo)
        fleet.append(Device(device_id, model, SITES[i % len(SITES)], in_service_at, interval_s))
    return fleet


def registered_message(
    device_id: str, model_id: str, site_id: str | None, reporting_interval_s: int, in_service_at: datetime
) -> Message:
    """The lifecycle event that registers a device; its id follows from its content, so that a repeat is a repeat."""
    attributes: dict[str, str | int] = {"model_id": model_id}
    if site_id is not None:
        attributes["site_id"] = site_id
    attributes["reporting_interval_s"] = reporting_interval_s
    time = rfc3339(in_service_at)
    message_id = f"registered-{time}-{model_id}-{site_id or ''}-{reporting_interval_s}"
    return lifecycle_message(device_id, message_id, REGISTERED, time, attributes)


def short_name(model: Model) -> str:
    """What a person calls a model: `dtmi:lakehouse:energy_meter;1` -> `energy-meter`."""
    return dtmi_family(model.model_id).split(":")[-1].replace("_", "-").lower()


def model_named(models: Mapping[str, Model], name: str) -> Model:
    """The model of a DTMI, or of a short name in its newest version. Raises UsageError with what is near."""
    wanted = name.lower().replace("_", "-")
    families = {dtmi_family(model.model_id) for model in models.values() if short_name(model) == wanted}
    if len(families) > 1:
        raise UsageError(f"{name!r} may be any of {', '.join(sorted(families))}: give the whole DTMI.")
    return find_model(models, families.pop() if families else name)


def _unique_names(models: Sequence[Model]) -> dict[str, str]:
    """Device names by model id: the short name, with version or whole path where two models share it."""
    names: dict[str, str] = {}
    for model in models:
        name = short_name(model)
        path, _, version = model.model_id.removeprefix("dtmi:").partition(";")
        for candidate in (name, f"{name}-v{version}", f"{path.replace(':', '-').replace('_', '-').lower()}-v{version}"):
            if candidate not in names.values():
                names[model.model_id] = candidate
                break
        else:
            raise UsageError(f"{model.model_id} has a name too like another model's: simulate them apart.")
    return names
