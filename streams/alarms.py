"""Alarms: the rules at work, on readings and on windows.

Belongs here: asking DuckDB which observations there are and keeping each group's state. When an observation becomes an
alarm is in `transforms.alert_rules`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa

from lake.sql_text import quoted_names
from streams.hot_outputs import alert_message, state_key, state_message
from streams.open_windows import WindowResult
from transforms.alert_rules import AlarmState, Change, Observation, Rule, heard, observe, time_passed, under
from wire.envelope import Message, rfc3339

_US = 1_000_000


class Alarms:
    """The rules and the state of each of their groups; `states` are the earlier ones, by their keys."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, rules: Iterable[Rule], states: Mapping[str, AlarmState]
    ) -> None:
        self._connection = connection
        self._rules = list(rules)
        self.resume(states)
        for number, rule in enumerate(self._rules):
            if rule.over == "readings":
                connection.execute(f"PREPARE rule_{number} AS {_observations(rule, 'new_readings')}")

    def resume(self, states: Mapping[str, AlarmState]) -> None:
        """Go on from these states instead of what was seen so far."""
        known = {rule.name: rule for rule in self._rules}
        self._states: dict[str, AlarmState] = {}
        self._groups: dict[str, tuple[Rule, dict[str, Any]]] = {}
        for key, state in states.items():
            name, group = json.loads(key)
            if name in known:
                self._groups[key], self._states[key] = (known[name], group), under(known[name], state)

    def states(self) -> Mapping[str, AlarmState]:
        """Where each rule stands for each group, by its key."""
        return self._states

    def on_readings(self) -> Iterator[Message]:
        """What the readings of this batch change."""
        for number, rule in enumerate(self._rules):
            if rule.over == "readings":
                rows = self._connection.execute(f"EXECUTE rule_{number}").fetchall()
                yield from self._on_rows(rule, rows)

    def on_windows(self, results: Iterable[WindowResult]) -> Iterator[Message]:
        """What final windows change."""
        by_window: dict[str, list[dict[str, Any]]] = {}
        for result in results:
            if result.is_final:
                row = {"window_start": _at(result.start_us), "window_end": _at(result.end_us), "is_final": True}
                row |= {"revision": result.revision, "reading_count": result.revision, "at_us": result.end_us}
                row |= {"heard_us": result.last_received_us}
                row |= {"partition": max(each["p"] for each in result.inputs)}
                by_window.setdefault(result.window.name, []).append({**row, **result.keys, **result.figures})
        for rule in self._rules:
            if rows := by_window.get(rule.over):
                yield from self._on_rows(rule, _asked_of(self._connection, rule, rows))

    def on_time(self, watermark_us: int) -> Iterator[Message]:
        """What the passing of time changes, when everything up to `watermark_us` was read."""
        for key, (rule, group) in list(self._groups.items()):
            if rule.silence_s:
                before = self._states[key]
                state, change = time_passed(rule, before, watermark_us)
                yield from self._changed(
                    key, rule, group, before, (state, change), {"silent_since": _at(state.last_us)}
                )

    def _on_rows(self, rule: Rule, rows: Iterable[tuple[Any, ...]]) -> Iterator[Message]:
        width = len(rule.by)
        for row in rows:
            group = dict(zip(rule.by, row[:width], strict=True))
            at_us, heard_us, partition, holds, clears, seen = row[width:]
            key = state_key(rule.name, group)
            self._groups.setdefault(key, (rule, group))
            before = self._states.get(key, AlarmState(digest=rule.digest, partition=partition))
            if rule.silence_s:
                after = heard(rule, replace(before, partition=partition), heard_us)
            else:
                after = observe(
                    rule, replace(before, partition=partition), Observation(at_us, bool(holds), bool(clears))
                )
            yield from self._changed(key, rule, group, before, after, json.loads(seen))

    def _changed(
        self,
        key: str,
        rule: Rule,
        group: Mapping[str, Any],
        before: AlarmState,
        after: tuple[AlarmState, Change | None],
        seen: Mapping[str, Any],
    ) -> Iterator[Message]:
        state, change = after
        self._states[key] = state
        if change is not None:
            yield alert_message(rule, group, state, change, seen)
        # that something was seen again is not worth a message each time: after a restart it is read again
        if rule.silence_s or replace(state, last_us=0) != replace(before, last_us=0):
            yield state_message(key, state)


def _observations(rule: Rule, source: str) -> str:
    """SQL for a rule's groups, times, whether its conditions hold, and what was seen, in the order of arrival."""
    by = quoted_names(rule.by)
    condition = rule.condition or "true"
    clear = rule.clear or f"NOT coalesce(({condition}), false)"
    return f"""
        SELECT {by}, epoch_us(event_at), epoch_us(received_at), "partition", coalesce(({condition}), false),
            coalesce(({clear}), false), to_json(struct_pack(device_id, metric_name, unit, value, message_id,
                "partition", "offset", event_at := strftime(event_at, '%Y-%m-%dT%H:%M:%S.%fZ')))::VARCHAR
        FROM {source} WHERE ({rule.where}) ORDER BY arrival"""


def _asked_of(connection: duckdb.DuckDBPyConnection, rule: Rule, rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """The same of the results of a window."""
    connection.register("results", pa.Table.from_pylist(rows))
    by = quoted_names(rule.by)
    clear = rule.clear or f"NOT coalesce(({rule.condition}), false)"
    found = connection.execute(
        f"""SELECT {by}, at_us, heard_us, "partition", coalesce(({rule.condition or "true"}), false),
            coalesce(({clear}), false), to_json(results)::VARCHAR FROM results WHERE ({rule.where}) ORDER BY at_us"""
    ).fetchall()
    connection.unregister("results")
    return found


def _at(us: int) -> str:
    return rfc3339(datetime.fromtimestamp(us / _US, UTC))
