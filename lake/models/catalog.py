"""Device models: the DTDL Interfaces and quality files that this lakehouse knows, and the silver tables they become.

Belongs here: what a model is, which Interfaces are one, their tables, and looking one up. Files are in
`documents`, adding one is in `store`, what DTDL means is in `dtdl` and `telemetry`.
"""

import difflib
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lake.models.declared_values import with_declared_values
from lake.models.documents import Document, device_interfaces, merged_declarations, read_folder
from lake.models.dtdl import Library, canonical_json, dtmi_family, dtmi_version
from lake.models.limits import Quality, parse_quality
from lake.models.telemetry import NUMERIC_TYPES, Telemetry, telemetry_columns
from lake.models.units import snake_case
from lake.tables.contracts import Column, Table
from lake.tables.every import FIXED_TABLES
from lake.tables.silver import READING_COLUMNS, READING_STATISTICS
from runtime.errors import ModelError, UsageError
from runtime.settings import Settings

__all__ = [
    "BUILT_IN_MODELS",
    "Catalog",
    "Model",
    "Quality",
    "Telemetry",
    "catalog_of",
    "find_model",
    "known_models",
    "load_models",
    "silver_table",
    "silver_tables",
]

BUILT_IN_MODELS = Path(__file__).parent / "built_in"
"""The folder of models that come with the project."""

# a table is a folder, whose name may have 255 bytes, and its name is a part of others
_LONGEST_NAME = 120
_TABLE_NAME = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
_FIXED_NAMES = frozenset(table.name for table in FIXED_TABLES)


@dataclass(frozen=True)
class Model:
    """A device model. `model_id` is its DTMI, `table` its silver table; `notes` say what becomes no column and why.

    `components` are the names that a message's subject may have. `digest` is the SHA-256 of what the model, all that
    it refers to and its quality values say.
    """

    model_id: str
    table: str
    display_name: str
    description: str
    telemetry: tuple[Telemetry, ...]
    components: tuple[str, ...]
    notes: tuple[str, ...]
    quality: Quality
    digest: str
    origin: str

    def metric_name(self, telemetry: Telemetry) -> str:
        """The name in gold: `temperature`, or `component.temperature`."""
        return telemetry.metric_name


@dataclass(frozen=True)
class Catalog:
    """Device models by DTMI, and the Interfaces that are none, each with the reason."""

    models: Mapping[str, Model]
    parts: Mapping[str, str]


def known_models(settings: Settings) -> dict[str, Model]:
    """Every device model of this lakehouse by DTMI: the built-in ones and the added ones. Raises ModelError."""
    return load_models([BUILT_IN_MODELS, settings.models_folder])


def load_models(folders: Sequence[Path]) -> dict[str, Model]:
    """The device models that the `*.json` files of `folders` declare, by DTMI. Raises ModelError."""
    return dict(catalog_of([document for folder in folders for document in read_folder(folder)]).models)


def catalog_of(documents: Sequence[Document]) -> Catalog:
    """The models of `documents`, which may refer to each other. Of two quality values for a model the later wins.

    An Interface that another one of its document uses (as a component or a base), or that comes to no telemetry, is a
    part and no device model. Raises ModelError for whatever cannot be used.
    """
    library = Library(merged_declarations(documents))
    models: dict[str, Model] = {}
    for document in documents:
        found = [_model(library, model_id, document) for model_id in device_interfaces(document)]
        models.update({each.model_id: each for each in found if each.telemetry and _is_newest(each, models, document)})
        if "" in document.quality and len([each for each in found if each.telemetry]) > 1:
            raise ModelError(
                f"{document.quality_name} stands beside several device models: write it as an object of DTMI to "
                f"values, for {' and '.join(each.model_id for each in found if each.telemetry)}."
            )
    parts = {name: _why_no_model(library, name) for name in library.declarations if name not in models}
    shared = _with_shared_tables(models)
    silver_tables(shared.values())
    return Catalog(dict(sorted(shared.items())), dict(sorted(parts.items())))


def _is_newest(model: Model, models: Mapping[str, Model], document: Document) -> bool:
    return model.model_id not in models or model.model_id in document.quality or "" in document.quality


