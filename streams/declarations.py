"""Declarations: the windows, rules and actions of a home, from YAML.

Belongs here: reading `<home>/streams/*.yml` and what comes with the project, and saying what is wrong with them. What a
window computes is in `transforms.windows`, when a rule fires in `transforms.alert_rules`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from runtime.errors import UsageError
from runtime.settings import Settings
from streams.action_declarations import Action, action_of
from streams.expressions import check_expression
from transforms.alert_rules import Rule
from transforms.minute_features import SCORES
from transforms.windows import KEYS, OPEN_COLUMNS, Window

BUILT_IN = Path(__file__).parent / "built_in"
_KINDS = ("tumbling", "hopping", "session", "each")
_EACH_COLUMNS = ("previous_value", "previous_at", "is_first")
_SEVERITIES = ("info", "warning", "critical")
_READING_COLUMNS = frozenset(OPEN_COLUMNS)
_WINDOW_COLUMNS = frozenset({"window_start", "window_end", "is_final", "revision", "reading_count"})


@dataclass(frozen=True)
class Declarations:
    """The windows, rules and actions at hand, by name."""

    windows: Mapping[str, Window]
    rules: Mapping[str, Rule]
    actions: Mapping[str, Action] = field(default_factory=dict)


def streams_folder(settings: Settings) -> Path:
    """Where a home's own windows and rules are."""
    return settings.home / "streams"


def load_declarations(settings: Settings) -> Declarations:
    """What comes with the project and what the home adds or replaces by name. Raises UsageError."""
    windows: dict[str, Window] = {}
    rules: dict[str, Mapping[str, Any]] = {}
    actions: dict[str, Action] = {}
    origins: dict[str, Path] = {}
    for folder in (BUILT_IN, streams_folder(settings)):
        for path in sorted(folder.glob("*.yml")):
            document = _document(path)
            windows |= {name: _window(name, said, path) for name, said in document.get("windows", {}).items()}
            rules |= document.get("rules", {})
            actions |= {name: action_of(name, said, path) for name, said in document.get("actions", {}).items()}
            origins |= dict.fromkeys(document.get("rules", {}), path)
    found = {name: _rule(name, said, {**windows, SCORES.name: SCORES}, origins[name]) for name, said in rules.items()}
    for rule in found.values():
        if unknown := sorted(set(rule.actions) - set(actions)):
            known = ", ".join(sorted(actions)) or "none"
            raise UsageError(f"the rule {rule.name} in {rule.origin} has actions {', '.join(unknown)}, known: {known}.")
    return Declarations(windows, found, actions)


def check_shared(declared: Declarations, shares: int, of: str = "processes") -> None:
    """Windows and rules that go over several devices need one reader of them all. Raises UsageError."""
    all_: list[Window | Rule] = [*declared.windows.values(), *declared.rules.values()]
    apart = [each for each in all_ if "device_id" not in each.by]
    if shares > 1 and apart:
        names = ", ".join(f"{each.name} ({each.origin})" for each in apart)
        raise UsageError(
            f"With {shares} {of} each sees some of the devices, and {names} goes over several: add device_id "
            "to its `by`, or let one process do it all."
        )


def _document(path: Path) -> Mapping[str, Any]:
    try:
        document = yaml.safe_load(path.read_text()) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict) or not set(document) <= {"windows", "rules", "actions"}:
        raise UsageError(f"{path}: write a mapping with `windows:`, `rules:` and `actions:`.")
    for part, entries in document.items():
        if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
            raise UsageError(f"{path}: {part} is to be a mapping of names to declarations.")
    return document