def _why_no_model(library: Library, model_id: str) -> str:
    """Also checks the Interface, which no model may have done."""
    if not telemetry_columns(library, model_id).telemetry:
        return "it comes to no telemetry"
    users = [each.model_id for each in library.declarations.values() if model_id in (*each.extends, *each.components)]
    return f"it is used by {' and '.join(users)} in its file"


def _with_shared_tables(models: Mapping[str, Model]) -> dict[str, Model]:
    """Versions of a DTMI share the table that a quality file of one of them names."""
    chosen: dict[str, Model] = {}
    for model in models.values():
        if model.quality.table is not None:
            other = chosen.setdefault(dtmi_family(model.model_id), model)
            if other.table != model.table:
                raise ModelError(
                    f"{other.model_id} has the table {other.table} and {model.model_id} has {model.table}: versions "
                    "of a model share a table, so name one in both quality files or only in the first."
                )
    return {
        model_id: replace(model, table=chosen.get(dtmi_family(model_id), model).table)
        for model_id, model in models.items()
    }


def find_model(models: Mapping[str, Model], name: str) -> Model:
    """The model with the DTMI `name`; without a version the newest. Raises UsageError naming near ones."""
    if name in models:
        return models[name]
    versions = [model for model in models.values() if dtmi_family(model.model_id) == name]
    if versions:
        return max(versions, key=lambda model: dtmi_version(model.model_id))
    short = {dtmi_family(model_id).split(":")[-1].lower(): model_id for model_id in models}
    near = [short[match] for match in difflib.get_close_matches(dtmi_family(name).split(":")[-1].lower(), short, n=3)]
    hint = f"did you mean {' or '.join(near)}?" if near else "'lakehouse models list' names those that are."
    raise UsageError(f"{name} is not a device model of this lakehouse: {hint}")


def silver_tables(models: Iterable[Model]) -> dict[str, Table]:
    """The silver table of every model, by name. Raises ModelError when two kinds of device claim one table."""
    by_table: dict[str, list[Model]] = {}
    for model in models:
        by_table.setdefault(model.table, []).append(model)
    return {name: silver_table(sharing) for name, sharing in sorted(by_table.items())}


def silver_table(models: Iterable[Model]) -> Table:
    """The table that `models`, versions of one DTMI, share: the columns of a reading and all of their telemetry.

    A column keeps its place, newer versions add theirs at the end. Raises ModelError when they do not fit.
    """
    versions = sorted(models, key=lambda model: dtmi_version(model.model_id))
    newest = versions[-1]
    for model in versions:
        if dtmi_family(model.model_id) != dtmi_family(newest.model_id) or model.table != newest.table:
            raise ModelError(
                f"{model.model_id} ({model.origin}) and {newest.model_id} ({newest.origin}) are different kinds of "
                f'device and both become {newest.table}: give one a table of its own with {{"table": "…"}} in its '
                "quality file (or models add --table)."
            )
    columns: dict[str, tuple[Model, Telemetry]] = {}
    for model in versions:
        for telemetry in model.telemetry:
            earlier, known = columns.get(telemetry.column, (model, telemetry))
            columns[telemetry.column] = (model, _widened(earlier, known, model, telemetry))
    return Table(
        name=newest.table,
        grain=f"reading of one {newest.display_name}",
        columns=(*READING_COLUMNS, *(_column(telemetry) for _, telemetry in columns.values())),
        key=("source", "message_id", "measured_at"),
        writer="delta-rs",
        partition_by=("event_date",),
        statistics=READING_STATISTICS,
    )


def _widened(earlier: Model, known: Telemetry, model: Model, telemetry: Telemetry) -> Telemetry:
    """`telemetry` with a type that holds `known` too."""
    if known.metric_name != telemetry.metric_name and (
        any(each.metric_name == telemetry.metric_name for each in earlier.telemetry)
        or any(each.metric_name == known.metric_name for each in model.telemetry)
    ):
        raise ModelError(
            f"The column {telemetry.column} holds {known.metric_name} in {earlier.model_id} and "
            f"{telemetry.metric_name} in {model.model_id}: keep the order in which the two are declared."
        )
    types = {known.type, telemetry.type}
    if len(types) == 1:
        return telemetry
    if types <= set(NUMERIC_TYPES) and known.is_metric and telemetry.is_metric:
        return replace(telemetry, type=max(types, key=NUMERIC_TYPES.index))
    raise ModelError(
        f"The column {telemetry.column} is {known.type} in {earlier.model_id} and {telemetry.type} in "
        f"{model.model_id}: versions of a model share a table, so give the telemetry another name or type."
    )


def _column(telemetry: Telemetry) -> Column:
    parts = [telemetry.description.rstrip(".")]
    if telemetry.minimum is not None or telemetry.maximum is not None:
        parts.append(f"from {_limit(telemetry.minimum)} to {_limit(telemetry.maximum)}")
    if telemetry.enum_values:
        parts.append("one of " + ", ".join(repr(value) for value in telemetry.enum_values))
    if telemetry.missing:
        parts.append("null where it is " + ", ".join(map(_missing_shown, telemetry.missing)))
    return Column(telemetry.column, telemetry.type, "; ".join(parts))


def _missing_shown(value: float | str) -> str:
    return _limit(value) if isinstance(value, float) else repr(value)


def _limit(value: float | None) -> str:
    return "any" if value is None else str(int(value)) if value.is_integer() else str(value)


def _model(library: Library, model_id: str, document: Document) -> Model:
    declaration = document.declarations[model_id]
    origin = document.quality_name
    columns = telemetry_columns(library, model_id)
    quality = parse_quality(document.quality.get(model_id, document.quality.get("", {})), origin)
    notes = list(columns.notes)
    table = _table_name(model_id, quality, origin, notes)
    used = library.used_by(model_id)
    # what did not exist when a model was declared says nothing of it while it is not used
    said = {name: value for name, value in asdict(quality).items() if name != "kinds" or value}
    # gauges: a lake of before every number was one builds the day under way as a whole
    meaning = {"declarations": {name: library.declarations[name].raw for name in used}, "quality": said, "gauges": 1}
    return Model(
        model_id=model_id,
        table=table,
        display_name=declaration.display_name or _last_segment(model_id),
        description=declaration.description,
        telemetry=with_declared_values(columns.telemetry, quality, origin),
        components=columns.components,
        notes=tuple(notes),
        quality=quality,
        digest=hashlib.sha256(canonical_json(meaning).encode()).hexdigest(),
        origin=declaration.origin,
    )


def _table_name(model_id: str, quality: Quality, origin: str, notes: list[str]) -> str:
    if quality.table is not None:
        name = quality.table.removeprefix("silver.")
        if not _TABLE_NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
            raise ModelError(
                f"table in {origin} is {quality.table!r}: give words of a-z and 0-9 joined by _, "
                f"up to {_LONGEST_NAME} characters."
            )
        if f"silver.{name}" in _FIXED_NAMES:
            raise ModelError(f"table in {origin} is {quality.table!r}, which the lakehouse uses itself: give another.")
        return f"silver.{name}"
    words = snake_case(_last_segment(model_id))
    if len(words) > _LONGEST_NAME:
        digest = hashlib.sha256(model_id.encode()).hexdigest()[:8]
        words = f"{words[: _LONGEST_NAME - 9].rstrip('_')}_{digest}"
        notes.append(f"table: the model's name is too long for a folder's; it is shortened to {words}")
    name = plural(words)
    if f"silver.{name}" in _FIXED_NAMES:
        notes.append(f"table: the lakehouse uses silver.{name} itself; the table is silver.{words}_readings")
        name = f"{words}_readings"
    return f"silver.{name}"


def _last_segment(model_id: str) -> str:
    return dtmi_family(model_id).split(":")[-1]


def plural(words: str) -> str:
    """The plural of snake case words: `energy_meter` -> `energy_meters`, `battery` -> `batteries`."""
    if re.search(r"[^aeiou]y$", words):
        return f"{words[:-1]}ies"
    if re.search(r"(ss|us|is|x|z|ch|sh)$", words):
        return f"{words}es"
    return words if words.endswith("s") else f"{words}s"