def _window(name: str, said: Mapping[str, Any], path: Path) -> Window:
    where = f"the window {name} in {path}"
    _check_names(said, {f.name for f in fields(Window)} - {"name", "origin"}, where)
    if name == SCORES.name:
        raise UsageError(f"{where} is called as the scores of a model, which rules may be over: give another name.")
    kind = said.get("kind", "tumbling")
    if kind not in _KINDS:
        raise UsageError(f"{where} has kind {kind!r}: give one of {', '.join(_KINDS)}.")
    by = _texts(said.get("by", ["device_id", "metric_name", "unit"]), KEYS, f"by of {where}")
    select = said.get("select")
    if not isinstance(select, dict) or not select:
        raise UsageError(f"{where} selects nothing: write `select:` with names and SQL.")
    columns = {*OPEN_COLUMNS, *(_EACH_COLUMNS if kind == "each" else ())}
    for result, sql in select.items():
        check_expression(str(sql), columns, f"{result} of {where}", aggregates=kind != "each")
    window = Window(
        name=name,
        kind=kind,
        size_s=_seconds(said, "size_s", where, required=True),
        by=by,
        select={str(result): str(sql) for result, sql in select.items()},
        every_s=_seconds(said, "every_s", where, required=kind == "hopping"),
        gap_s=_seconds(said, "gap_s", where, required=kind == "session"),
        where=check_expression(str(said.get("where", "true")), OPEN_COLUMNS, f"where of {where}"),
        lateness_s=_seconds(said, "lateness_s", where, default=30),
        late=_one_of(said.get("late", "correct"), ("correct", "drop"), f"late of {where}"),
        origin=str(path),
    )
    if kind == "hopping" and window.size_s % window.every_s:
        raise UsageError(f"{where}: every_s ({window.every_s}) does not divide size_s ({window.size_s}).")
    return window


def _rule(name: str, said: Mapping[str, Any], windows: Mapping[str, Window], path: Path) -> Rule:
    where = f"the rule {name} in {path}"
    _check_names(said, {f.name for f in fields(Rule)} - {"name", "origin"}, where)
    source = said.get("over", "readings")
    if source != "readings" and source not in windows:
        raise UsageError(f"{where} is over {source!r}: there are readings, {', '.join(sorted(windows))}.")
    columns: Collection[str] = _READING_COLUMNS
    if source != "readings":
        columns = {*windows[source].by, *windows[source].select, *_WINDOW_COLUMNS}
    silence = _seconds(said, "silence_s", where)
    condition = said.get("condition")
    if (condition is None) == (silence == 0):
        raise UsageError(f"{where}: give either a condition or silence_s.")
    clear = said.get("clear")
    return Rule(
        name=name,
        over=source,
        by=_texts(said.get("by", ["device_id"]), sorted(set(columns) & set(KEYS)), f"by of {where}"),
        where=check_expression(str(said.get("where", "true")), columns, f"where of {where}"),
        condition=None if condition is None else check_expression(str(condition), columns, f"condition of {where}"),
        clear=None if clear is None else check_expression(str(clear), columns, f"clear of {where}"),
        for_s=_seconds(said, "for_s", where),
        gap_s=_seconds(said, "gap_s", where),
        clear_after_s=_seconds(said, "clear_after_s", where),
        silence_s=silence,
        repeat_every_s=_seconds(said, "repeat_every_s", where),
        severity=_one_of(said.get("severity", "warning"), _SEVERITIES, f"severity of {where}"),
        actions=_actions(said.get("actions", []), where),
        origin=str(path),
    )


def _check_names(said: Mapping[str, Any], known: Collection[str], where: str) -> None:
    unknown = sorted(set(map(str, said)) - set(known))
    if unknown:
        raise UsageError(f"{where} says {', '.join(unknown)}, known are {', '.join(sorted(known))}.")


def _seconds(said: Mapping[str, Any], name: str, where: str, *, default: int = 0, required: bool = False) -> int:
    value: object = said.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0 or (required and value == 0):
        raise UsageError(f"{name} of {where} is {value!r}: give whole seconds{', 1 or more' if required else ''}.")
    return value


def _texts(value: Any, known: Collection[str], where: str) -> tuple[str, ...]:
    texts = tuple(value) if isinstance(value, list) else (value,)
    wrong = [text for text in texts if text not in known]
    if wrong or not texts:
        raise UsageError(f"{where} names {', '.join(map(str, wrong)) or 'nothing'}, there are {', '.join(known)}.")
    return texts


def _one_of(value: Any, known: tuple[str, ...], where: str) -> Any:
    if value not in known:
        raise UsageError(f"{where} is {value!r}: give one of {', '.join(known)}.")
    return value


def _actions(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise UsageError(f"actions of {where}: give a list of names of actions.")
    return tuple(value)
